"""What is read beside the stream and joined to it: first fills, and the rows that requests ask for."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.gtid import MariadbGtids, MysqlGtids
from changes.key import key_json
from changes.progress import Asked, Request, SnapshotState
from changes.schema import TableSchema
from changes.topology import Topology
from streams.capture.emit import Message, Moment, TablePlan, asked_key, asked_messages, asking, snapshot_message
from streams.capture.filling import CHUNK_ROWS, Filling
from streams.capture.requests import Pending, RequestReader
from streams.capture.snapshot import Chunk, ChunkReader, ChunkRequest
from streams.describe import tables_of
from streams.mysql import MysqlUrl, session

log = logging.getLogger(__name__)

REQUESTS_SECONDS = 0.05
"""How often requests are looked for."""


@dataclass(frozen=True)
class Standing:
    """Where the stream stands, between two transactions."""

    executed: MysqlGtids | MariadbGtids
    epoch: int
    file: str
    offset: int


@dataclass(frozen=True)
class Joined:
    """What joins the stream now, to be written in one Kafka transaction with `Chunks.requests`.

    ``state`` is to be saved too, where there is one; ``rows`` says how many rows the messages tell.
    """

    plan: TablePlan | None = None
    messages: list[Message] = field(default_factory=list)
    rows: int = 0
    state: SnapshotState | None = None


class Chunks:
    """One version's. ``requests`` is the offset of the first request that is not answered yet."""

    def __init__(
        self,
        topology: Topology,
        version: str,
        mysql: MysqlUrl,
        inbox: RequestReader,
        states: dict[str, SnapshotState],
        requests: int,
    ) -> None:
        self.requests = requests
        self._topology, self._version, self._mysql = topology, version, mysql
        self._inbox = inbox
        self._filling = Filling(states)
        self._reader = ChunkReader(mysql)
        self._look_at = 0.0
        self._asked: list[tuple[tuple[Value, ...], Asked]] = []

    @property
    def states(self) -> Mapping[str, SnapshotState]:
        return self._filling.states

    @property
    def busy(self) -> bool:
        """Whether a chunk is under way or due."""
        return self._filling.running or not self._filling.idle

    @property
    def watched(self) -> str | None:
        """The table whose changes `saw` is to be told of now."""
        return self._filling.watched

    def saw(self, table: str, key: bytes, ordinal: int) -> None:
        """The stream wrote a change of ``key`` in transaction ``ordinal``."""
        self._filling.saw(table, key, ordinal)

    def refill(self, table: str, reason: str) -> SnapshotState:
        """Fill a table anew from its beginning, as of where the stream stands now; ``reason`` is for people.

        The state is to be saved in the Kafka transaction that holds the stream up to here. A fill of the table that
        is under way starts over, and what was read of it before joins no more.
        """
        return self._filling.refill(table, reason)

    def step(self, at: Standing) -> Joined | None:
        """Go on with what is to be read, without waiting for it; what may join now, if anything.

        Raises what reading raised, `Transient` or `Misconfigured` mostly.
        """
        if self._filling.idle:
            answered = self._next(at)
            if answered is not None:
                return answered
        chunk = self._reader.answer()
        if chunk is not None:
            self._filling.arrived(chunk)
        due = self._filling.due(at.file, at.offset)
        if due is None:
            return None
        if self._filling.stale:
            self._drop(at)
            return None
        moment = Moment(at.epoch, due.low, "", time.time_ns() // 1000, 0, at.file, at.offset)
        pending = self._filling.pending
        return self._join(due, moment) if pending is None else self._answer(due, moment, pending, at)

    def _next(self, at: Standing) -> Joined | None:
        """Ask for the next chunk, requests before first fills; what needs no reading is answered at once."""
        now = time.monotonic()
        if now >= self._look_at:
            pending = self._inbox.next()
            if pending is not None:
                return self._accept(pending, at)
            self._look_at = now + REQUESTS_SECONDS
        table = self._filling.next_table()
        if table is not None:
            schema, key = self._describe(table)
            after = self._filling.states[table].after
            self._filling.open_window(table)
            after_key = None if after is None else tuple(after)
            self._reader.ask(ChunkRequest(schema, key, after_key, CHUNK_ROWS, at.executed.copy()))
        return None

    def _accept(self, pending: Pending, at: Standing) -> Joined | None:
        request = pending.request
        if request is not None and request.table not in self._filling.states:
            log.error("request %s is left out: table `%s` is not captured", request.id, request.table)
            request = None
        if request is None:
            return self._done_with(pending, Joined())
        if request.rows is None:
            return self._done_with(pending, Joined(state=self._filling.refill(request.table, "asked", request.derived)))
        self._full, _ = self._describe(request.table)
        self._asked = list(_readable(self._plan, request))
        if not self._asked:
            return self._done_with(pending, Joined())
        self._filling.pending = pending
        self._read_asked(at)
        return None

    def _drop(self, at: Standing) -> None:
        """What was read was read too early: rows that were asked for are read again, a fill begins anew."""
        if self._filling.pending is not None:
            self._read_asked(at)
        else:
            self._filling.dropped()

    def _read_asked(self, at: Standing) -> None:
        keys = tuple(dict.fromkeys(values for values, _ in self._asked))
        self._filling.open_window(self._full.table)
        self._reader.ask(ChunkRequest(self._full, self._plan.schema.key, None, len(keys), at.executed.copy(), keys))

    def _done_with(self, pending: Pending, joined: Joined) -> Joined:
        self.requests = pending.offset + 1
        self._look_at = 0.0
        return joined

    def _describe(self, table: str) -> tuple[TableSchema, tuple[str, ...]]:
        """Look at the table as it is now; its whole schema and its primary key."""
        database = self._topology.database(self._version)
        with session(self._mysql) as connection:
            described = tables_of(connection, database, [table])
        if table not in described:
            raise Misconfigured(f"table `{table}` vanished from `{database}` while it was being read")
        schema, key = described[table]
        declared = self._topology.tables[table]
        self._plan = TablePlan.of(
            self._version,
            self._topology.topic(self._version, table),
            schema,
            tuple(declared.key),
            frozenset(declared.columns.drop),
        )
        return schema, key

    def _join(self, chunk: Chunk, moment: Moment) -> Joined:
        plan = self._plan
        keyed: Iterator[tuple[bytes, Mapping[str, Value]]] = ((key_json(plan.schema, row), row) for row in chunk.rows)
        now_ms = moment.committed_us // 1000
        derived = self._filling.states[chunk.table].derived
        messages = [
            snapshot_message(plan, row, moment, now_ms, derived) for row in self._filling.surviving(chunk, keyed)
        ]
        state = self._filling.joined(chunk, len(messages))
        if state.state == "done":
            log.info("table `%s` is filled: %d rows", state.table, state.rows)
        return Joined(plan, messages, len(messages), state)

    def _answer(self, chunk: Chunk, moment: Moment, pending: Pending, at: Standing) -> Joined:
        """The rows that a request asked for, and deletes of those that MySQL does not have.

        What changed meanwhile the stream has told already. But it said nothing of what else was asked, so where
        something was such a row is read once more.
        """
        plan = self._plan
        rows = {key_json(plan.schema, row): row for row in chunk.rows}
        messages: list[Message] = []
        derived = "" if pending.request is None else pending.request.derived
        again: list[tuple[tuple[Value, ...], Asked]] = []
        for values, asked in self._asked:
            key = key_json(plan.schema, dict(zip(plan.schema.key, values, strict=True)))
            if self._filling.unchanged(chunk, key):
                told = asked_messages(plan, values, asked.hint, rows.get(key), moment, moment.committed_us // 1000)
                ask = f"{derived}/{asked.chunk}" if asked.chunk >= 0 else derived
                messages += (asking(message, ask, asked.over) for message in told)
            elif derived or asked.over:
                again.append((values, asked))
        rows_told = len(self._asked) - len(again)
        if again:
            self._asked = again
            self._read_asked(at)
            return Joined(plan, messages, rows_told)
        log.info("a request for rows of `%s` was answered", plan.schema.table)
        self._filling.answered()
        return self._done_with(pending, Joined(plan, messages, rows_told))


def _readable(plan: TablePlan, request: Request) -> Iterator[tuple[tuple[Value, ...], Asked]]:
    """The rows that a request asks for, by key; one whose key is none of the table's is left out."""
    for asked in request.rows or ():
        try:
            yield asked_key(plan, asked.key), asked
        except ValueError as error:
            log.error("request %s: the key %s is left out: %s", request.id, asked.key, error)
