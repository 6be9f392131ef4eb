"""From consumed messages to the records of a lane."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pytest

from changes.canonical import Value
from changes.envelope import Headers, KafkaHeaders
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.deliver.prepare import Prepared, prepare
from streams.deliver.schemas import UnknownSchema

SCHEMA = TableSchema(
    "d",
    "notes",
    (
        Column("id", Kind.INTEGER, "bigint", False),
        Column("user_id", Kind.INTEGER, "bigint", False),
        Column("text", Kind.TEXT, "text"),
    ),
    ("id",),
)
TOPIC = "future.d.notes"
FILES = Target("future", "d", "notes", ("id",), "sqlite", DEFAULT_TIERS["local"], "notes", user="user_id")
CACHE = msgspec.structs.replace(FILES, place="copies")


@dataclass
class Sent:
    """A consumed message."""

    value_: bytes | None
    headers_: KafkaHeaders
    topic_: str = TOPIC

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def key(self) -> bytes:
        return b"{}"

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> KafkaHeaders:
        return self.headers_


def headers(at: int) -> KafkaHeaders:
    return [*Headers(at, 5, SCHEMA.fingerprint).to_kafka()]


def row(id_: int, user: int, text: str) -> dict[str, Value]:
    return {"id": id_, "user_id": user, "text": text}


def sent(at: int, before: Mapping[str, object] | None, after: Mapping[str, object] | None, op: str = "u") -> Sent:
    told = {"op": op, "before": before, "after": after, "source": {"ts_us": at * 10, "db": "d"}, "ts_ms": 1}
    return Sent(msgspec.json.encode(told), headers(at))


def schema_of(table: str, fingerprint: str) -> TableSchema:
    if (table, fingerprint) != ("notes", SCHEMA.fingerprint):
        raise UnknownSchema(f"no schema `{fingerprint}` of table `{table}` was published")
    return SCHEMA


def place(target: Target, values: Mapping[str, Value]) -> str:
    return str(values["user_id"])


def prepared(*messages: Sent, targets: tuple[Target, ...] = (FILES,)) -> Prepared:
    return prepare(messages, {TOPIC: targets}, schema_of, place)


def test_a_row_that_is_seen_before_its_schema_is_not_set_aside() -> None:
    early = Sent(sent(1, None, row(1, 7, "a"), "c").value_, [*Headers(1, 5, "0" * 16).to_kafka()])
    with pytest.raises(UnknownSchema, match="no schema `0000000000000000` of table `notes`"):
        prepared(early, GOOD)


def test_the_last_change_of_a_row_is_what_is_written() -> None:
    one, two = sent(1, None, row(1, 7, "a"), "c"), sent(2, row(1, 7, "a"), row(1, 7, "b"))
    made = prepared(one, two)
    assert [(record.position, record.row, record.place) for record in made.records] == [(2, row(1, 7, "b"), "7")]
    assert made.changes == 2


def test_every_record_finds_the_message_that_it_came_from_and_no_others_are_kept() -> None:
    messages = [
        sent(1, None, row(1, 7, "a"), "c"),
        sent(2, None, row(2, 7, "b"), "c"),
        sent(3, row(1, 7, "a"), None, "d"),
    ]
    made = prepared(*messages)
    assert [made.message_of[id(record)] for record in made.records] == [messages[1], messages[2]]
    assert len(made.message_of) == 2


def test_a_null_tombstone_is_filtered_and_counted() -> None:
    made = prepared(sent(1, row(1, 7, "a"), None, "d"), Sent(None, headers(1)))
    assert (made.filtered, made.changes) == (1, 1)
    assert [record.row for record in made.records] == [None]
    assert made.unreadable == []


def test_a_row_that_moved_is_a_delete_and_a_write_from_one_message() -> None:
    message = sent(1, row(1, 7, "a"), row(1, 8, "a"))
    made = prepared(message)
    assert [(record.place, record.row is None) for record in made.records] == [("7", True), ("8", False)]
    assert [made.message_of[id(record)] for record in made.records] == [message, message]
    assert made.changes == 1


def test_a_change_goes_to_every_target_of_its_topic() -> None:
    made = prepared(sent(1, None, row(1, 7, "a"), "c"), targets=(FILES, CACHE))
    assert [record.target.name for record in made.records] == ["notes", "copies"]


def test_a_topic_without_targets_gives_nothing() -> None:
    assert prepared(sent(1, None, row(1, 7, "a"), "c"), targets=()).records == []


def test_only_live_changes_tell_how_fresh_they_are() -> None:
    made = prepared(sent(1, None, row(1, 7, "a"), "r"), sent(2, None, row(2, 7, "b"), "c"))
    assert made.committed_us == [20]


GOOD = sent(9, None, row(9, 7, "z"), "c")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Sent(b"", headers(1)), "DecodeError"),
        (Sent(b"{", headers(1)), "DecodeError"),
        (Sent(b"\xff", headers(1)), "DecodeError"),
        (Sent(b'{"op":"x"}', headers(1)), "ValidationError"),
        (Sent(sent(1, None, row(1, 7, "a"), "c").value_, None), "ValueError: the record has no tr-pos"),
        (Sent(sent(1, None, row(1, 7, "a"), "c").value_, [("tr-pos", b"x")]), "ValueError: the record has no tr-pos"),
        (sent(1, None, {"id": 1, "user_id": 7}, "c"), "KeyError: 'text'"),
        (sent(1, None, {"id": 1, "text": "a"}, "c"), "KeyError: 'user_id'"),
        (sent(1, None, {"id": "x", "user_id": 7, "text": "a"}, "c"), "ValueError: no integer"),
        (sent(1, None, {"id": [1], "user_id": 7, "text": "a"}, "c"), "ValueError: no integer"),
        (sent(1, None, {"id": ["x"], "user_id": 7, "text": "a"}, "c"), "ValidationError"),
        (Sent(b'{"op":"c"}', [*Headers(1, 5, "").to_kafka(), ("tr-schema", b"\xff")]), "Unicode"),
    ],
)
def test_a_message_that_is_no_change_of_ours_is_set_aside_and_its_neighbours_go_on(bad: Sent, reason: str) -> None:
    made = prepared(bad, GOOD)
    assert [(message, told[: len(reason)]) for message, told in made.unreadable] == [(bad, reason)]
    assert [record.position for record in made.records] == [9]
    assert made.changes == 1
