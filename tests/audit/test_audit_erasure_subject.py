"""Whose a value, a row or a record is; how long topics keep it; and what a receipt says of it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.erasure import telling
from audit.erasure.plan import Step
from audit.erasure.retention import Keeping, keeping
from audit.erasure.secret import Secret
from audit.erasure.source import Owned
from audit.erasure.subject import Subject, Subjects, row_key
from audit.erasure.topics import Source, of_another, row_of, whose_letter
from audit.receipt import Followed, Table
from audit.search.needle import needle
from changes.schema import Column, Kind

SECRET = Secret.of(Ed25519PrivateKey.from_private_bytes(bytes(32)))
EMAIL, BIO = "rowan@example.org", "keeps bees and writes about them"
STEPS = [
    Step("notes", "user_id", "delete"),
    Step("posts", "author", "clear", {"author": 0}),
    Step("bills", "user_id", "keep"),
    Step("users", "id", "delete", {}, ("email",)),
]


def subjects() -> Subjects:
    needles = [
        needle(SECRET.search, EMAIL.encode(), "users.email", strict=True, group=0),
        needle(SECRET.search, BIO.encode(), "notes.body", group=1),
    ]
    keys = {"notes": frozenset([SECRET.key("notes", b'{"id":5}')])}
    return Subjects("future", SECRET, STEPS, [Subject(SECRET.who("future", "7"), needles, keys)])


class Record:
    """A Kafka message, as far as it is read here."""

    def __init__(self, key: Any, value: Any, topic: str = "") -> None:
        self._key, self._value, self._topic = key, value, topic

    def key(self) -> bytes:
        return json.dumps(self._key, separators=(",", ":")).encode()

    def value(self) -> bytes | None:
        return None if self._value is None else json.dumps(self._value).encode()

    def headers(self) -> list[tuple[str, bytes]]:
        return [("__connect.errors.topic", self._topic.encode())]


NOTES = Source("notes", ("id",), False)


def change(before: Any = None, after: Any = None) -> Any:
    return {"op": "u", "source": {}, "before": before, "after": after}


@pytest.mark.parametrize(
    ("table", "key", "row", "theirs"),
    [
        ("notes", {"id": 1}, {"user_id": 7}, True),
        ("notes", {"id": 1}, {"user_id": 8}, False),
        ("notes", {"id": 5}, {}, True),
        ("notes", {"id": 5}, {"user_id": 8}, False),
        ("notes", {"id": 6}, {}, False),
        ("posts", {"id": 1}, {"author": 7}, True),
        ("bills", {"id": 1}, {"user_id": 7}, False),
        ("users", {"id": 7}, {"id": 7}, True),
        ("jobs", {"id": 5}, {"user_id": 7}, False),
    ],
)
def test_a_row_is_its_owner_s_or_that_of_its_key(table: str, key: Any, row: Any, theirs: bool) -> None:
    found = subjects()
    assert (found.of_row(table, json.dumps(key, separators=(",", ":")).encode(), row) is found.all[0]) is theirs


@pytest.mark.parametrize(
    ("record", "theirs"),
    [
        (Record({"id": 1}, change(after={"id": 1, "user_id": 7, "body": "x"})), True),
        (
            Record({"id": 1}, change(before={"id": 1, "user_id": 7, "body": "x"}, after={"user_id": 8, "body": "y"})),
            True,
        ),
        (Record({"id": 5}, change(before={"id": 5, "user_id": 7})), False),  # names no more than its row
        (Record({"id": 5}, None), False),
        (Record({"id": 5}, "no change"), False),
        (Record({"id": 1}, change(after={"id": 1, "user_id": 8, "body": "x"})), False),
    ],
)
def test_a_record_is_of_a_row_of_theirs(record: Any, theirs: bool) -> None:
    assert (row_of(record, subjects(), NOTES) is not None) is theirs


def test_what_another_s_row_holds_too_is_nobody_s_trace() -> None:
    found = subjects()
    others = Record({"id": 1}, change(after={"id": 1, "user_id": 8, "body": f"{BIO}, {EMAIL}"}))
    their_own = Record({"id": 1}, change(after={"id": 1, "user_id": 7, "body": BIO}))
    same_email = Record({"id": 8}, change(after={"id": 8, "email": EMAIL}))
    assert of_another(others, found, NOTES, 1)  # type: ignore[arg-type]
    assert not of_another(others, found, NOTES, 0)  # type: ignore[arg-type]  an e-mail in a note is a copy of it
    assert not of_another(their_own, found, NOTES, 1)  # type: ignore[arg-type]
    assert of_another(same_email, found, Source("users", ("id",), False), 0)  # type: ignore[arg-type]
    assert not of_another(others, found, None, 1)  # type: ignore[arg-type]


def test_a_letter_is_theirs_by_its_row_or_by_what_it_holds() -> None:
    found, sources = subjects(), {"future.d.notes": NOTES}

    def letter(value: Any, topic: str = "future.d.notes") -> bool:
        return whose_letter(Record({"id": 1}, value, topic), found, sources) is not None  # type: ignore[arg-type]

    assert letter(change(after={"id": 1, "user_id": 7, "amount": 3}))
    assert not letter(change(after={"id": 1, "user_id": 8, "amount": 3}))
    assert not letter(change(after={"id": 1, "user_id": 8, "body": BIO}))
    assert letter(change(after={"id": 1, "user_id": 8, "body": EMAIL}))
    assert letter({"anything": EMAIL}, "elsewhere")
    found.share([1])
    assert not letter({"anything": BIO}, "elsewhere")


def test_the_key_of_a_row_is_that_of_what_was_made_of_it() -> None:
    assert row_key(b'{"id":5,"chunk":2}', ["id"]) == b'{"id":5}'
    assert row_key(b"copy", ["id"]) == b"copy"


def test_what_is_shared_is_not_looked_for_again() -> None:
    found = subjects()
    found.share([1])
    sought = found.all[0].sought(left_out=3)
    assert ([one.what for one in sought.needles], sought.shared, sought.left_out) == (["users.email"], 1, 3)
    assert Subject.of("x", sought).keys == found.all[0].keys


def test_how_long_a_topic_keeps_what_was_superseded() -> None:
    settings = {
        "cleanup.policy": "compact",
        "retention.ms": "604800000",
        "max.compaction.lag.ms": str((1 << 63) - 1),
        "delete.retention.ms": "5000",
    }
    assert keeping(settings) == Keeping(True, None, 5000)
    assert keeping(settings | {"max.compaction.lag.ms": "9000"}) == Keeping(True, 9000, 5000)
    assert keeping(settings | {"cleanup.policy": "delete"}) == Keeping(False, 604800000, None)
    assert keeping(settings | {"cleanup.policy": "delete", "retention.ms": "-1"}) == Keeping(False, None, None)


NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


def test_dates_are_those_of_the_longest() -> None:
    some = [Keeping(True, 1000, 60_000), Keeping(True, 3_600_000, 1000)]
    assert telling.due(NOW, some) == "2026-11-22T09:00:00Z"
    assert telling.due(NOW, [*some, Keeping(True, None, 1)]) == ""
    assert telling.due(NOW, []) == "2026-11-22T08:00:00Z"
    left = {one.what: one.until for one in telling.remains(NOW, [], some, [Table("bills", 3, "kept")], 1)}
    assert left["the keys of deleted rows, in tombstones of topics"] == "2026-11-22T09:01:00Z"
    assert left["3 rows of `bills`, as declared"] == ""
    assert "the person's SQLite file: empty tables, and keys of deleted rows" in left
    (log, *_) = telling.outside(NOW, 86400.0, ["deepseek"])
    assert (log.what, log.until) == ("MySQL's binlog, and those of its replicas", "2026-11-23T08:00:00Z")
    assert telling.outside(NOW, None, ["deepseek"])[-1].what == "what the endpoint `deepseek` keeps of calls"


def test_tables_tell_what_was_done_and_what_is_there_again() -> None:
    what = [Owned(step, Column(step.by, Kind.INTEGER, "bigint"), 7) for step in STEPS]
    done, there = {"notes": 2, "posts": 1, "users": 0}, {"notes": 0, "posts": 0, "bills": 4, "users": 1}
    assert telling.tables(what, done, there) == [
        Table("notes", 2, "deleted"),
        Table("posts", 1, "cleared"),
        Table("bills", 4, "kept"),
    ]
    assert telling.came_back(what, there) == {"users": 1}
    assert telling.followed(0, 1, 0, 2) == [
        Followed("SQLite files written anew", 1),
        Followed("rows told again, so that topics keep no older ones", 2),
    ]


def test_a_person_s_rows_are_named_exactly() -> None:
    text = Owned(Step("notes", "owner", "delete"), Column("owner", Kind.TEXT, "varchar(20)"), "wei")
    assert text.where == ("`owner` = %s AND CONVERT(`owner` USING utf8mb4) COLLATE utf8mb4_bin = %s", ["wei", "wei"])
    cleared = Owned(Step("v", "user_id", "clear", {"a": None, "b": 0}), Column("user_id", Kind.INTEGER, "bigint"), 7)
    assert cleared.where == ("`user_id` = %s AND NOT (`a` <=> %s AND `b` <=> %s)", [7, None, 0])
