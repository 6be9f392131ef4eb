"""Every record is counted once: in an account, and in the balance of what lanes say against what topics hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

import msgspec

from changes.canonical import Value
from changes.envelope import KafkaHeaders
from changes.key import Key
from changes.record import APPLIED, STALE, Outcome, Record, rejected
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.deliver.account import WINDOW_MS, Account, Counts, book, ends_of, opened, rolled
from streams.deliver.conservation import Span, balance, span_of
from streams.deliver.counted import STEP, Counted
from streams.deliver.prepare import Prepared
from streams.deliver.stamps import Told, to_text, told_from

TOPIC = "future.d.notes"
SCHEMA = TableSchema("d", "notes", (Column("id", Kind.INTEGER, "bigint"),), ("id",))
ONE = Target("future", "d", "notes", ("id",), "redis", DEFAULT_TIERS["realtime"], "one")
OTHER = msgspec.structs.replace(ONE, place="other")
NAMES = {TOPIC: ["one", "other"]}
NOON = 1_700_000_000_000


@dataclass
class Sent:
    offset_: int
    value_: bytes | None = b"{}"

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes:
        return b"{}"

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> KafkaHeaders:
        return []


def record(target: Target, number: int, row: dict[str, Value] | None = None) -> Record:
    return Record(target, Key((number,), b"%d" % number), 5, row, 0, SCHEMA)


def made(*pairs: tuple[Record, Sent]) -> Prepared:
    return Prepared(records=[one for one, _ in pairs], message_of={id(one): message for one, message in pairs})


def booked(account: Account, messages: list[Sent], prepared: Prepared, outcomes: list[Outcome]) -> Account:
    return book({(TOPIC, 0): account}, messages, prepared, outcomes, NAMES)[TOPIC, 0]


def test_each_record_is_in_one_count_of_each_target() -> None:
    applied, stale, refused, _, null, bad, unmade = messages = [Sent(n) for n in (7, 9, 12, 13, 14, 15, 20)]
    null.value_ = None
    prepared = made(
        (record(ONE, 1), applied),
        (record(OTHER, 1), applied),
        (record(ONE, 2), stale),
        (record(OTHER, 2), stale),
        (record(ONE, 3), refused),
        (record(OTHER, 3), refused),
    )
    prepared.unreadable, prepared.unmade = [(bad, "why")], [(id(unmade), "one")]
    outcomes = [APPLIED, APPLIED, STALE, APPLIED, rejected("x"), APPLIED]
    before = Account(5, NOON, 7, {"one": Counts(applied=1), "other": Counts(stale=1)})
    after = booked(before, messages, prepared, outcomes)
    assert after.counts["one"] == Counts(applied=2, stale=1, collapsed=1, filtered=2, parked=2)
    assert after.counts["other"] == Counts(applied=3, stale=1, collapsed=2, filtered=1, parked=1)
    assert after.counts["one"].total == after.counts["other"].total == len(messages) + 1
    assert (after.since, after.upto, before.counts["one"].total) == (5, 21, 1), "what was is left as it was"
    assert ends_of(messages) == {(TOPIC, 0): 21}


def test_a_row_that_moved_is_one_record_applied_where_a_part_of_it_was_and_refused_where_one_was() -> None:
    moved = Sent(3)
    for outcomes, fate in (([STALE, APPLIED], "applied"), ([APPLIED, rejected("x")], "parked"), ([STALE] * 2, "stale")):
        prepared = made((record(ONE, 1), moved), (record(ONE, 2), moved))
        after = book({(TOPIC, 0): Account(3, NOON, 3)}, [moved], prepared, outcomes, {TOPIC: ["one"]})[TOPIC, 0]
        assert after.counts["one"] == Counts(**{fate: 1})


def test_what_comes_again_is_repeated_and_not_counted_anew() -> None:
    again, new = Sent(5), Sent(6)
    prepared = made(*((record(target, m.offset_), m) for target in (ONE, OTHER) for m in (again, new)))
    before = Account(0, NOON, 6, {"one": Counts(applied=6), "other": Counts(applied=6)})
    after = booked(before, [again, new], prepared, [APPLIED] * 4)
    assert (after.repeated, after.upto, after.counts["one"].applied) == (1, 7, 7)


def test_offsets_that_a_group_was_moved_over_are_found() -> None:
    account = Account(0, NOON, 50, {"one": Counts(applied=50)})
    assert opened(None, 50, NOON) == (Account(50, NOON, 50), range(0))
    for committed in (50, 30):
        same, passed = opened(account, committed, NOON)
        assert (same, list(passed)) == (account, [])
    moved, passed = opened(account, 53, NOON)
    assert (moved.upto, list(passed)) == (53, [50, 51, 52])


def test_an_account_begins_anew_after_a_day_unless_its_records_are_being_repeated() -> None:
    account = Account(0, NOON, 50, {"one": Counts(applied=50)}, repeated=3, skipped=1)
    assert rolled(account, 50, NOON + WINDOW_MS - 1) is account
    assert rolled(account, 49, NOON + WINDOW_MS) is account
    assert rolled(account, 50, NOON + WINDOW_MS) == Account(50, NOON + WINDOW_MS, 50)


def test_a_target_that_was_declared_later_is_counted_from_then_on_and_nothing_is_missed() -> None:
    account = Account(0, NOON, 6, {"one": Counts(applied=6)}, repeated=2, skipped=1)
    (span,) = spans(range(8), account)
    waiting = balance(OTHER, {(TOPIC, 0): account}, {(TOPIC, 0): span}, 1, NOON)
    assert (waiting.remainder, waiting.captured, waiting.in_flight, waiting.unaccounted) == (0, 2, 2, 1)
    messages = [Sent(6), Sent(7)]
    prepared = made(*((record(target, m.offset_), m) for target in (ONE, OTHER) for m in messages))
    after = booked(account, messages, prepared, [APPLIED] * 4)
    assert after == Account(6, NOON, 8, {"one": Counts(applied=2), "other": Counts(applied=2)}, repeated=2, skipped=1)
    (span,) = spans(range(8), after)
    settled = balance(OTHER, {(TOPIC, 0): after}, {(TOPIC, 0): span}, 1, NOON)
    assert (settled.remainder, settled.captured, settled.unaccounted) == (0, 2, 0)


def test_an_account_survives_the_text_of_a_commit() -> None:
    told = Told("l", "a1", 7, Account(1, NOON, 9, {"job:{id}": Counts(1, 2, 3, 4, 5)}, 6, 7))
    assert told_from(to_text(told)) == told
    assert len(to_text(told)) < 250


def counted_on(counted: Counted, there: Iterable[int], asked: set[int]) -> list[int]:
    """Which of the records that stand ``there`` were read, so that those below each of ``asked`` are known."""
    start = counted.begin(asked, max(there, default=0) + 1)
    read = [offset for offset in there if offset >= start]
    for offset in read:
        counted.take(offset)
    counted.close()
    return read


def spans(there: Iterable[int], *accounts: Account) -> list[Span]:
    counted = Counted()
    counted_on(counted, there, {offset for account in accounts for offset in (account.since, account.upto)})
    return [span_of(counted, account) for account in accounts]


def test_records_are_counted_once_however_often_they_are_asked_for() -> None:
    counted, rng = Counted(), Random(4)
    there = [offset for offset in range(5, 4 * STEP) if rng.random() < 0.9]
    quick = slow = 5
    read = 0
    for end in range(1000, len(there), 7777):
        quick = there[end - 200] + 1
        if end > len(there) / 2:
            slow = there[end // 2]
        read += len(counted_on(counted, there[:end], {5, slow, quick}))
        for offset in (5, slow, quick):
            assert counted.below(offset) == sum(1 for one in there if one < offset)
        assert counted.total == end
    assert read < 2 * len(there), "the slow one's later offset costs a second look, each other record one"
    assert len(counted._marks) < 10, "what nobody asks for any more is forgotten"


def test_an_account_that_begins_earlier_or_a_topic_that_was_made_anew_is_counted_from_the_beginning() -> None:
    counted = Counted()
    assert counted_on(counted, [3, 4, 7, 9], {4, 8}) == [4, 7, 9]
    assert counted_on(counted, [3, 4, 7, 9, 10], {4, 8}) == [10]
    assert counted_on(counted, [3, 4, 7, 9, 10], {3, 8}) == [3, 4, 7, 9, 10]
    assert (counted.below(8), counted.total) == (3, 5)
    assert counted_on(counted, [0, 1], {0, 2}) == [0, 1]
    assert (counted.below(2), counted.total) == (2, 2)


def test_the_balance_shows_what_was_lost_or_counted_twice() -> None:
    account = Account(10, NOON, 20, {"one": Counts(applied=4, collapsed=1, filtered=1)}, repeated=2)
    (span,) = spans([5, 10, 11, 13, 14, 17, 19, 20, 23], account)
    assert span == Span(covered=6, behind=2)
    right = balance(ONE, {(TOPIC, 0): account}, {(TOPIC, 0): span}, 2, NOON)
    assert (right.captured, right.in_flight, right.repeated, right.remainder, right.unaccounted) == (8, 2, 2, 0, 1)
    (more, less) = spans(range(10, 17), account, msgspec.structs.replace(account, since=12))
    assert balance(ONE, {(TOPIC, 0): account}, {(TOPIC, 0): more}, 1, NOON).remainder == 1
    lost = balance(ONE, {(TOPIC, 0): account}, {(TOPIC, 0): less}, 1, NOON)
    assert (lost.remainder, lost.expired, lost.captured) == (-1, 0, 5)
    later = balance(ONE, {(TOPIC, 0): account}, {(TOPIC, 0): less}, 1, NOON + 8 * WINDOW_MS)
    assert (later.remainder, later.expired, later.captured) == (0, 1, 5), "compaction has taken it since"
