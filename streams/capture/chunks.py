"""What is read beside the stream and joined to it: fills, sweeps, and the rows that requests ask for."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import ASKED, Request, SnapshotState
from changes.topology import Topology
from streams.capture.asked import AskedRows
from streams.capture.emit import Message, TablePlan
from streams.capture.filling import Filling
from streams.capture.reader import ChunkReader
from streams.capture.requests import Pending, RequestReader
from streams.capture.snapshot import Altered, Chunk, ChunkRequest, Refused, Source
from streams.capture.sweep import Sweep, TopicEnds, last_published
from streams.capture.tables import Tables
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl

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

    ``states`` are to be saved too; ``rows`` says how many rows the messages tell.
    """

    plan: TablePlan | None = None
    messages: Sequence[Message] = ()
    rows: int = 0
    states: Sequence[SnapshotState] = field(default_factory=list)


class Chunks:
    """One version's. ``requests`` is the offset of the first request that is not answered yet."""

    def __init__(
        self,
        topology: Topology,
        version: str,
        mysql: MysqlUrl,
        kafka: KafkaUrl,
        inbox: RequestReader,
        states: dict[str, SnapshotState],
        requests: int,
    ) -> None:
        self.requests = requests
        self._topology, self._version, self._kafka = topology, version, kafka
        self._inbox = inbox
        self._filling = Filling(states)
        tables = Tables(topology, version, partial(last_published, kafka, version))
        self._ends = TopicEnds(kafka, version)
        self._reader = ChunkReader(mysql, Source(tables, self._ends))
        self._look_at = 0.0
        self._asked: AskedRows | None = None
        self._sweep: Sweep | None = None

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

    def settled(self) -> None:
        """To be called behind every Kafka transaction that was committed."""
        self._filling.settled()

    def refill(self, table: str, reason: str) -> SnapshotState:
        """Fill a table anew from its beginning, as of where the stream stands now, and sweep it; ``reason`` is for
        people.

        The state is to be saved in the Kafka transaction that holds the stream up to here. A fill of the table that
        is under way starts over, and what was read of it before joins no more. Behind the fill, each key that the
        table's topic held before and that it did not tell again is told as MySQL has it then: mostly as a delete.
        """
        return self._filling.refill(table, reason)

    def again(self, table: str) -> SnapshotState | None:
        """Rows of the table may have changed up to where the stream stands now, and no event told it: fill it anew, at
        once or behind the fill under way; the state to be saved as of `refill`, if there is one."""
        return self._filling.again(table)

    def created(self, table: str) -> SnapshotState | None:
        """There is such a table, from where the stream stands now on; the state to be saved, as of `refill`, where it
        was known to be absent. A chunk that is being read may not have seen it."""
        if self.states[table].absent:
            return self.refill(table, "created")
        self._filling.doubt(table)
        return None

    def step(self, at: Standing) -> Joined | None:
        """Go on with what is to be read, without waiting for it; what may join now, if anything.

        Raises what reading raised, `Transient` or `Misconfigured` mostly.
        """
        if self._filling.idle:
            answered = self._next(at)
            if answered is not None:
                return answered
        found = self._reader.answer()
        if isinstance(found, Altered):
            self._again(at)
        elif isinstance(found, Refused):
            return self._refused(found)
        elif found is not None:
            self._filling.arrived(found)
        due = self._filling.due(at.file, at.offset)
        if due is None:
            return None
        if self._filling.stale:
            self._again(at)
            return None
        if self._filling.pending is not None:
            return self._answer(due, self._filling.pending, at)
        sweeping = self._filling.states[self._filling.under_way].state == "sweeping"
        return self._swept(due) if sweeping else self._join(due)

    def close(self) -> None:
        self._reader.close()
        self._end_sweep()

    # -- asking ---------------------------------------------------------------------------------------------------

    def _next(self, at: Standing) -> Joined | None:
        """Ask for the next chunk, requests before fills; what needs no reading is answered at once."""
        now = time.monotonic()
        if now >= self._look_at:
            pending = self._inbox.next()
            if pending is not None:
                return self._accept(pending, at)
            self._look_at = now + REQUESTS_SECONDS
        if self._sweep is not None and not self._belongs(self._sweep):
            self._end_sweep()
        name = self._filling.next_fill(self._sweepable)
        if name is not None:
            self._ask_fill(self._filling.states[name], at)
        return None

    def _ask_fill(self, state: SnapshotState, at: Standing) -> None:
        self._filling.open_window(state.table, state.name)
        request = ChunkRequest(state.table, at.executed.copy(), at.epoch, wanted=self._sweep)
        if state.state == "running":
            request = ChunkRequest(
                state.table,
                at.executed.copy(),
                at.epoch,
                None if state.after is None else tuple(state.after),
                self._filling.limit(state.name),
                state.where,
                state.derived,
                "" if state.mark is not None or state.id else self._topology.topic(self._version, state.table),
            )
        self._reader.ask(request)

    def _again(self, at: Standing) -> None:
        """What was read does not count: rows that were asked for are read again, a fill goes on as it stands."""
        if self._filling.pending is not None:
            self._read_asked(at)
        else:
            self._filling.dropped()

    def _read_asked(self, at: Standing) -> None:
        if self._asked is not None:
            table = self._asked.request.table
            self._filling.open_window(table)
            self._reader.ask(ChunkRequest(table, at.executed.copy(), at.epoch, wanted=self._asked))

    # -- requests -------------------------------------------------------------------------------------------------

    def _accept(self, pending: Pending, at: Standing) -> Joined | None:
        request = pending.request
        if request is None or request.table not in self._topology.tables:
            if request is not None:
                log.error("request %s is left out: table `%s` is not captured", request.id, request.table)
            return self._done_with(pending, Joined())
        if request.rows is None:
            return self._done_with(pending, Joined(states=self._fills(request)))
        if not request.rows:
            return self._done_with(pending, Joined())
        self._filling.pending, self._asked = pending, AskedRows(request)
        self._read_asked(at)
        return None

    def _fills(self, request: Request) -> list[SnapshotState]:
        table = request.table
        if request.act in {"pause", "resume"}:
            return self._filling.paused(table, paused=request.act == "pause")
        if request.act == "stop":
            return self._filling.stopped(table)
        if not request.where:
            return [self._filling.refill(table, ASKED, request.derived)]
        state = SnapshotState(
            table, "running", derived=request.derived, reason=ASKED, id=request.id, where=request.where
        )
        return [self._filling.add(state)]

    def _done_with(self, pending: Pending, joined: Joined) -> Joined:
        self.requests = pending.offset + 1
        self._look_at = 0.0
        return joined

    def _answer(self, chunk: Chunk, pending: Pending, at: Standing) -> Joined:
        """The rows that a request asked for, and deletes of those that MySQL does not have."""
        asked, messages = self._asked, list[Message]()
        if asked is not None and chunk.plan is not None:
            messages = list(asked.told(chunk, chunk.plan, partial(self._filling.unchanged, chunk)))
            if asked.left:
                self._read_asked(at)
                return _joined(chunk, messages)
        log.info("a request for rows of `%s` was answered", chunk.table)
        self._filling.answered()
        return self._done_with(pending, _joined(chunk, messages))

    # -- fills and sweeps -----------------------------------------------------------------------------------------

    def _join(self, chunk: Chunk) -> Joined:
        messages = list(self._filling.surviving(chunk))
        state = self._filling.joined(chunk, time.monotonic())
        if state.absent:
            tell_absent(state.table)
        elif state.state != "running":
            log.info("table `%s` is filled%s: %d rows", state.table, " in part" if state.id else "", state.rows)
        return _joined(chunk, messages, [state])

    def _swept(self, chunk: Chunk) -> Joined:
        sweep, messages = self._sweep, list[Message]()
        if sweep is not None and chunk.plan is not None:
            messages = list(sweep.told(chunk, chunk.plan, self._filling.untouched))
        ended = sweep is None or sweep.ended or chunk.plan is None
        deleted = sum(message.value is None for message in messages)
        state = self._filling.swept(deleted, ended=ended)
        if sweep is not None:
            sweep.go_on()
        if ended:
            log.info("table `%s` is swept: %d rows were there no more", state.table, state.swept)
        return _joined(chunk, messages, [state])

    def _refused(self, found: Refused) -> Joined:
        name = self._filling.under_way
        log.error("the snapshot `%s` ends, for MySQL refuses its predicate: %s", name, found.reason)
        ended = self._filling.given_up(name)
        return Joined(states=[ended] if ended is not None else [])

    def _sweepable(self, name: str) -> bool:
        """Whether the sweep of that fill can go on; begins it where none is under way."""
        if self._sweep is None:
            state = self._filling.states[name]
            topic = self._topology.topic(self._version, state.table)
            self._sweep = Sweep(self._kafka, self._version, topic, name, state.mark or {}, self._ends)
            self._sweep.start()
        return self._sweep.name == name and self._sweep.ready

    def _belongs(self, sweep: Sweep) -> bool:
        state = self._filling.states.get(sweep.name)
        if state is None or state.state != "sweeping" or state.paused:
            return False
        return (state.mark or {}) == sweep.mark

    def _end_sweep(self) -> None:
        if self._sweep is not None:
            self._sweep.close()
            self._sweep = None


def tell_absent(table: str) -> None:
    log.error(
        "MySQL has no table `%s` any more: its rows are deleted everywhere, and it is filled again once there is one;"
        " where there shall be none, take it out of the declaration",
        table,
    )


def _joined(chunk: Chunk, messages: Sequence[Message], states: Sequence[SnapshotState] = ()) -> Joined:
    rows = sum(message.value is not None for message in messages)
    return Joined(chunk.plan, messages, rows, states) if chunk.plan is not None else Joined(states=states)
