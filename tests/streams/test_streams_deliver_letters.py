"""Dead letters as they are read back."""

import msgspec

from changes.envelope import Headers
from streams.deliver.letters import Decision, Letter, gathered, letter_from

HEADERS = [
    *Headers(77, 5, "ab" * 8).to_kafka(),
    ("__connect.errors.topic", b"future.d.notes"),
    ("__connect.errors.partition", b"3"),
    ("__connect.errors.offset", b"1234"),
    ("__connect.errors.exception.message", "darf nicht: ä".encode()),
    ("tr-sink", b"postgres"),
    ("tr-target", b"notes"),
]
VALUE = msgspec.json.encode({"op": "u", "after": {"id": 7, "text": "a"}, "before": {"id": 7, "text": "b"}})


def letter(at: int = 0, parked_ms: int = 1000) -> Letter:
    return letter_from("future.tailrace.dlq", at, b'{"id":7}', VALUE, HEADERS, parked_ms)


def test_a_letter_is_known_by_where_the_refused_record_stood_and_who_refused_it() -> None:
    found = letter(at=9)
    assert (found.id, found.name) == ("future.d.notes/3/1234", "postgres|notes|future.d.notes/3/1234")
    assert (found.key, found.position, found.reason, found.at) == ({"id": 7}, 77, "darf nicht: ä", 9)
    assert (found.row, found.deleted, found.state) == ({"id": 7, "text": "a"}, False, "open")


def test_a_letter_that_cannot_be_read_is_listed_all_the_same() -> None:
    headers = [("__connect.errors.topic", b"future.d.notes"), ("tr-sink", b"capture")]
    found = letter_from("future.tailrace.dlq", 4, b"\xff", None, headers, 1)
    assert (found.id, found.topic, found.key, found.row) == ("future.tailrace.dlq/0/4", "future.d.notes", {}, {})


def test_a_refused_delete_says_where_the_row_was() -> None:
    value = msgspec.json.encode({"op": "d", "before": {"id": 7, "text": "b"}, "after": None})
    found = letter_from("future.tailrace.dlq", 0, b'{"id":7}', value, HEADERS, 1)
    assert (found.deleted, found.row) == (True, {"id": 7, "text": "b"})


def test_a_letter_that_was_parked_twice_is_one() -> None:
    (found,) = gathered([letter(at=1), letter(at=5, parked_ms=2000)], {})
    assert (found.times, found.at, found.parked_ms) == (2, 5, 2000)


def test_a_retried_letter_is_open_again_once_it_is_refused_again_and_a_discarded_one_is_not() -> None:
    name = letter().name
    states = [
        gathered([letter(parked_ms=2000)], {name: Decision(state, at_ms)})[0].state
        for state, at_ms in (("retried", 3000), ("retried", 1000), ("discarded", 1000), ("discarded", 3000))
    ]
    assert states == ["retried", "open", "discarded", "discarded"]
