"""Fills and requests: which chunk is next, and when one may join the stream. No I/O of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from changes.canonical import Value
from changes.progress import ASKED, SnapshotState, anew, binlog_order
from streams.capture.emit import Message
from streams.capture.requests import Pending
from streams.capture.snapshot import CHUNK_ROWS, Chunk

CASCADE = "cascade"
"""The reason of a fill whose table a foreign key may have changed."""
_SMOOTH = 0.3
"""The weight of the newest chunk in a fill's rate."""


def begun(
    saved: Mapping[str, SnapshotState], tables: Iterable[str]
) -> tuple[dict[str, SnapshotState], list[SnapshotState]]:
    """The fills to go on with, and those that were saved of tables that are declared no more: such a table is filled
    from its beginning if it ever comes back."""
    fills = {table: saved.get(table) or SnapshotState(table, "running") for table in tables}
    fills |= {name: state for name, state in saved.items() if state.id and state.table in fills}
    return fills, [state for name, state in saved.items() if name not in fills]


@dataclass
class Filling:
    """The state of all fills by name, and the request that is being answered. One chunk is under way at a time, and
    fills take turns.

    A fill of a whole table must be `settled` before its first chunk: what was written before it began has an end in
    Kafka then.
    """

    states: dict[str, SnapshotState]
    pending: Pending | None = None
    _table: str | None = None
    _name: str = ""
    _changed: dict[bytes, int] = field(default_factory=dict)
    _chunk: Chunk | None = None
    _stale: bool = False
    _unsettled: set[str] = field(default_factory=set)
    _limits: dict[str, int] = field(default_factory=dict)
    _joined_at: dict[str, float] = field(default_factory=dict)

    # -- what is to be read ---------------------------------------------------------------------------------------

    def next_fill(self, sweepable: Callable[[str], bool] = lambda _: True) -> str | None:
        """The fill whose chunk is to be asked for now, the one after the last; ``None`` where nothing is to do.

        ``sweepable`` says whether a fill that sweeps can go on.
        """
        if self._table is not None:
            return None
        names = list(self.states)
        at = names.index(self._name) + 1 if self._name in self.states else 0
        for name in names[at:] + names[:at]:
            state = self.states[name]
            if state.paused or name in self._unsettled or state.state == "done":
                continue
            if state.state == "running" or sweepable(name):
                return name
        return None

    def limit(self, name: str) -> int:
        """How many rows to ask for: fewer where a chunk is full of bytes before."""
        return self._limits.get(name, CHUNK_ROWS)

    @property
    def running(self) -> bool:
        """Whether any fill is under way that does not wait for somebody."""
        return any(state.state != "done" and not state.paused for state in self.states.values())

    def settled(self) -> None:
        """All that was written is in Kafka."""
        self._unsettled.clear()

    # -- what is asked of fills -----------------------------------------------------------------------------------

    def refill(self, table: str, reason: str, derived: str = "") -> SnapshotState:
        """Fill a table anew from its beginning, for the request that asked for ``derived``; its state.

        What is under way of the table was read before: it does not join.
        """
        self.states[table] = anew(self.states[table], reason, derived)
        self.doubt(table)
        self._unsettled.add(table)
        self._limits.pop(table, None)
        self._joined_at.pop(table, None)
        return self.states[table]

    def doubt(self, table: str) -> None:
        """What is being read of the table now does not join: it is read again."""
        self._stale = self._stale or table == self._table

    def again(self, table: str) -> SnapshotState | None:
        """Fill a table anew as soon as the fill under way is done, for its rows may have changed in secret; its state,
        ``None`` where that is due already. However often that is, every fill comes to its end."""
        state = self.states[table]
        if state.state == "done":
            return self.refill(table, CASCADE)
        if state.again or table in self._unsettled:
            return None
        self.states[table] = msgspec.structs.replace(state, again=True)
        return self.states[table]

    def add(self, state: SnapshotState) -> SnapshotState:
        """Begin the fill of a predicate."""
        self.states[state.name] = state
        return state

    def paused(self, table: str, *, paused: bool) -> list[SnapshotState]:
        """Have a table's fills wait, or go on; those that changed."""
        changed = [
            msgspec.structs.replace(state, paused=paused)
            for state in self.states.values()
            if state.table == table and state.state != "done" and state.paused != paused
        ]
        self.states.update((state.name, state) for state in changed)
        for state in changed:
            self._joined_at.pop(state.name, None)
        return changed

    def stopped(self, table: str) -> list[SnapshotState]:
        """End a table's fills where they are, but for one that stores need to be right; those that ended."""
        ended = [
            msgspec.structs.replace(state, state="done", paused=False, derived="")
            for state in self.states.values()
            if state.table == table
            and state.state != "done"
            and (state.id or state.reason == ASKED)
            and not state.again
        ]
        for state in ended:
            self._ended(state)
        return ended

    def given_up(self, name: str) -> SnapshotState | None:
        """End the fill of a predicate whose chunk is under way; its last state."""
        self.dropped()
        state = self.states.get(name)
        if state is None or not state.id:
            return None
        ended = msgspec.structs.replace(state, state="done")
        self._ended(ended)
        return ended

    def _ended(self, state: SnapshotState) -> None:
        if state.id:
            self.states.pop(state.name, None)
        else:
            self.states[state.name] = state
        self._stale = self._stale or (state.name == self._name and self._table is not None and self.pending is None)

    # -- the window -----------------------------------------------------------------------------------------------

    @property
    def watched(self) -> str | None:
        """The table whose window is open."""
        return self._table

    @property
    def idle(self) -> bool:
        """Whether no chunk is under way."""
        return self._table is None

    @property
    def stale(self) -> bool:
        """Whether what is under way was read too early to join: its fill began anew meanwhile, or ended."""
        return self._stale

    @property
    def under_way(self) -> str:
        """The name of the fill whose chunk is under way."""
        return self._name

    def open_window(self, table: str, name: str = "") -> None:
        """From here on, keys of ``table`` that change are remembered; for the fill of that ``name``, or a request."""
        self._table, self._name = table, name or self._name
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

    def surviving(self, chunk: Chunk) -> Iterator[Message]:
        """The messages whose keys have not changed after the chunk's low watermark."""
        return (message for message in chunk.messages if self.unchanged(chunk, message.key))

    def unchanged(self, chunk: Chunk, key: bytes) -> bool:
        """Whether the stream wrote no change of ``key`` after the chunk's low watermark."""
        return self._changed.get(key, 0) <= chunk.low

    def untouched(self, key: bytes) -> bool:
        """Whether the stream wrote no change of ``key`` since the window was opened."""
        return key not in self._changed

    def joined(self, chunk: Chunk, now: float) -> SnapshotState:
        """Close the window of a fill's chunk; the fill's new state. ``now`` in seconds, of a clock that never turns."""
        before = self.states[self._name]
        mark = before.mark if chunk.mark is None else chunk.mark
        state = msgspec.structs.replace(
            before,
            rows=before.rows + chunk.read,
            after=before.after if chunk.last is None else [_plain(value) for value in chunk.last],
            estimate=before.estimate if chunk.estimate is None else chunk.estimate,
            mark=mark,
            rate=self._rate(before, chunk.read, now),
        )
        if chunk.last is None:
            sweeps = bool(mark) and not state.id
            absent = chunk.absent and not state.id
            state = msgspec.structs.replace(state, state="sweeping" if sweeps else "done", derived="", absent=absent)
        return self._moved(state, chunk.read)

    def swept(self, deleted: int, *, ended: bool) -> SnapshotState:
        """Close the window of a sweep's page; the fill's new state."""
        before = self.states[self._name]
        state = msgspec.structs.replace(
            before,
            swept=before.swept + deleted,
            state="done" if ended else "sweeping",
            mark=None if ended else before.mark,
        )
        return self._moved(state, 0)

    def answered(self) -> None:
        """Close the window of a request: the next one may come."""
        self.pending = None
        self.dropped()

    def dropped(self) -> None:
        """Close the window, whatever was read."""
        self._table, self._chunk, self._changed, self._stale = None, None, {}, False

    def _moved(self, state: SnapshotState, read: int) -> SnapshotState:
        self.dropped()
        if state.state == "running":
            self._limits[state.name] = min(CHUNK_ROWS, read + read // 4 + 1)
        if state.state != "done":
            self.states[state.name] = state
            return state
        self._ended(state)
        return self.refill(state.table, CASCADE) if state.again else state

    def _rate(self, before: SnapshotState, rows: int, now: float) -> float:
        since = self._joined_at.get(before.name)
        self._joined_at[before.name] = now
        if since is None or now <= since:
            return before.rate
        rate = rows / (now - since)
        return round(rate if not before.rate else before.rate + _SMOOTH * (rate - before.rate), 1)


def _needed(state: SnapshotState) -> bool:
    """Whether stores are wrong without it."""
    return not state.id and (state.reason != ASKED or state.again)


def _plain(value: Value) -> bool | int | float | str | None:
    if isinstance(value, bytes | list):
        raise TypeError("key values are text in the envelope")
    return value
