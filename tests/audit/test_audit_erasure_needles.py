"""Finding bytes by keyed hashes alone: everything that is there is found, and nothing else is."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.search.found import Found
from audit.search.needle import LONGEST, WINDOW, Keys, Needle, Text, digest, needle, needles_of, words_of
from audit.search.needles import Haystack, Needles

SECRET = b"a secret of thirty-two bytes ...."


WORDS = st.sampled_from(
    [b"a", b"b", b"\0", b"engineer", b"of ", "资深".encode(), b"payment systems ", b"1380013", b"\xff"]
)
FEW = st.lists(WORDS, max_size=20).map(b"".join)
"""Bytes of which many stand in one another."""


def enough(texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """The same, long enough to be looked for. Nothing is thrown away: Hypothesis gives up where much is."""
    return texts.map(lambda text: text.ljust(WINDOW, b"a")[:LONGEST])


def occurrences(values: Sequence[bytes], data: bytes) -> set[tuple[int, int]]:
    """Each (index of a value, offset) at which `bytes.find` finds it."""
    found = set()
    for index, value in enumerate(values):
        at = data.find(value)
        while at >= 0:
            found.add((index, at))
            at = data.find(value, at + 1)
    return found


@pytest.mark.parametrize("texts", [st.binary(max_size=LONGEST), FEW], ids=["any", "alike"])
@given(data=st.data(), rng=st.randoms())
def test_all_that_is_there_is_found_where_it_is(
    texts: st.SearchStrategy[bytes], data: st.DataObject, rng: random.Random
) -> None:
    values = data.draw(st.lists(enough(texts), min_size=1, max_size=8))
    parts = [*values, *data.draw(st.lists(texts, max_size=8))]
    rng.shuffle(parts)
    whole = b"".join(parts)
    found = [*Needles.plain(values, SECRET).found(whole)]
    assert len(found) == len(set(found))
    assert set(found) == occurrences(values, whole)
    assert Needles(SECRET, [*map(as_in_format_1, values)]).within(whole) == {index for index, _ in found}


@given(st.lists(enough(FEW), min_size=1, max_size=8), FEW, st.sets(st.integers(0, 7)))
def test_what_is_left_out_is_not_found_and_still_hidden(values: list[bytes], data: bytes, left_out: set[int]) -> None:
    needles, left_out = Needles.plain(values, SECRET), left_out & {*range(len(values))}
    needles.leave_out(left_out)
    everything = occurrences(values, data)
    assert set(needles.found(data)) == {hit for hit in everything if hit[0] not in left_out}
    assert Needles.plain([b"engineer"]).hides("an engineer") != "an engineer"
    name = data.decode("utf-8", "replace")
    assert (needles.hides(name) == name) is not any(value in name.encode() for value in values)


def test_a_needle_is_found_wherever_it_stands_in_much() -> None:
    """Also across what is looked through at once: at every offset about its ends."""
    rng = random.Random(7)
    values = [rng.randbytes(length) for length in range(WINDOW, LONGEST + 1, 7)]
    needles = Needles.plain(values, SECRET)
    for at in range((1 << 15) - LONGEST - 2, (1 << 15) + 10):
        for index, value in enumerate(values):
            data = bytes(at) + value + bytes(50_000)
            assert set(needles.found(data)) == {(index, at)}


def test_what_stands_at_every_place_is_found_at_every_place() -> None:
    values = [b"a" * length for length in range(WINDOW, WINDOW + 5)]
    data = b"a" * 40_000
    assert set(Needles.plain(values, SECRET).found(data)) == occurrences(values, data)


@given(st.lists(enough(FEW), min_size=1, max_size=12))
def test_a_needle_is_found_by_its_rarest_eight_bytes(values: list[bytes]) -> None:
    cut = {value[:LONGEST] for value in values}

    def times(window: bytes) -> int:
        """How often it stands in all of them, one behind the other, whatever it crosses."""
        whole = b"".join(dict.fromkeys(value[:LONGEST] for value in values))
        return len(occurrences([window], whole))

    for value in cut:
        made = needles_of(SECRET, [Text(value) for value in values])
        at = next(one.at for one, other in zip(made, values, strict=True) if other[:LONGEST] == value)
        windows = [value[start : start + WINDOW] for start in range(len(value) - WINDOW + 1)]
        assert times(windows[at]) == min(map(times, windows))


def test_digits_are_preferred_to_words() -> None:
    assert needle(SECRET, b"a session of 13800138 was opened").at == 13


def as_in_format_1(value: bytes) -> Needle:
    """As an older release made it: the hash of eight bytes, with no mask, and no other."""
    (window,) = Keys.of(SECRET).windows(words_of(value[3 : 3 + WINDOW] if len(value) > 10 else value[:WINDOW]))
    return Needle(3 if len(value) > 10 else 0, len(value), digest(SECRET, value), window=int(window))


def test_a_mark_is_under_a_mask_of_its_own() -> None:
    """Equal windows, and equal hashes, look no more alike than others."""
    keys = Keys.of(SECRET)
    masked = {keys.masked(5, digest(SECRET, bytes([number])), at) for number in range(100) for at in range(3)}
    assert len(masked) == 300
    assert all(keys.masked(keys.masked(5, "ab", at), "ab", at) == 5 for at in range(60))
    assert Keys.of(b"another").masked(5, "ab", 0) != keys.masked(5, "ab", 0)


@given(st.lists(st.binary(max_size=12), max_size=6))
def test_small_items_are_told_apart(items: list[bytes]) -> None:
    value = b"wei.zhang4823@example.com"
    hay = Haystack(Needles.plain([value], SECRET))
    named = {f"item {number}": item + value if number % 2 else item for number, item in enumerate(items)}
    found = [hit for name, item in named.items() for hit in hay.add(name, item)]
    found += hay.finish()
    assert sorted(name for name, _ in found) == sorted(name for name, item in named.items() if value in item)
    assert hay.items == len(items)


def test_a_value_that_crosses_from_one_item_into_the_next_is_none() -> None:
    hay = Haystack(Needles.plain([b"12345678"], SECRET))
    assert [*hay.add("a", b"1234"), *hay.add("b", b"5678"), *hay.finish()] == []


def test_a_needle_tells_nothing_without_the_secret() -> None:
    value = b"13800138000"
    told, other = needle(SECRET, value), needle(b"another", value)
    assert told.digest != other.digest
    assert value.decode() not in str(told)
    assert Needles(b"another", [told]).within(value) == set()


def test_a_long_value_is_known_by_its_beginning_and_a_short_one_by_nothing() -> None:
    value = bytes(range(256))
    assert needle(SECRET, value).length == LONGEST
    assert Needles.plain([value], SECRET).within(b"x" + value[:LONGEST]) == {0}
    with pytest.raises(ValueError, match="7 bytes are too few"):
        needle(SECRET, b"1234567")


def test_what_an_item_is_called_is_looked_through_too_and_not_told() -> None:
    needles = Needles.plain([b"wei.zhang4823@example.com"])
    found = Found("redis", needles)
    found.look("copy:wei.zhang4823@example.com", b"")
    found.look("job:7", b"{}")
    ((where, index),) = found.end().hits
    assert index == 0
    assert needles.hides(where) == "a name that itself holds the value"
    assert needles.hides("job:7") == "job:7"


def test_what_is_said_no_to_is_no_hit() -> None:
    value = b"wei.zhang4823@example.com"
    found = Found("redis", Needles.plain([value]), lambda where, index: (where, index) != ("a", 0))
    found.look("a", value)
    found.look("b", value)
    assert found.end().hits == {("b", 0)}
