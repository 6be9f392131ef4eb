"""The first fill beside a stream that goes on: no older row after a newer change, and nothing missing at the end."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changes import position
from changes.canonical import Value
from changes.progress import SnapshotState
from streams.capture.filling import Filling
from streams.capture.snapshot import Chunk

LIMIT = 2
BYTES_A_TRANSACTION = 100


@dataclass
class Server:
    """A table's history. ``logged`` transactions stand in the binlog, the first ``visible`` of them can be read."""

    rows: dict[int, int]  # key → ordinal of the transaction that wrote it
    logged: list[tuple[int, bool]] = field(default_factory=list)  # (key, deleted)
    visible: int = 0

    def state(self, upto: int) -> dict[int, int]:
        state = dict(self.rows)
        for ordinal, (key, deleted) in enumerate(self.logged[:upto], 1):
            if deleted:
                state.pop(key, None)
            else:
                state[key] = ordinal
        return state


@dataclass
class Emitted:
    """One record: the version of the row that it tells, or ``None`` for a delete."""

    key: int
    at: int
    version: int | None


class Machine:
    """The capture loop and its chunk reader, one step at a time."""

    def __init__(self, rows: dict[int, int]) -> None:
        self.server = Server(rows)
        self.filling = Filling({"t": SnapshotState("t", "running")})
        self.log: list[Emitted] = []
        self.read = 0
        self.reader: str = "idle"
        self.seen = self.low = 0
        self.selected: list[tuple[int, int]] = []

    def commit(self, key: int, deleted: bool) -> None:
        self.server.logged.append((key, deleted))

    def show(self) -> None:
        """A transaction is logged, and may be sent, before it is visible."""
        self.server.visible = min(self.server.visible + 1, len(self.server.logged))

    def stream(self) -> None:
        if self.read < len(self.server.logged):
            key, deleted = self.server.logged[self.read]
            self.read += 1
            at = position.pack(0, self.read, 0)
            self.log.append(Emitted(key, at, None if deleted else self.read))
            self.filling.saw("t", b"%d" % key, self.read)
        self.join()

    def chunk(self) -> None:
        """The next step of the reader: ask, wait and low watermark, select, high watermark."""
        if self.reader == "idle":
            if self.filling.next_table() is not None:
                self.filling.open_window("t")
                self.seen, self.reader = self.read, "asked"
        elif self.reader == "asked":
            if self.server.visible >= self.seen:
                self.low, self.reader = self.server.visible, "low"
        elif self.reader == "low":
            after = self.filling.states["t"].after
            visible = sorted(self.server.state(self.server.visible).items())
            self.selected = [row for row in visible if after is None or row[0] > int(after[0] or 0)][:LIMIT]
            self.reader = "selected"
        elif self.reader == "selected":
            last = (self.selected[-1][0],) if len(self.selected) == LIMIT else None
            rows: list[dict[str, Value]] = [{"id": key, "version": version} for key, version in self.selected]
            end = len(self.server.logged) * BYTES_A_TRANSACTION
            self.filling.arrived(Chunk("t", rows, self.low, "bin.000001", end, last))
            self.reader = "arrived"
        self.join()

    def join(self) -> None:
        chunk = self.filling.due("bin.000001", self.read * BYTES_A_TRANSACTION)
        if chunk is None:
            return
        keyed = ((b"%d" % int(str(row["id"])), row) for row in chunk.rows)
        survivors = list(self.filling.surviving(chunk, keyed))
        at = position.snapshot(0, chunk.low)
        self.log += [Emitted(int(str(row["id"])), at, int(str(row["version"]))) for row in survivors]
        self.filling.joined(chunk, len(survivors))
        self.reader = "idle"

    def finish(self) -> None:
        """No more commits: everything becomes visible, is streamed and filled."""
        for _ in range(200):
            self.show()
            self.stream()
            self.chunk()
        assert not self.filling.running


keys = st.integers(0, 5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), keys, st.booleans()),
        st.tuples(st.just("show"), keys, st.booleans()),
        st.tuples(st.just("stream"), keys, st.booleans()),
        st.tuples(st.just("chunk"), keys, st.booleans()),
        st.tuples(st.just("chunk"), keys, st.booleans()),
    ),
    max_size=60,
)


def run(rows: set[int], moves: list[tuple[str, int, bool]]) -> Machine:
    machine = Machine(dict.fromkeys(rows, 0))
    for what, key, deleted in moves:
        if what == "commit":
            machine.commit(key, deleted)
        else:
            {"show": machine.show, "stream": machine.stream, "chunk": machine.chunk}[what]()
    machine.finish()
    return machine


@given(st.sets(keys), steps)
@settings(max_examples=200)
def test_whatever_the_interleaving_the_last_record_of_every_key_is_its_row(
    rows: set[int], moves: list[tuple[str, int, bool]]
) -> None:
    machine = run(rows, moves)
    last = {record.key: record.version for record in machine.log}
    alive = {key: version for key, version in last.items() if version is not None}
    assert alive == machine.server.state(len(machine.server.logged))


@given(st.sets(keys), steps)
@settings(max_examples=200)
def test_whatever_the_interleaving_a_store_guarded_by_position_ends_as_the_source(
    rows: set[int], moves: list[tuple[str, int, bool]]
) -> None:
    machine = run(rows, moves)
    store: dict[int, Emitted] = {}
    for record in machine.log:
        if record.key not in store or store[record.key].at <= record.at:
            store[record.key] = record
    alive = {key: record.version for key, record in store.items() if record.version is not None}
    assert alive == machine.server.state(len(machine.server.logged))


@given(st.sets(keys), steps)
@settings(max_examples=200)
def test_no_row_of_a_chunk_stands_behind_a_newer_change_of_its_key(
    rows: set[int], moves: list[tuple[str, int, bool]]
) -> None:
    newest: dict[int, int] = {}
    for record in run(rows, moves).log:
        _, ordinal, row = position.unpack(record.at)
        if row == position.SNAPSHOT_ROW:
            assert record.version is not None
            assert newest.get(record.key, 0) <= record.version
        else:
            newest[record.key] = ordinal


def chunk(*, low: int = 5, file: str = "bin.000009", offset: int = 100, last: tuple[int] | None = (2,)) -> Chunk:
    return Chunk("t", [{"id": 1}, {"id": 2}], low, file, offset, last)


def opened() -> Filling:
    filling = Filling({"t": SnapshotState("t", "running")})
    filling.open_window("t")
    return filling


@pytest.mark.parametrize(
    ("file", "offset", "due"),
    [
        ("bin.000009", 99, False),
        ("bin.000009", 100, True),
        ("bin.000008", 5000, False),
        ("bin.000010", 4, True),
        ("bin.1000000", 4, True),
    ],
)
def test_a_chunk_is_due_once_the_stream_has_passed_its_high_watermark(file: str, offset: int, due: bool) -> None:
    filling = opened()
    filling.arrived(chunk())
    assert (filling.due(file, offset) is not None) == due


def survivors(filling: Filling) -> list[object]:
    return [row["id"] for row in filling.surviving(chunk(), iter([(b"1", {"id": 1}), (b"2", {"id": 2})]))]


def test_a_key_that_changed_behind_the_low_watermark_is_dropped_and_its_neighbour_stays() -> None:
    filling = opened()
    filling.saw("t", b"1", 6)
    assert survivors(filling) == [2]


def test_a_key_that_changed_before_the_low_watermark_stays() -> None:
    filling = opened()
    filling.saw("t", b"1", 5)
    assert survivors(filling) == [1, 2]


def test_changes_of_other_tables_and_of_earlier_windows_mean_nothing() -> None:
    filling = opened()
    filling.saw("t", b"1", 6)
    filling.open_window("t")
    filling.saw("other", b"2", 6)
    assert survivors(filling) == [1, 2]


def test_one_chunk_is_under_way_at_a_time() -> None:
    filling = Filling({"a": SnapshotState("a", "running"), "t": SnapshotState("t", "running")})
    assert filling.next_table() == "a"
    filling.open_window("a")
    assert filling.next_table() is None


def test_a_joined_chunk_moves_its_table_on_and_the_last_one_ends_it() -> None:
    filling = opened()
    filling.arrived(chunk())
    assert filling.joined(chunk(), 1) == SnapshotState("t", "running", 1, [2])
    assert filling.due("bin.000010", 4) is None
    filling.open_window("t")
    assert filling.joined(chunk(last=None), 2) == SnapshotState("t", "done", 3, [2])
    assert not filling.running
    assert filling.next_table() is None


def test_a_table_that_is_filled_anew_begins_again_and_the_chunk_under_way_does_not_join() -> None:
    filling = Filling({"t": SnapshotState("t", "running", 4, [4])})
    filling.open_window("t")
    filling.arrived(chunk())
    assert not filling.stale
    assert filling.refill("t", "truncate") == SnapshotState("t", "running", reason="truncate")
    assert filling.stale
    filling.dropped()
    assert filling.next_table() == "t"
    filling.open_window("t")
    assert not filling.stale


def test_another_table_that_is_filled_anew_leaves_the_chunk_under_way() -> None:
    filling = Filling({"a": SnapshotState("a", "done"), "t": SnapshotState("t", "running")})
    filling.open_window("t")
    filling.refill("a", "truncate")
    assert not filling.stale
