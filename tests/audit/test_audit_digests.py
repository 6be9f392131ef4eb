"""What an audit keeps of both sides: whatever the order, and however it is cut, the same rows are in doubt."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.compare import BROKEN, NEVER
from audit.course import LIFETIME, Course
from audit.digests import PART, Digests, Told, names_of, names_of_all, parts_for
from streams.marks import Mark

KEYS = (b"a", b"b", b"c", b"d")


def want(key: bytes, sign: bytes, place: bytes = b"", target: int = 0) -> Told:
    return target, (key, place, sign, b'["' + key + b'"]', 0)


def hold(key: bytes, sign: bytes, position: int = 7, place: bytes = b"", target: int = 0) -> Told:
    return target, (key, place, sign, b'["' + key + b'"]', position)


def doubted(digests: Digests) -> list[tuple[bytes, dict[int, tuple[str, ...]]]]:
    return [(one.key, one.places) for one in digests.portion(None, 100)]


@pytest.mark.parametrize(
    ("wanted", "held", "found", "agree"),
    [
        ([], [], [], 0),
        ([want(b"a", b"1")], [hold(b"a", b"1")], [], 1),
        ([want(b"a", b"1")], [hold(b"a", b"2")], [b"a"], 0),
        ([want(b"a", b"1")], [hold(b"a", b"1", 9)], [b"a"], 0),
        ([want(b"a", b"1")], [hold(b"a", b"1", 8)], [], 1),
        ([want(b"c", b"3"), want(b"a", b"1")], [hold(b"b", b"2")], [b"a", b"b", b"c"], 0),
        ([want(b"b", b"2")], [hold(b"c", b"3"), hold(b"b", b"2"), hold(b"a", b"1")], [b"a", b"c"], 1),
        ([want(b"a", b"1")], [hold(b"a", b"2"), hold(b"a", b"1")], [], 1),
        ([want(b"a", NEVER)], [hold(b"a", BROKEN)], [b"a"], 0),
    ],
)
def test_suspects_are_what_one_side_has_alone_differs_or_is_beyond(
    wanted: list[Told], held: list[Told], found: list[bytes], agree: int
) -> None:
    digests = Digests()
    digests.want(wanted)
    digests.hold(held)
    assert digests.sift(0, newest=8, cache=False) == agree
    assert [key for key, _ in doubted(digests)] == found
    digests.close()


def test_a_cache_may_lack_rows() -> None:
    digests = Digests()
    digests.want([want(b"a", b"1"), want(b"b", b"2")])
    digests.hold([hold(b"b", b"3")])
    assert digests.sift(0, newest=8, cache=True) == 0
    assert [key for key, _ in doubted(digests)] == [b"b"]
    digests.close()


def test_a_key_that_changed_is_looked_at_wherever_it_should_be_or_was_seen() -> None:
    digests = Digests()
    digests.want([want(b"a", b"1", b"x"), want(b"b", b"2", b"y")])
    digests.hold([hold(b"a", b"1", 7, b"x"), hold(b"a", b"0", 3, b"z"), hold(b"b", b"2", 7, b"y")])
    digests.change([(b"a", b'["a"]'), (b"c", b'["c"]')])
    assert digests.sift(0, newest=8, cache=False) == 1
    assert doubted(digests) == [(b"a", {0: ("", "x", "z")}), (b"c", {0: ("",)})]
    digests.close()


signs = st.sampled_from([b"1", b"2"])
cells = st.tuples(st.sampled_from(KEYS), signs, st.sampled_from([b"", b"x"]))


@given(st.lists(cells), st.lists(st.tuples(cells, st.integers(0, 9))), st.sets(st.sampled_from(KEYS)), st.data())
@settings(max_examples=60)
def test_neither_parts_nor_order_nor_being_told_twice_change_anything(
    wanted: list[Any], held: list[Any], changed: set[bytes], data: st.DataObject
) -> None:
    expected = {(key, place): sign for key, sign, place in wanted}
    stored = {(key, place): (sign, position) for (key, sign, place), position in held}
    digests = Digests()
    digests.split(data.draw(st.integers(1, 5)))
    digests.want(want(key, sign, place) for key, sign, place in wanted)
    digests.hold(hold(key, sign, position, place) for (key, sign, place), position in held)
    digests.change((key, names_of([key.decode()])) for key in changed)
    same = {
        identity
        for identity in expected.keys() & stored.keys()
        if expected[identity] == stored[identity][0] and stored[identity][1] <= 5 and identity[0] not in changed
    }
    assert digests.sift(0, newest=5, cache=False) == len(same)
    places: dict[bytes, set[str]] = {key: {""} for key in changed}
    for key, place in (expected.keys() | stored.keys()) - same:
        places.setdefault(key, set()).add(place.decode())
    assert {key: set(found[0]) for key, found in doubted(digests)} == places
    digests.close()


def course(rows: int) -> Course:
    mark = Mark(40, 5, {("t", 0): 7, ("t", 1): 9})
    return msgspec.structs.replace(Course.begun("identity", 1000.0, mark, "schema", 1), rows=rows, after=[rows])


def test_what_was_kept_is_gone_on_with_and_what_came_later_may_be_told_again(tmp_path: Path) -> None:
    path = tmp_path / "audits" / "t.sqlite"
    first = Digests(path)
    assert first.course() is None
    first.want([want(b"a", b"1"), want(b"b", b"2")])
    first.keep(course(2))
    first.want([want(b"c", b"3")])
    first.close()
    second = Digests(path)
    assert second.course() == course(2)
    second.want([want(b"c", b"3"), want(b"d", b"4")])
    second.keep(course(4))
    second.hold(hold(key, sign) for key, sign in ((b"a", b"1"), (b"b", b"x"), (b"c", b"3")))
    assert second.sift(0, newest=8, cache=False) == 2
    assert [key for key, _ in doubted(second)] == [b"b", b"d"]
    second.close()
    third = Digests(path)
    third.hold(hold(key, sign) for key, sign in ((b"a", b"x"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")))
    assert third.sift(0, newest=8, cache=False) == 3, "of the store nothing was kept"
    assert [key for key, _ in doubted(third)] == [b"a"]
    third.finish()
    third.close()
    assert not path.exists()


def test_a_file_that_another_audit_has_or_that_is_none_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    one = Digests(path)
    one.keep(course(2))
    two = Digests(path)
    two.keep(course(3))
    assert (one.course(), two.course()) == (course(2), None)
    one.close()
    two.close()
    path.write_bytes(b"no database at all, and long enough to be taken for one" * 100)
    three = Digests(path)
    assert three.course() is None
    three.close()


def test_clearing_forgets_everything() -> None:
    digests = Digests()
    digests.want([want(b"a", b"1")])
    digests.sift(0, newest=8, cache=False)
    digests.want([want(b"b", b"1")])
    digests.clear()
    assert digests.sift(0, newest=8, cache=False) == 0
    assert doubted(digests) == []
    digests.close()


def test_a_course_holds_for_a_day_and_for_the_same_audit_only() -> None:
    one = course(2)
    assert one.mark == Mark(40, 5, {("t", 0): 7, ("t", 1): 9})
    assert one.stale("identity", 1001.0, 40) == ""
    assert one.stale("other", 1001.0, 40) == "what is audited has changed"
    assert one.stale("identity", 1000.0 + LIFETIME, 40) == "it was begun more than 24 hours ago"
    assert one.stale("identity", 999.0, 40) == "it was begun more than 24 hours ago"
    assert one.stale("identity", 1001.0, 39) == "history went back"


def test_parts_are_of_a_bounded_size() -> None:
    assert [parts_for(rows) for rows in (0, PART, 10 * PART)] == [1, 1, 10]


def test_names_of_many_keys_are_those_of_each() -> None:
    columns: list[list[Any]] = [[1, 2], ["a", "b"]]
    assert names_of_all(columns) == [names_of([1, "a"]), names_of([2, "b"])]
    assert names_of_all([[1, 2]]) == [names_of([1]), names_of([2])]
    assert names_of_all([[True, 2]]) == [names_of([True]), names_of([2])]
