"""The first fill beside a stream that goes on: no older row after a newer change, and nothing missing at the end."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from streams_fills import Emitted, Machine

from changes import position
from changes.envelope import Headers
from changes.progress import ASKED, SnapshotState
from streams.capture.emit import Message, Moment
from streams.capture.filling import Filling, begun
from streams.capture.snapshot import CHUNK_ROWS, Chunk

keys = st.integers(0, 5)
CALM = ("rest", "write", "delete", "show", "stream", "chunk", "chunk", "commit")
WILD = (*CALM, "rest", "truncate", "crash", "lose", "refill", "ask", "pause", "resume", "stop", "alter", "cascade")


def moves(names: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(names), keys), max_size=60)


def run(rows: set[int], steps: list[tuple[str, int]]) -> Machine:
    machine = Machine(rows)
    for name, key in steps:
        getattr(machine, name)(key)
    machine.finish()
    return machine


UNCOMMITTED = [(name, 0) for name in ("write", "truncate", "show", "show", "stream", "stream", "chunk")]
"""The table is emptied in the Kafka transaction of the row's change, and read again before that is committed."""


IN_SECRET = [(name, 0) for name in (*["chunk"] * 4, "cascade", "show", "stream")]
"""A row vanishes that the fill under way has told, and no event says so."""


@given(st.sets(keys), st.one_of(moves(CALM), moves((*CALM, "cascade", "crash")), moves(WILD)))
@example(set(), UNCOMMITTED)
@example({0, 1, 2, 3}, IN_SECRET)
@settings(max_examples=300)
def test_whatever_the_interleaving_the_last_record_of_every_key_is_its_row(
    rows: set[int], steps: list[tuple[str, int]]
) -> None:
    machine = run(rows, steps)
    last = {record.key: record.version for record in machine.log}
    assert {key: version for key, version in last.items() if version is not None} == machine.truth


@given(st.sets(keys), st.one_of(moves(CALM), moves(WILD)))
@settings(max_examples=200)
def test_whatever_the_interleaving_a_store_guarded_by_position_ends_as_the_source(
    rows: set[int], steps: list[tuple[str, int]]
) -> None:
    machine = run(rows, steps)
    store: dict[int, Emitted] = {}
    for record in machine.log:
        if record.key not in store or store[record.key].at <= record.at:
            store[record.key] = record
    assert {key: one.version for key, one in store.items() if one.version is not None} == machine.truth


@given(st.sets(keys), moves((*CALM, "crash", "refill", "ask", "pause", "resume", "stop", "alter")))
@settings(max_examples=200)
def test_no_row_of_a_chunk_stands_behind_a_newer_change_of_its_key(
    rows: set[int], steps: list[tuple[str, int]]
) -> None:
    newest: dict[int, int] = {}
    for record in run(rows, steps).log:
        if not record.snapshot:
            newest[record.key] = position.unpack(record.at)[1]
        elif record.version is not None:
            assert newest.get(record.key, 0) <= record.version


@given(st.sets(keys), moves((*CALM, "refill", "ask", "alter")))
@settings(max_examples=200)
def test_where_rows_are_told_of_by_events_alone_a_sweep_deletes_nothing(
    rows: set[int], steps: list[tuple[str, int]]
) -> None:
    machine = run(rows, steps)
    assert not [one for one in machine.log if one.snapshot and one.version is None]


def message(key: int) -> Message:
    return Message("t", b"%d" % key, b"{}", Headers(0, 0, ""))


def chunk(
    *,
    low: int = 5,
    file: str = "bin.000009",
    offset: int = 100,
    last: tuple[int] | None = (2,),
    mark: dict[int, int] | None = None,
) -> Chunk:
    moment = Moment(0, low, "", 0, 0, file, offset)
    return Chunk("t", [message(1), message(2)], moment, file, offset, last, read=2, mark=mark)


def opened(state: SnapshotState | None = None) -> Filling:
    filling = Filling({"t": state or SnapshotState("t", "running", mark={})})
    filling.open_window("t", "t")
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


def survivors(filling: Filling) -> list[bytes]:
    return [one.key for one in filling.surviving(chunk())]


def test_a_key_that_changed_behind_the_low_watermark_is_dropped_and_its_neighbour_stays() -> None:
    filling = opened()
    filling.saw("t", b"1", 6)
    assert survivors(filling) == [b"2"]


def test_a_key_that_changed_before_the_low_watermark_stays() -> None:
    filling = opened()
    filling.saw("t", b"1", 5)
    assert survivors(filling) == [b"1", b"2"]


def test_changes_of_other_tables_and_of_earlier_windows_mean_nothing() -> None:
    filling = opened()
    filling.saw("t", b"1", 6)
    filling.open_window("t", "t")
    filling.saw("other", b"2", 6)
    assert survivors(filling) == [b"1", b"2"]


def test_one_chunk_is_under_way_at_a_time_and_fills_take_turns() -> None:
    filling = Filling({name: SnapshotState(name, "running", mark={}) for name in ("a", "t")})
    assert filling.next_fill() == "a"
    filling.open_window("a", "a")
    assert filling.next_fill() is None
    filling.dropped()
    assert filling.next_fill() == "t"


def test_a_joined_chunk_moves_its_fill_on_and_the_last_one_ends_it() -> None:
    filling = opened()
    filling.arrived(chunk())
    assert filling.joined(chunk(), 1.0) == SnapshotState("t", "running", 2, [2], mark={})
    assert filling.due("bin.000010", 4) is None
    filling.open_window("t", "t")
    assert filling.joined(chunk(last=None), 2.0) == SnapshotState("t", "done", 4, [2], mark={}, rate=2.0)
    assert not filling.running
    assert filling.next_fill() is None


def test_a_table_whose_topic_held_something_is_swept_behind_its_fill() -> None:
    filling = opened(SnapshotState("t", "running"))
    state = filling.joined(chunk(last=None, mark={0: 7}), 1.0)
    assert (state.state, state.mark) == ("sweeping", {0: 7})
    assert filling.next_fill(lambda _: False) is None
    filling.open_window("t", "t")
    assert filling.swept(3, ended=False).state == "sweeping"
    filling.open_window("t", "t")
    state = filling.swept(1, ended=True)
    assert (state.state, state.swept, state.mark) == ("done", 4, None)


def test_a_table_that_is_filled_anew_begins_again_and_the_chunk_under_way_does_not_join() -> None:
    filling = opened(SnapshotState("t", "running", 4, [4], mark={0: 7}))
    filling.arrived(chunk())
    assert not filling.stale
    assert filling.refill("t", "truncate") == SnapshotState("t", "running", reason="truncate")
    assert filling.stale
    filling.dropped()
    assert filling.next_fill() is None
    filling.settled()
    assert filling.next_fill() == "t"
    filling.open_window("t", "t")
    assert not filling.stale


def test_another_table_that_is_filled_anew_leaves_the_chunk_under_way() -> None:
    filling = Filling({"a": SnapshotState("a", "done"), "t": SnapshotState("t", "running")})
    filling.open_window("t", "t")
    filling.refill("a", "truncate")
    assert not filling.stale


def test_a_fill_that_stores_need_stays_one_when_somebody_asks_for_it_too() -> None:
    filling = Filling({"t": SnapshotState("t", "done")})
    assert filling.refill("t", "truncate").reason == "truncate"
    assert filling.refill("t", ASKED, "embedding").reason == "truncate"
    assert filling.stopped("t") == []
    assert filling.refill("t", "drop") == SnapshotState("t", "running", reason="drop", derived="embedding")
    assert filling.refill("t", ASKED, "analysis").derived == "*"


def test_what_was_asked_for_can_be_stopped_and_a_part_leaves_nothing() -> None:
    filling = Filling({"t": SnapshotState("t", "done")})
    filling.refill("t", ASKED)
    part = filling.add(SnapshotState("t", "running", id="x", where="id > 4", reason=ASKED))
    assert [state.name for state in filling.stopped("t")] == ["t", "t/x"]
    assert filling.states == {"t": SnapshotState("t", "done", reason=ASKED)}
    assert part.name == "t/x"


def test_a_part_is_filled_beside_its_table_and_never_swept() -> None:
    filling = Filling({"t": SnapshotState("t", "done")})
    filling.add(SnapshotState("t", "running", id="x", where="id > 4"))
    assert filling.next_fill() == "t/x"
    filling.open_window("t", "t/x")
    assert filling.joined(chunk(last=None), 1.0).state == "done"
    assert list(filling.states) == ["t"]


def test_a_paused_fill_waits_and_goes_on_where_it_stood() -> None:
    filling = Filling({"t": SnapshotState("t", "running", 2, [2], mark={})})
    (paused,) = filling.paused("t", paused=True)
    assert (paused.paused, paused.after, filling.next_fill(), filling.running) == (True, [2], None, False)
    assert filling.paused("t", paused=True) == []
    (resumed,) = filling.paused("t", paused=False)
    assert (resumed.after, filling.next_fill()) == ([2], "t")


def test_a_chunk_that_was_full_of_bytes_makes_the_next_one_smaller() -> None:
    filling = opened()
    assert filling.limit("t") == CHUNK_ROWS
    filling.joined(chunk(), 1.0)
    assert filling.limit("t") == 3


def test_a_table_that_is_declared_no_more_is_forgotten_with_its_parts() -> None:
    kept, part, gone = (
        SnapshotState("t", "done"),
        SnapshotState("t", "running", id="x", where="id > 4"),
        SnapshotState("old", "done"),
    )
    fills, forgotten = begun({state.name: state for state in (kept, part, gone)}, ["t", "fresh"])
    assert fills == {"t": kept, "t/x": part, "fresh": SnapshotState("fresh", "running")}
    assert forgotten == [gone]


def test_a_table_that_is_not_there_is_known_as_absent_until_it_is_filled_anew() -> None:
    filling = Filling({"t": SnapshotState("t", "running")})
    filling.open_window("t", "t")
    state = filling.joined(replace(chunk(last=None), messages=(), absent=True, mark={0: 9}), 0.0)
    assert (state.state, state.absent) == ("sweeping", True)
    filling.open_window("t", "t")
    ended = filling.swept(3, ended=True)
    assert (ended.state, ended.absent) == ("done", True)
    assert not filling.refill("t", "created").absent


def test_what_is_being_read_may_be_put_in_doubt() -> None:
    filling = Filling({"t": SnapshotState("t", "running", 4, [4]), "a": SnapshotState("a", "done")})
    filling.open_window("t", "t")
    filling.doubt("a")
    assert not filling.stale
    filling.doubt("t")
    assert filling.stale
    filling.dropped()
    assert filling.states["t"] == SnapshotState("t", "running", 4, [4])


def test_a_table_that_changed_in_secret_is_filled_once_more_behind_the_fill_under_way() -> None:
    filling = Filling({"t": SnapshotState("t", "running", 4, [4])})
    state = filling.again("t")
    assert state is not None
    assert (state.state, state.after, state.again) == ("running", [4], True)
    assert filling.again("t") is None
    assert filling.stopped("t") == []
    filling.open_window("t", "t")
    anew_ = filling.joined(chunk(last=None), 0.0)
    assert (anew_.state, anew_.after, anew_.again, anew_.reason) == ("running", None, False, "cascade")
    assert filling.again("t") is None  # not a row of it has been asked for
