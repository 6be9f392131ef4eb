"""First fills and requests: which chunk is next, and when one may join the stream. No I/O of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from changes.canonical import Value
from changes.progress import SnapshotState, binlog_order
from streams.capture.requests import Pending
from streams.capture.snapshot import Chunk

CHUNK_ROWS = 2000


@dataclass
class Filling:
    """The state of all first fills, and the request that is being answered. One chunk is under way at a time."""

    states: dict[str, SnapshotState]
    pending: Pending | None = None
    _changed: dict[bytes, int] = field(default_factory=dict)
    _table: str | None = None
    _chunk: Chunk | None = None
    _stale: bool = False

    def next_table(self) -> str | None:
        """The table whose chunk is to be asked for now, or ``None`` where nothing is to do."""
        if self._table is not None:
            return None
        return next((table for table, state in self.states.items() if state.state == "running"), None)

    @property
    def watched(self) -> str | None:
        """The table whose window is open."""
        return self._table

    @property
    def idle(self) -> bool:
        """Whether no chunk is under way."""
        return self._table is None

    def refill(self, table: str, reason: str, derived: str = "") -> SnapshotState:
        """Fill a table anew from its beginning, for the request that asked for ``derived``; its state.

        A chunk of it that is under way was read before: it does not join.
        """
        before = self.states[table]
        self.states[table] = msgspec.structs.replace(
            before, state="running", rows=0, after=None, derived=derived, reason=reason
        )
        self._stale = self._stale or table == self._table
        return self.states[table]

    @property
    def stale(self) -> bool:
        """Whether the table under way has been filled anew since its window was opened."""
        return self._stale

    def dropped(self) -> None:
        """Close the window of a chunk that does not join."""
        self._close()

    def answered(self) -> None:
        """Close the window of a request: the next one may come."""
        self.pending = None
        self._close()

    def open_window(self, table: str) -> None:
        """From here on, keys of ``table`` that change are remembered."""
        self._table = table
        self._changed = {}
        self._chunk = None
        self._stale = False

    def saw(self, table: str, key: bytes, ordinal: int) -> None:
        """The stream wrote a change of ``key`` in transaction ``ordinal``."""
        if table == self._table:
            self._changed[key] = ordinal

    def arrived(self, chunk: Chunk) -> None:
        self._chunk = chunk

    def due(self, file: str, offset: int) -> Chunk | None:
        """The chunk that may join now: the stream stands at ``file``, ``offset``, between two transactions."""
        chunk = self._chunk
        if chunk is not None and binlog_order(file, offset) >= binlog_order(chunk.file, chunk.offset):
            return chunk
        return None

    def surviving(
        self, chunk: Chunk, keys: Iterator[tuple[bytes, Mapping[str, Value]]]
    ) -> Iterator[Mapping[str, Value]]:
        """The rows whose keys have not changed after the chunk's low watermark."""
        for key, row in keys:
            if self.unchanged(chunk, key):
                yield row

    def unchanged(self, chunk: Chunk, key: bytes) -> bool:
        """Whether the stream wrote no change of ``key`` after the chunk's low watermark."""
        return self._changed.get(key, 0) <= chunk.low

    def joined(self, chunk: Chunk, rows: int) -> SnapshotState:
        """Close the window; the table's new state."""
        before = self.states[chunk.table]
        after = None if chunk.last is None else [_plain(value) for value in chunk.last]
        state = msgspec.structs.replace(
            before,
            rows=before.rows + rows,
            after=after if after is not None else before.after,
            state="done" if chunk.last is None else "running",
            derived="" if chunk.last is None else before.derived,
        )
        self.states[chunk.table] = state
        self._close()
        return state

    def _close(self) -> None:
        self._table, self._chunk, self._changed, self._stale = None, None, {}, False

    @property
    def running(self) -> bool:
        return any(state.state == "running" for state in self.states.values())


def _plain(value: Value) -> bool | int | float | str | None:
    if isinstance(value, bytes | list):
        raise TypeError("key values are text in the envelope")
    return value
