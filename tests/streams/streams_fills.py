"""The capture loop, its chunk reader and its sweeps in miniature, one step at a time, beside a server that goes on.

The fills and the notes of a sweep are the real ones; the server, Kafka and the reader are small stand-ins. Records are
kept in Kafka transactions: a crash takes back what was written since the last one was committed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from changes import position
from changes.envelope import Headers
from changes.progress import ASKED, SnapshotState, anew
from streams.capture.emit import Message, Moment
from streams.capture.filling import Filling
from streams.capture.snapshot import Chunk
from streams.capture.sweep import Notes

LIMIT = 2
BYTES_A_TRANSACTION = 100
TRUNCATE = -1
CASCADED = -10
"""And below: a row that a foreign key takes away, of which only the parent's change is logged."""


@dataclass
class Server:
    """A table's history. ``logged`` transactions stand in the binlog, the first ``visible`` of them can be read."""

    rows: dict[int, int]  # key → ordinal of the transaction that wrote it
    logged: list[tuple[int, bool]] = field(default_factory=list)  # (key or TRUNCATE, deleted)
    visible: int = 0

    def state(self, upto: int) -> dict[int, int]:
        state = dict(self.rows)
        for ordinal, (key, deleted) in enumerate(self.logged[:upto], 1):
            if key == TRUNCATE:
                state.clear()
            elif key <= CASCADED:
                state.pop(CASCADED - key, None)
            elif deleted:
                state.pop(key, None)
            else:
                state[key] = ordinal
        return state


@dataclass(frozen=True)
class Emitted:
    """One record: the version of the row that it tells, or ``None`` for a delete."""

    offset: int
    key: int
    at: int
    version: int | None
    snapshot: bool = False


@dataclass
class Saved:
    """What the last Kafka transaction left."""

    log: list[Emitted]
    read: int
    epoch: int
    states: dict[str, SnapshotState]


class Machine:
    """Moves are its methods; `finish` lets everything come to an end."""

    def __init__(self, rows: Iterable[int]) -> None:
        self.server = Server(dict.fromkeys(rows, 0))
        self.filling = Filling({"t": SnapshotState("t", "running")})
        self.log: list[Emitted] = []
        self.offset = self.read = self.epoch = self.asked = 0
        self.saved = Saved([], 0, 0, dict(self.filling.states))
        self._reset()

    def _reset(self) -> None:
        self.reader = "idle"
        self.seen = self.low = 0
        self.mark: dict[int, int] | None = None
        self.selected: list[tuple[int, int]] = []
        self.notes: Notes | None = None
        self.page: list[int] = []
        self.left: list[int] = []

    # -- the server -----------------------------------------------------------------------------------------------

    def write(self, key: int) -> None:
        self.server.logged.append((key, False))

    def delete(self, key: int) -> None:
        self.server.logged.append((key, True))

    def truncate(self, _: int = 0) -> None:
        self.server.logged.append((TRUNCATE, True))

    def cascade(self, key: int) -> None:
        self.server.logged.append((CASCADED - key, True))

    def show(self, _: int = 0) -> None:
        """A transaction is logged, and may be sent, before it is visible."""
        self.server.visible = min(self.server.visible + 1, len(self.server.logged))

    # -- capture --------------------------------------------------------------------------------------------------

    def stream(self, _: int = 0) -> None:
        if self.read < len(self.server.logged):
            key, deleted = self.server.logged[self.read]
            self.read += 1
            if key == TRUNCATE:
                self.filling.refill("t", "truncate")
            elif key <= CASCADED:
                self.filling.again("t")
            else:
                self._emit(key, position.pack(self.epoch, self.read, 0), None if deleted else self.read)
                self.filling.saw("t", b"%d" % key, self.read)
        self._join()

    def _emit(self, key: int, at: int, version: int | None, *, snapshot: bool = False) -> None:
        self.log.append(Emitted(self.offset, key, at, version, snapshot))
        self.offset += 1

    def commit(self, _: int = 0) -> None:
        self.saved = Saved(list(self.log), self.read, self.epoch, dict(self.filling.states))
        self.filling.settled()

    def crash(self, _: int = 0) -> None:
        """What was not committed has taken its offsets, but nobody reads it."""
        self.log, self.read, self.epoch = list(self.saved.log), self.saved.read, self.saved.epoch
        self.filling = Filling(dict(self.saved.states))
        self._reset()

    def lose(self, key: int) -> None:
        """A row vanishes with the binlog that told of it, and what was logged is lost too: the epoch is raised."""
        self.crash()
        for lost in range(key + 1):
            self.server.rows.pop(lost, None)
        self.server.rows = {k: version for k, version in self.server.state(len(self.server.logged)).items() if k > key}
        self.server.logged = [(TRUNCATE - 1, True)] * len(self.server.logged)
        self.server.visible = self.read = len(self.server.logged)
        self.epoch += 1
        self.filling.states["t"] = anew(self.filling.states["t"], "epoch")
        self.commit()

    # -- requests -------------------------------------------------------------------------------------------------

    def refill(self, _: int = 0) -> None:
        self.filling.refill("t", ASKED)

    def ask(self, key: int) -> None:
        """A snapshot of the rows with greater keys."""
        self.asked += 1
        self.filling.add(SnapshotState("t", "running", reason=ASKED, id=str(self.asked), where=str(key)))

    def pause(self, _: int = 0) -> None:
        self.filling.paused("t", paused=True)

    def resume(self, _: int = 0) -> None:
        self.filling.paused("t", paused=False)

    def stop(self, _: int = 0) -> None:
        self.filling.stopped("t")

    # -- the reader -----------------------------------------------------------------------------------------------

    def alter(self, _: int = 0) -> None:
        """The table's definition changes: what is being read counts for nothing."""
        if self.reader in {"asked", "low", "selected"}:
            self.filling.dropped()
            self.reader = "idle"

    def chunk(self, _: int = 0) -> None:
        """The next step of the reader: ask, wait and low watermark, select, high watermark."""
        if self.reader == "idle":
            self._ask()
        elif self.reader == "asked":
            if self.server.visible >= self.seen:
                self.low, self.reader = self.server.visible, "low"
        elif self.reader == "low":
            self._select()
            self.reader = "selected"
        elif self.reader == "selected":
            self._arrive()
        self._join()

    def _ask(self) -> None:
        if self.filling.states["t"].state != "sweeping":
            self.notes = None
        name = self.filling.next_fill()
        if name is None:
            return
        state = self.filling.states[name]
        if state.state == "sweeping" and self.notes is None:
            self._scan(state.mark or {})
        self.filling.open_window("t", name)
        # Kafka has at least what was committed, and of the rest as much as it likes: here the least
        committed = self.saved.log[-1].offset + 1 if self.saved.log else 0
        self.mark = {0: committed} if state.mark is None and not state.id and committed else None
        if state.mark is None and not state.id and not committed:
            self.mark = {}
        self.seen, self.reader = self.read, "asked"

    def _scan(self, mark: dict[int, int]) -> None:
        """Only what was committed can be read."""
        self.notes = Notes(mark)
        self.notes.take((b"%d" % one.key, 0, one.offset, one.version is not None) for one in self.saved.log)
        alive = (one for one in self.saved.log if one.version is not None)
        self.left = [one.key for one in alive if self.notes.holds(b"%d" % one.key, 0, one.offset)]

    def _select(self) -> None:
        state = self.filling.states.get(self.filling.under_way)
        visible = sorted(self.server.state(self.server.visible).items())
        if state is None:  # it was stopped: what is read will not join
            self.selected = []
        elif state.state == "sweeping":
            self.page = self.left[:LIMIT]
            self.selected = [row for row in visible if row[0] in self.page]
        else:
            after = -1 if state.after is None else int(state.after[0] or 0)
            floor = int(state.where) if state.where else -1
            self.selected = [row for row in visible if row[0] > max(after, floor)][:LIMIT]

    def _arrive(self) -> None:
        state = self.filling.states.get(self.filling.under_way)
        end = len(self.server.logged) * BYTES_A_TRANSACTION
        moment = Moment(self.epoch, self.low, "", 0, 0, "bin.000001", end)
        chunk = Chunk("t", [_message(*row) for row in self.selected], moment, "bin.000001", end, None)
        if state is not None and state.state == "sweeping":
            chunk = replace(chunk, messages=[])
        elif len(self.selected) == LIMIT:
            chunk = replace(chunk, last=(self.selected[-1][0],))
        self.filling.arrived(replace(chunk, read=len(self.selected), mark=self.mark))
        self.reader = "arrived"

    def _join(self) -> None:
        chunk = self.filling.due("bin.000001", self.read * BYTES_A_TRANSACTION)
        if chunk is None:
            return
        self.reader = "idle"
        if self.filling.stale:
            self.filling.dropped()
            return
        at = position.snapshot(self.epoch, chunk.low)
        if self.filling.states[self.filling.under_way].state == "sweeping":
            there = dict(self.selected)
            told = [key for key in self.page if self.filling.unchanged(chunk, b"%d" % key)]
            for key in told:
                self._emit(key, at, there.get(key), snapshot=True)
            self.filling.swept(sum(key not in there for key in told), ended=not self.page)
            self.left = self.left[len(self.page) :]
            if self.filling.states["t"].state == "done":
                self.notes = None
            return
        for message in self.filling.surviving(chunk):
            self._emit(int(message.key), at, int(message.value or b""), snapshot=True)
        self.filling.joined(chunk, 0.0)

    def rest(self, _: int = 0) -> None:
        """No changes for a while."""
        for _ in range(40):
            self.show()
            self.stream()
            self.chunk()
            self.commit()

    def finish(self) -> None:
        """No more changes: everything becomes visible, is streamed, filled, swept and committed."""
        self.resume()
        for _ in range(10):
            self.rest()
        assert not self.filling.running

    @property
    def truth(self) -> dict[int, int]:
        return self.server.state(len(self.server.logged))


def _message(key: int, version: int) -> Message:
    return Message("t", b"%d" % key, b"%d" % version, Headers(0, 0, ""))
