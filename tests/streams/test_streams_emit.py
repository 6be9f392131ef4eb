"""From a row's change to the records that tell it."""

import json
from typing import Any

import msgspec
import pytest

from changes import position
from changes.canonical import Value, row_hash
from changes.envelope import Headers
from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema
from streams.capture import emit
from streams.capture.emit import Message, Moment, TablePlan, change_messages, snapshot_message

FULL = TableSchema(
    "jobfirst_future",
    "notes",
    (
        Column("id", Kind.INTEGER, "bigint", False),
        Column("owner", Kind.TEXT, "varchar(50)", False),
        Column("secret", Kind.TEXT, "text"),
        Column("body", Kind.TEXT, "longtext"),
    ),
    (),
)
PLAN = TablePlan.of("future", "future.jobfirst_future.notes", FULL, ("id",), frozenset({"secret"}))
MOMENT = Moment(0, 42, "u:42", 1_767_323_045_006_007, 7, "bin.000003", 154)
ROW: dict[str, Value] = {"id": 1, "owner": "ann", "secret": "x", "body": "text"}
KEPT: dict[str, Value] = {"id": 1, "owner": "ann", "body": "text"}


def emitted(
    before: dict[str, Value] | None,
    after: dict[str, Value] | None,
    plan: TablePlan = PLAN,
    largest: int = emit.LARGEST_MESSAGE,
) -> list[Message]:
    return list(change_messages(plan, (before, after), MOMENT, 3, (9, 4), 1_767_323_045_010, largest))


def told(message: Message) -> dict[str, Any]:
    assert message.value is not None
    return msgspec.json.decode(message.value, type=dict[str, Any])


AT = position.pack(0, 42, 3)
WRITTEN = Headers(AT, row_hash(PLAN.schema.columns, KEPT), PLAN.fingerprint)
DELETED = Headers(AT, 0, PLAN.fingerprint)


def test_an_insert_is_one_record_with_the_row_after_it() -> None:
    (message,) = emitted(None, ROW)
    assert (message.topic, message.key, message.headers) == ("future.jobfirst_future.notes", b'{"id":1}', WRITTEN)
    envelope = told(message)
    assert (envelope["op"], envelope["before"], envelope["after"]) == ("c", None, KEPT)


def test_an_update_is_one_record_with_both_rows() -> None:
    (message,) = emitted({**ROW, "body": "old"}, ROW)
    envelope = told(message)
    assert (envelope["op"], envelope["before"], envelope["after"]) == ("u", {**KEPT, "body": "old"}, KEPT)
    assert message.headers == WRITTEN


def test_a_delete_is_a_record_with_the_row_before_it_and_a_tombstone_with_the_same_headers() -> None:
    message, tombstone = emitted(ROW, None)
    envelope = told(message)
    assert (envelope["op"], envelope["before"], envelope["after"]) == ("d", KEPT, None)
    assert tombstone == Message(message.topic, message.key, None, message.headers)
    assert message.headers == DELETED


def test_a_changed_key_is_a_delete_of_the_old_row_and_a_create_of_the_new_at_one_position() -> None:
    messages = emitted(ROW, {**ROW, "id": 2})
    assert [(message.key, message.value is None, message.headers.position) for message in messages] == [
        (b'{"id":1}', False, AT),
        (b'{"id":1}', True, AT),
        (b'{"id":2}', False, AT),
    ]
    assert [told(messages[0])["op"], told(messages[2])["op"], told(messages[2])["before"]] == ["d", "c", None]


def test_a_key_that_changes_in_case_alone_is_another_row() -> None:
    plan = TablePlan.of("future", "t", FULL, ("owner",), frozenset())
    keys = [message.key for message in emitted({**ROW, "owner": "Abc"}, {**ROW, "owner": "abc"}, plan)]
    assert keys == [b'{"owner":"Abc"}', b'{"owner":"Abc"}', b'{"owner":"abc"}']


def test_dropped_columns_are_nowhere_in_what_is_written() -> None:
    hidden = {**ROW, "secret": "hidden-value"}
    messages = [*emitted(None, hidden), *emitted(hidden, hidden), *emitted(hidden, None)]
    messages.append(snapshot_message(PLAN, hidden, MOMENT, 0))
    assert len(messages) == 5
    for message in messages:
        assert b"secret" not in (message.value or b"")
        assert b"hidden-value" not in (message.value or b"") + message.key


def test_the_hash_does_not_see_dropped_columns() -> None:
    (one,), (other,) = emitted(None, ROW), emitted(None, {**ROW, "secret": "other"})
    assert one.headers.hash == other.headers.hash


def test_a_snapshot_row_stands_behind_the_transactions_that_it_saw_and_in_none() -> None:
    message = snapshot_message(PLAN, ROW, MOMENT, 5)
    envelope = told(message)
    assert (envelope["op"], envelope["before"], envelope["after"]) == ("r", None, KEPT)
    assert envelope["source"]["snapshot"] == "incremental"
    assert envelope["transaction"] is None
    assert message.headers == Headers(position.snapshot(0, 42), WRITTEN.hash, PLAN.fingerprint)


def test_the_source_tells_where_and_when_and_the_block_tells_the_order() -> None:
    envelope = told(emitted(None, ROW)[0])
    source = envelope["source"]
    assert {name: source[name] for name in ("name", "db", "table", "server_id", "gtid", "file", "pos", "row")} == {
        "name": "future",
        "db": "jobfirst_future",
        "table": "notes",
        "server_id": 7,
        "gtid": "u:42",
        "file": "bin.000003",
        "pos": 154,
        "row": 3,
    }
    assert (source["ts_ms"], source["ts_us"], source["ts_ns"]) == (
        1_767_323_045_006,
        1_767_323_045_006_007,
        1_767_323_045_006_007_000,
    )
    assert envelope["ts_ms"] == 1_767_323_045_010
    assert envelope["transaction"] == {"id": "u:42", "total_order": 9, "data_collection_order": 4}


def test_a_table_that_lost_its_key_column_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"^table `notes` no longer has the key column `code`$"):
        TablePlan.of("future", "t", FULL, ("id", "code"), frozenset())


def test_the_plan_is_of_the_columns_that_are_kept_with_the_declared_key() -> None:
    assert [column.name for column in PLAN.schema.columns] == ["id", "owner", "body"]
    assert PLAN.schema.key == ("id",)
    assert PLAN.fingerprint == PLAN.schema.fingerprint


LONG: dict[str, Value] = {**ROW, "body": "b" * 6000}


def test_an_update_too_large_for_kafka_goes_without_the_long_values_before_it() -> None:
    (message,) = emitted(LONG, {**LONG, "owner": "bob"}, largest=10_000)
    envelope = told(message)
    assert len(message.value or b"") <= 10_000
    assert envelope["after"] == {"id": 1, "owner": "bob", "body": "b" * 6000}
    assert envelope["before"] == {"id": 1, "owner": "ann"}


def test_a_delete_too_large_for_kafka_still_tells_its_key_whatever_the_keys_kind() -> None:
    plan = TablePlan.of("future", "t", FULL, ("owner",), frozenset())
    message, tombstone = emitted({**ROW, "body": "b" * 12000}, None, plan, 10_000)
    before = told(message)["before"]
    assert message.key == tombstone.key == json.dumps({"owner": "ann"}, separators=(",", ":")).encode()
    assert before["owner"] == "ann"
    assert "body" not in before
