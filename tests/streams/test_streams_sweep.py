"""Which keys a sweep finds, what is told of them, and fills in words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.progress import SnapshotState
from changes.schema import Column, Kind, TableSchema, kind_of
from streams.capture.emit import Moment, TablePlan
from streams.capture.snapshot import Chunk
from streams.capture.sweep import Left, Notes, Sweep, TopicEnds
from streams.fills import fill_of, in_words, unfinished
from streams.kafka import KafkaUrl
from streams.typed import typed_key

FULL = TableSchema("d", "t", (Column("id", Kind.INTEGER, "int"), Column("owner", Kind.TEXT, "varchar(9)")), ())
PLAN = TablePlan.of("future", "future.d.t", FULL, ("id",), frozenset())
MOMENT = Moment(0, 42, "", 1_767_323_045_006_007, 0, "bin.000003", 154)

records = st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=30)


@given(st.tuples(records, records), st.tuples(st.integers(0, 30), st.integers(0, 30)), st.integers(1, 7))
def test_keys_are_noted_whose_last_record_is_a_row_below_the_mark(
    told: tuple[list[tuple[int, bool]], ...], marks: tuple[int, int], portion: int
) -> None:
    notes = Notes(dict(enumerate(marks)))
    last: dict[bytes, tuple[int, int, bool]] = {}
    for part, changes in enumerate(told):
        stream = [(b"%d/%d" % (part, key), part, at, alive) for at, (key, alive) in enumerate(changes)]
        for first in range(0, len(stream), portion):
            notes.take(stream[first : first + portion])
        last |= {key: (part, at, alive) for key, part, at, alive in stream}
    left = {key: (part, at) for key, (part, at, alive) in last.items() if alive and at < marks[part]}
    assert len(notes) == len(left)
    assert all(notes.holds(key, *where) for key, where in left.items())
    assert not any(notes.holds(key, part, at + 1) for key, (part, at) in left.items())
    assert notes.firsts() == {
        part: min(at for other, at in left.values() if other == part) for part in {part for part, _ in left.values()}
    }


NOWHERE = KafkaUrl.parse("kafka://nowhere:9092")


def swept(page: list[Left], rows: dict[bytes, dict[str, object]], changed: bytes = b"") -> list[tuple[bytes, object]]:
    sweep = Sweep(NOWHERE, "future", "future.d.t", "t", {}, TopicEnds(NOWHERE, "future"))
    sweep.page = page
    chunk = Chunk("t", (), MOMENT, "bin.000003", 154, None, PLAN, rows)  # type: ignore[arg-type]
    told = sweep.told(chunk, PLAN, lambda key: key != changed)
    return [(message.key, message.value and json.loads(message.value)) for message in told]


def test_a_key_that_mysql_does_not_have_is_deleted_where_its_row_was_told_last() -> None:
    page = [Left(b'{"id":1}', (1,), {"id": 1, "owner": "ann", "dropped": 5}, 0, 0), Left(b'{"id":2}', (2,), {}, 0, 1)]
    change, tombstone = swept(page, {}, changed=b'{"id":2}')
    assert change[0] == tombstone[0] == b'{"id":1}'
    assert isinstance(change[1], dict)
    assert (change[1]["op"], change[1]["before"]) == ("d", {"id": 1, "owner": "ann"})
    assert tombstone[1] is None


def test_a_key_that_mysql_has_after_all_is_told_as_it_is() -> None:
    page = [Left(b'{"id":1}', (1,), {"id": 1, "owner": "ann"}, 0, 0)]
    ((key, value),) = swept(page, {b'{"id":1}': {"id": 1, "owner": "bob"}})
    assert isinstance(value, dict)
    assert (key, value["op"], value["before"], value["after"]) == (
        b'{"id":1}',
        "r",
        {"id": 1, "owner": "ann"},
        {"id": 1, "owner": "bob"},
    )


def test_a_key_of_another_type_is_deleted_under_its_own_bytes() -> None:
    left = Left(b'{"id":"1"}', ("1",), {"id": "1"}, 0, 0)
    change, tombstone = swept([left], {b'{"id":1}': {"id": 1, "owner": "bob"}})
    assert (change[0], tombstone) == (b'{"id":"1"}', (b'{"id":"1"}', None))


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("bigint unsigned", " 18446744073709551615", 2**64 - 1),
        ("decimal(10,3)", "1.5", "1.500"),
        ("double", "1e3", 1000.0),
        ("varchar(9)", " a b", " a b"),
        ("bit(1)", "1", True),
        ("date", "2026-01-02", "2026-01-02Z"),
        ("date", "2026-01-02Z", "2026-01-02Z"),
        ("datetime", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z"),
        ("datetime(3)", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.100Z"),
        ("time(2)", "-01:02:03", "-01:02:03.00Z"),
        ("varbinary(8)", "YQ==", "YQ=="),
    ],
)
def test_a_typed_value_takes_the_envelopes_form(type_: str, text: str, value: object) -> None:
    schema = TableSchema("d", "t", (Column("k", kind_of(type_), type_),), ("k",))
    assert typed_key(schema, ("k",), [text]) == [value]


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="`id` is int, which `one` is not"):
        typed_key(FULL, ("id",), ["one"])
    with pytest.raises(ValueError, match=r"a key of `t` has 1 values \(id\), not 2"):
        typed_key(FULL, ("id",), ["1", "2"])


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SnapshotState("t", "running", 0, estimate=10), "filling t: 0 of about 10 rows"),
        (
            SnapshotState("t", "running", 4000, estimate=10_000, rate=1500.0),
            "filling t: 4000 of about 10000 rows, 1500 rows/s, about 4 s to go",
        ),
        (SnapshotState("t", "running", 12, estimate=10, rate=5.0), "filling t: 12 of about 12 rows, 5 rows/s"),
        (SnapshotState("t", "running", 4, estimate=9, rate=1.0, paused=True), "filling t: 4 of about 9 rows, paused"),
        (
            SnapshotState("t", "running", 4, estimate=9, id="x", where="id > 4"),
            "filling t where id > 4: 4 of about 9 rows",
        ),
        (SnapshotState("t", "sweeping", 9, estimate=9, rate=5.0, swept=2), "sweeping t: 9 rows read, 2 deleted"),
    ],
)
def test_a_fill_in_words(state: SnapshotState, words: str) -> None:
    assert in_words(fill_of(state)) == words
    assert unfinished([state, SnapshotState("u", "done")]) == [fill_of(state)]
