"""What a lane concludes from the stamps of its store and the metadata of its group."""

import msgspec
import pytest

from streams.deliver.stamps import (
    Start,
    Told,
    back_to,
    doubted,
    stamp_from,
    stamp_of,
    start_of,
    to_text,
    told_from,
    went_back,
)

TOPIC = "future.d.notes"
OFFSETS = {(TOPIC, 0): 100, (TOPIC, 1): 7}
STAMP = stamp_of("a1", 5, 1_000, OFFSETS)


def told(serial: int = 5, incarnation: str = "a1") -> Told:
    return Told("future.redis.realtime.0", incarnation, serial)


def test_stamps_and_metadata_survive_their_text() -> None:
    assert stamp_from(to_text(STAMP)) == STAMP
    assert told_from(to_text(told())) == told()


@pytest.mark.parametrize("text", [None, "", "x", "{}", '{"lane": 7}'])
def test_what_cannot_be_read_is_as_none(text: str | None) -> None:
    assert stamp_from(text) is None
    assert told_from(text) is None


def test_a_store_went_back_where_its_stamp_is_gone_older_or_of_another_incarnation() -> None:
    assert went_back(told(), None)
    assert went_back(told(6), STAMP)
    assert went_back(told(5, "b2"), STAMP)
    assert not went_back(told(5), STAMP)
    assert not went_back(told(4), STAMP)


def test_an_older_version_s_group_is_taken_over_as_it_is() -> None:
    assert start_of(TOPIC, 0, 90, None, STAMP) == start_of(TOPIC, 0, 90, None, None) == Start(90)


def test_a_partition_begins_where_both_store_and_group_have_it() -> None:
    assert start_of(TOPIC, 0, 130, told(), STAMP) == Start(100)
    assert start_of(TOPIC, 0, 90, told(), STAMP) == Start(90)
    assert start_of(TOPIC, 9, 90, told(), STAMP) == Start(90), "the stamp knows nothing of it"


def test_a_store_that_went_back_is_filled_from_what_its_stamp_says_or_from_the_beginning() -> None:
    assert start_of(TOPIC, 0, 130, told(9), STAMP) == Start(100, back=True)
    assert start_of(TOPIC, 9, 130, told(9), STAMP) == Start(None, back=True)
    assert start_of(TOPIC, 0, 130, told(9), None) == Start(None, back=True)
    written = {(TOPIC, 0): 130, (TOPIC, 1): 3, (TOPIC, 2): 5}
    assert back_to(written, STAMP) == {(TOPIC, 0): 100, (TOPIC, 1): 3, (TOPIC, 2): None}
    assert back_to(written, None) == dict.fromkeys(written)


def test_behind_a_failure_only_what_came_after_the_stamp_is_doubted() -> None:
    assert doubted({(TOPIC, 0): 100, (TOPIC, 1): 9, (TOPIC, 2): 5}, STAMP) == {(TOPIC, 1): 7}
    assert doubted(OFFSETS, STAMP) == {}


def test_a_stamp_of_a_hundred_partitions_is_a_few_kilobytes() -> None:
    offsets = {(f"future.jobfirst_future.table_{n}", p): 10**9 for n in range(13) for p in range(8)}
    assert len(msgspec.json.encode(stamp_of("a1", 10**9, 10**13, offsets))) < 4096
