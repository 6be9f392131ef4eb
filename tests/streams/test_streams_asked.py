"""Rows that a request names: the statement, the records, and the window they share with first fills."""

import json

import pytest

from changes import position
from changes.canonical import Value
from changes.progress import Asked, Request, SnapshotState
from changes.schema import Column, Kind, TableSchema
from streams.capture.emit import Message, Moment, TablePlan, asked_key, asked_messages
from streams.capture.filling import Filling
from streams.capture.requests import Pending
from streams.capture.select import select_keys
from streams.capture.snapshot import Chunk

FULL = TableSchema(
    "d",
    "t",
    (Column("id", Kind.INTEGER, "int"), Column("owner", Kind.TEXT, "varchar(9)"), Column("body", Kind.TEXT, "text")),
    (),
)
PLAN = TablePlan.of("future", "future.d.t", FULL, ("id",), frozenset())
MOMENT = Moment(0, 42, "", 1_767_323_045_006_007, 0, "bin.000003", 154)
ROW: dict[str, Value] = {"id": 1, "owner": "ann", "body": "text"}
AT = position.snapshot(0, 42)


def told(hint: dict[str, Value], row: dict[str, Value] | None) -> list[Message]:
    return list(asked_messages(PLAN, (1,), hint, row, MOMENT, 5))


def test_rows_are_read_by_their_keys() -> None:
    assert select_keys(FULL, ("id",), [(1,), (2,)]) == (
        "SELECT `id`, `owner`, `body` FROM `d`.`t` WHERE `id` IN (%s, %s)",
        [1, 2],
    )
    sql, arguments = select_keys(FULL, ("id", "owner"), [(1, "a"), (2, "b")])
    assert sql.endswith("WHERE (`id`, `owner`) IN ((%s, %s), (%s, %s))")
    assert arguments == [1, "a", 2, "b"]


def test_a_row_that_is_there_is_told_as_a_snapshot_tells_it() -> None:
    (message,) = told({}, ROW)
    envelope = json.loads(message.value or b"")
    assert (envelope["op"], envelope["before"], envelope["after"]) == ("r", None, ROW)
    assert message.headers.position == AT


def test_a_hint_says_where_else_a_row_lies() -> None:
    (message,) = told({"owner": "bob", "unknown": 1}, ROW)
    envelope = json.loads(message.value or b"")
    assert (envelope["before"], envelope["after"]) == (ROW | {"owner": "bob"}, ROW)


def test_a_row_that_is_gone_is_told_as_a_delete_and_its_tombstone() -> None:
    change, tombstone = told({"owner": "bob"}, None)
    envelope = json.loads(change.value or b"")
    assert (envelope["op"], envelope["before"], envelope["after"]) == (
        "d",
        {"id": 1, "owner": "bob", "body": None},
        None,
    )
    assert (change.key, tombstone.key, tombstone.value) == (b'{"id":1}', b'{"id":1}', None)
    assert (change.headers.position, tombstone.headers.hash) == (AT, 0)


def test_a_key_is_brought_to_the_envelopes_form_or_refused() -> None:
    assert asked_key(PLAN, ["7"]) == (7,)
    with pytest.raises(ValueError, match="invalid literal"):
        asked_key(PLAN, ["seven"])
    with pytest.raises(ValueError, match="1 values, not 2"):
        asked_key(PLAN, [1, 2])


def test_a_requests_window_lets_only_unchanged_keys_through_and_then_closes() -> None:
    filling = Filling({"t": SnapshotState("t", "running")})
    filling.pending = Pending(3, Request("x", "t", [Asked([1])]))
    filling.open_window("t")
    assert filling.next_fill() is None
    filling.saw("t", b"1", 41)
    filling.saw("t", b"2", 43)
    chunk = Chunk("t", [], MOMENT, "bin.000001", 100, None)
    assert [filling.unchanged(chunk, key) for key in (b"1", b"2", b"3")] == [True, False, True]
    filling.answered()
    assert (filling.idle, filling.pending, filling.next_fill()) == (True, None, "t")


def test_a_whole_table_is_filled_anew() -> None:
    filling = Filling({"t": SnapshotState("t", "done", rows=9, after=[9], estimate=10)})
    assert filling.refill("t", "asked") == SnapshotState("t", "running", estimate=10, reason="asked")
    filling.settled()
    assert filling.next_fill() == "t"
