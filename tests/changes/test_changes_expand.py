"""From a change to records: moves are a delete and a write, and only the last record of a row survives."""

from collections.abc import Mapping

import msgspec
import pytest
from changes_examples import NOTES, target
from hypothesis import given
from hypothesis import strategies as st

from changes.canonical import Value
from changes.envelope import Delivered, Headers
from changes.errors import Rejected
from changes.expand import collapse, expand
from changes.key import Key, key_of
from changes.record import Record
from changes.target import Target

HEADERS = Headers(position=77, hash=123, schema=NOTES.fingerprint)
Row = dict[str, bool | int | float | str | None]
BEFORE: Row = {"id": 1, "user_id": 10, "text": "old", "phone": "1"}
AFTER: Row = {"id": 1, "user_id": 20, "text": "new", "phone": "2"}
FILES = target()


def by_user(_: Target, row: Mapping[str, Value]) -> str:
    return str(row["user_id"])


def nowhere(_: Target, __: Mapping[str, Value]) -> str:
    return ""


def told(records: list[Record]) -> list[tuple[str, int, object, int]]:
    return [(record.place, record.position, record.row, record.hash) for record in records]


def test_an_insert_is_one_write() -> None:
    assert told(expand(Delivered("c", after=AFTER), HEADERS, NOTES, FILES, by_user)) == [("20", 77, AFTER, 123)]


def test_a_snapshot_row_is_one_write() -> None:
    assert told(expand(Delivered("r", after=AFTER), HEADERS, NOTES, FILES, by_user)) == [("20", 77, AFTER, 123)]


def test_an_update_in_place_is_one_write() -> None:
    records = expand(Delivered("u", before=BEFORE, after=AFTER), HEADERS, NOTES, FILES, nowhere)
    assert told(records) == [("", 77, AFTER, 123)]


def test_a_row_that_moved_is_deleted_where_it_was_then_written_where_it_goes_at_one_position() -> None:
    records = expand(Delivered("u", before=BEFORE, after=AFTER), HEADERS, NOTES, FILES, by_user)
    assert told(records) == [("10", 77, None, 0), ("20", 77, AFTER, 123)]
    assert records[0].key == records[1].key == key_of(NOTES, {"id": 1})


def test_a_delete_is_a_delete_where_the_row_was() -> None:
    records = expand(Delivered("d", before=BEFORE), HEADERS, NOTES, FILES, by_user)
    assert told(records) == [("10", 77, None, 0)]


def test_a_delete_of_which_but_the_key_is_told_is_nothing_where_rows_have_a_place() -> None:
    """As a request by key has it told, of a row that is not there."""

    def owned(target: Target, row: Mapping[str, Value]) -> str:
        if row["user_id"] is None:
            raise Rejected("the row belongs to nobody")
        return by_user(target, row)

    only_key: Row = {"id": 1, "user_id": None, "text": None, "phone": None}
    assert expand(Delivered("d", before=only_key), HEADERS, NOTES, FILES, owned) == []
    assert told(expand(Delivered("d", before=only_key), HEADERS, NOTES, FILES, nowhere)) == [("", 77, None, 0)]
    with pytest.raises(Rejected):
        expand(Delivered("d", before=only_key | {"text": "a row of nobody's"}), HEADERS, NOTES, FILES, owned)
    with pytest.raises(Rejected):
        expand(Delivered("c", after=only_key), HEADERS, NOTES, FILES, owned)


def test_a_change_of_nothing_is_nothing() -> None:
    assert expand(Delivered("d"), HEADERS, NOTES, FILES, by_user) == []


def test_an_update_whose_before_was_dropped_for_its_size_is_one_write() -> None:
    assert told(expand(Delivered("u", after=AFTER), HEADERS, NOTES, FILES, by_user)) == [("20", 77, AFTER, 123)]


def test_hidden_columns_stay_out_and_key_columns_never_do() -> None:
    shy = target(hidden=frozenset({"phone", "id"}))
    (record,) = expand(Delivered("c", after=AFTER), HEADERS, NOTES, shy, nowhere)
    assert record.row == {"id": 1, "user_id": 20, "text": "new"}
    narrow = target(only=frozenset({"text"}))
    (record,) = expand(Delivered("c", after=AFTER), HEADERS, NOTES, narrow, nowhere)
    assert record.row == {"id": 1, "text": "new"}


def test_what_is_hidden_stays_hidden_though_it_is_asked_for() -> None:
    both = target(hidden=frozenset({"phone"}), only=frozenset({"text", "phone"}))
    assert [column.name for column in both.columns(NOTES)] == ["id", "text"]


def record_of(place: str, id_: int, position: int, text: str | None, table: str = "notes") -> Record:
    row: Row | None = None if text is None else {"id": id_, "user_id": 1, "text": text, "phone": None}
    key = Key((id_,), b"%d" % id_)
    return Record(target(place=table), key, position, row, 0, NOTES, place)


records = st.builds(
    record_of,
    st.sampled_from(["10", "20"]),
    st.integers(1, 3),
    st.integers(1, 8),
    st.none() | st.sampled_from("abcdef"),
    st.sampled_from(["notes", "copies"]),
)

Cell = tuple[str, str, bytes]


def applied(batch: list[Record]) -> dict[Cell, tuple[int, Mapping[str, Value] | None]]:
    """A store that guards by ``stored <= new``, tombstones included."""
    store: dict[Cell, tuple[int, Mapping[str, Value] | None]] = {}
    for record in batch:
        cell = (record.target.name, record.place, record.key.canonical)
        if cell not in store or store[cell][0] <= record.position:
            store[cell] = record.position, record.row
    return store


@given(st.lists(records, max_size=40))
def test_collapsed_records_leave_a_store_as_all_of_them_would(batch: list[Record]) -> None:
    assert applied(collapse(batch)) == applied(batch)


@given(st.lists(records, max_size=40))
def test_one_record_of_each_row_in_each_place_survives(batch: list[Record]) -> None:
    cells = [(record.target.name, record.place, record.key) for record in collapse(batch)]
    assert len(cells) == len(set(cells))
    assert set(cells) == {(record.target.name, record.place, record.key) for record in batch}


@given(st.lists(records, max_size=40))
def test_survivors_keep_the_order_in_which_they_stood(batch: list[Record]) -> None:
    indices = [next(i for i, record in enumerate(batch) if record is kept) for kept in collapse(batch)]
    assert indices == sorted(indices)


def test_of_two_records_at_one_position_the_later_survives() -> None:
    one, two = record_of("10", 1, 5, "a"), record_of("10", 1, 5, "b")
    assert collapse([one, two]) == [two]


def test_a_row_that_moved_twice_within_a_batch_leaves_nothing_on_the_way() -> None:
    moves = [
        record_of("10", 1, 5, None),
        record_of("20", 1, 5, "a"),
        record_of("20", 1, 6, None),
        record_of("10", 1, 6, "b"),
    ]
    assert [(kept.place, kept.row is None) for kept in collapse(moves)] == [("20", True), ("10", False)]


def test_the_position_to_be_written_over_outlives_the_record_that_named_it() -> None:
    asked = msgspec.structs.replace(record_of("10", 1, 5, "a"), over=1 << 62)
    newer = record_of("10", 1, 6, "b")
    assert [(kept.position, kept.over) for kept in collapse([asked, newer])] == [(6, 1 << 62)]
    named = msgspec.structs.replace(newer, over=7)
    assert [(kept.position, kept.over) for kept in collapse([asked, named])] == [(6, 7)]
