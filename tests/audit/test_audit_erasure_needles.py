"""Finding bytes by keyed hashes alone: everything that is there is found, and nothing else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.search.found import Found
from audit.search.needles import LONGEST, WINDOW, Haystack, Needles, needle

SECRET = b"a secret of thirty-two bytes ...."


@given(
    st.lists(st.binary(min_size=WINDOW, max_size=40), min_size=1, max_size=8, unique=True),
    st.lists(st.binary(max_size=30), min_size=1, max_size=8),
    st.randoms(),
)
def test_all_that_is_there_is_found_where_it_is(values: list[bytes], others: list[bytes], rng: random.Random) -> None:
    parts = [*values, *others]
    rng.shuffle(parts)
    data = b"".join(parts)
    wanted = {
        (index, at)
        for index, value in enumerate(values)
        for at in range(len(data))
        if data[at : at + len(value)] == value
    }
    found = set(Needles.plain(values, SECRET).found(data))
    assert found == wanted


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
    needles = Needles.plain([b"wei.zhang4823@example.com"], SECRET)
    found = Found("redis", needles)
    found.look("copy:wei.zhang4823@example.com", b"")
    found.look("job:7", b"{}")
    ((where, index),) = found.end().hits
    assert index == 0
    assert needles.hides(where) == "a name that itself holds the value"
    assert needles.hides("job:7") == "job:7"
