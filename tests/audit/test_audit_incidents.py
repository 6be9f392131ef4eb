"""Incidents: repeats are one, and only an audit that could see a difference closes it."""

from collections.abc import Sequence

import msgspec
import pytest

from audit.incidents import KEPT, Depth, Incident, Looked, Scope, Seen, Spot, Step, step, to_look_at_again, unsaid
from audit.report import Class

HERE: Scope = ("postgres", "jobs")
ELSEWHERE: Scope = ("redis", "jobs")


def spots(*numbers: int, place: str | None = "") -> list[Spot]:
    return [Spot({"id": number}, "jobs", place) for number in numbers]


def seen(
    found: dict[Class, list[Spot]] | None = None, *, scope: Scope = HERE, sure: bool = True, whole: bool = True
) -> Seen:
    return Seen(*scope, found or {}, sure, whole)


def after(
    open_: Sequence[Incident],
    *what: Seen,
    depth: Depth = "quick",
    audit: str = "b",
    looked: Looked | None = None,
    sampled: Sequence[Scope] = (),
) -> Step:
    return step(open_, what, audit=audit, depth=depth, at_ms=2000, looked=looked, sampled=sampled)


def opened(found: dict[Class, list[Spot]], depth: Depth = "quick", **more: bool) -> list[Incident]:
    return step([], [seen(found, **more)], audit="a", depth=depth, at_ms=1000).open


def test_each_class_of_each_table_of_each_sink_is_an_incident() -> None:
    behind = after(
        [], seen({"missing": spots(1, 2), "altered": spots(3)}), seen({"missing": spots(1)}, scope=ELSEWHERE)
    )
    assert [(one.sink, one.class_, one.rows, one.whole) for one in behind.opened] == [
        ("postgres", "missing", 2, True),
        ("postgres", "altered", 1, True),
        ("redis", "missing", 1, True),
    ]
    assert behind.open == behind.opened
    first = behind.open[0]
    assert (first.id, first.opened_ms, first.opened_by, first.closed_ms, first.depth) == (
        "b.postgres.jobs.missing",
        2000,
        "b",
        None,
        "quick",
    )


def test_a_repeat_is_the_same_incident() -> None:
    behind = after(opened({"missing": spots(1, 2)}), seen({"missing": spots(2, 3, 4)}))
    assert (behind.opened, behind.closed) == ([], [])
    (one,) = behind.open
    assert (one.opened_by, one.last_by, one.audits, one.rows, one.spots) == ("a", "b", 2, 3, spots(2, 3, 4))


def test_an_audit_that_sees_nothing_more_closes_it() -> None:
    behind = after(opened({"missing": spots(1)}), seen())
    assert behind.open == []
    (closed,) = behind.closed
    assert (closed.closed_ms, closed.closed_by, closed.last_by) == (2000, "b", "a")


def test_another_class_of_the_same_rows_closes_the_one_and_opens_the_other() -> None:
    behind = after(opened({"missing": spots(1)}), seen({"stale": spots(1)}))
    assert ([one.class_ for one in behind.closed], [one.class_ for one in behind.opened]) == (["missing"], ["stale"])


@pytest.mark.parametrize(
    "nothing",
    [
        seen(sure=False),
        seen(whole=False),
        seen(scope=ELSEWHERE),
    ],
    ids=["undecided", "more than is listed", "of another sink"],
)
def test_an_audit_that_could_not_see_it_leaves_it_open(nothing: Seen) -> None:
    before = opened({"missing": spots(1)})
    assert after(before, nothing) == Step(before, [], [])


def test_what_a_deep_audit_saw_no_quick_one_closes() -> None:
    before = opened({"altered": spots(1)}, "deep")
    assert after(before, seen(), depth="quick") == Step(before, [], [])
    assert after(before, seen(), depth="deep").open == []


def test_a_quick_audit_adds_to_what_a_deep_one_saw() -> None:
    (one,) = after(opened({"altered": spots(1, 2)}, "deep"), seen({"altered": spots(2, 3)}), depth="quick").open
    assert (one.depth, one.rows, one.spots) == ("deep", 3, spots(1, 2, 3))


def test_of_a_cache_a_quick_audit_sees_a_sample() -> None:
    before = opened({"altered": spots(1)})
    assert after(before, seen(), sampled=[HERE]) == Step(before, [], [])
    assert to_look_at_again(before, [HERE]) == before
    assert to_look_at_again(before, []) == []
    deeper = opened({"altered": spots(1)}, "deep")
    assert to_look_at_again(deeper, []) == deeper


def test_a_look_at_all_its_keys_closes_it() -> None:
    before = opened({"altered": spots(1, 2)}, "deep")
    looked = {HERE: {spot.id for spot in spots(1, 2, place=None)}}
    assert after(before, seen(), depth="keys", looked=looked).open == []


def test_a_look_at_some_of_its_keys_leaves_the_others() -> None:
    before = opened({"altered": spots(1, 2)}, "deep")
    (one,) = after(before, seen(), depth="keys", looked={HERE: {spots(1)[0].id}}).open
    assert (one.rows, one.spots, one.last_by) == (1, spots(2), "a")


def test_a_look_at_keys_that_still_differ_keeps_those_it_did_not_look_at() -> None:
    before = opened({"altered": spots(1, 2, 3)}, "deep")
    looked = {HERE: {spot.id for spot in spots(1, 2)}}
    (one,) = after(before, seen({"altered": spots(1, place=None)}), depth="keys", looked=looked).open
    assert (one.rows, one.spots, one.depth, one.audits) == (2, spots(1, 3), "deep", 2)


def test_keys_of_another_sink_that_were_looked_at_say_nothing() -> None:
    before = opened({"altered": spots(1)}, "deep")
    looked = {ELSEWHERE: {spots(1)[0].id}}
    assert after(before, seen(), seen(scope=ELSEWHERE), depth="keys", looked=looked).open == before


def test_more_rows_than_it_remembers_only_a_look_at_all_closes() -> None:
    before = opened({"missing": spots(*range(KEPT + 1))})
    assert [(one.rows, one.whole, len(one.spots)) for one in before] == [(KEPT + 1, False, KEPT)]
    looked = {HERE: {spot.id for spot in spots(*range(KEPT))}}
    (one,) = after(before, seen(), depth="keys", looked=looked).open
    assert (one.rows, one.spots) == (1, [])
    assert to_look_at_again([one], [HERE]) == []
    assert after([one], seen(), depth="quick").open == []


def test_incidents_come_back_from_json_as_they_were() -> None:
    before = opened({"impossible position": spots(1, place="2")}, "deep")
    assert msgspec.json.decode(msgspec.json.encode(before), type=list[Incident]) == before
    assert before[0].id == "a.postgres.jobs.impossible-position"


def test_what_nobody_has_received_is_told_again() -> None:
    (one,) = opened({"missing": spots(1)})
    (closed,) = after([one], seen()).closed
    assert unsaid([one], set()) == [("opened", one)]
    assert unsaid([one], {(one.id, "opened")}) == []
    assert unsaid([closed], {(one.id, "opened")}) == [("closed", closed)]
    assert unsaid([closed], {(one.id, "opened"), (one.id, "closed")}) == []
    assert unsaid([closed], set()) == []
