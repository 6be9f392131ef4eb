"""What a shadow is called and stores, what may go on beside it, and how far it is."""

import pytest
from streams_replays import replay

from changes.errors import Misconfigured
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.replay.asked import measured, refuse_old
from streams.replay.course import Course
from streams.replay.names import kept_of, shadow_of, swaps_of

DAY = 86400.0
A = ("t", 0)
JOBS = Target("future", "shop", "jobs", ("id",), "postgres", DEFAULT_TIERS["realtime"], "jobs")


def test_its_rows_are_stored_as_those_of_the_live_place() -> None:
    made = shadow_of(JOBS, "5f3a9c1e")
    assert (made.place, made.name, made.table) == ("jobs_shadow_5f3a9c1e", "jobs_shadow_5f3a9c1e", "jobs")
    assert (made.mapping, made.declared, JOBS.declared) == (JOBS.mapping, "jobs", "jobs")
    assert kept_of(JOBS, "5f3a9c1e").place == "jobs_before_5f3a9c1e"
    (swap,) = swaps_of([JOBS], "5f3a9c1e")
    assert (swap.live, swap.shadow) == (JOBS, made)


def test_its_lane_is_called_as_its_tier() -> None:
    assert shadow_of(JOBS, "a").tier.name == replay(way="shadow").lane == "shadow-a"
    assert replay().lane == "replay-a"


def test_a_name_that_does_not_fit_is_refused_before_anything_is_made() -> None:
    long = Target("future", "shop", "jobs", ("id",), "postgres", JOBS.tier, "j" * 50)
    with pytest.raises(Misconfigured, match="is longer than 63 bytes"):
        swaps_of([long], "5f3a9c1e")


def test_a_replay_and_a_shadow_of_other_places_go_on_beside_it() -> None:
    one = replay(way="shadow")
    assert one.rivals(replay(way="shadow", id="b", targets=["users", "jobs"]))
    assert not one.rivals(replay(way="shadow", targets=["users"]))
    assert not one.rivals(replay(way="shadow", sink="dao"))
    assert not one.rivals(replay())
    assert not replay().rivals(one)
    assert replay().rivals(replay(way="through", targets=["users"]))


def test_one_that_nobody_followed_for_too_long_is_refused() -> None:
    def refused(now_days: float, **more: object) -> None:
        refuse_old(replay(way="shadow", **more), round(now_days * DAY * 1000), 7 * DAY)

    refused(20, done=1.0, at_ms=14 * DAY * 1000)
    with pytest.raises(Misconfigured, match="shadow of jobs in `postgres` was not followed for more than 7 days"):
        refused(22, done=1.0, at_ms=14 * DAY * 1000)
    with pytest.raises(Misconfigured, match="begun more than 7 days ago"):
        refused(8, done=0.9, at_ms=7 * DAY * 1000)


def test_its_time_says_nothing_of_how_fast_a_replay_is() -> None:
    assert measured({"a": replay(way="shadow", state="done", speed=3.0)}, "postgres") is None


def test_it_reaches_one_end_after_the_other() -> None:
    over: list[int] = []
    course = Course({A: 0}, {A: 10}, 0.0, 100.0, lambda: over.append(course.written[A]))
    course.saw(10, {A: 10}, 101.0)
    assert over == [10]
    assert course.standing.done == 1.0
    course.reach({A: 14}, 102.0)
    course.saw(2, {A: 12}, 102.0)
    assert (over, course.standing.done) == ([10], 12 / 14)
    course.saw(3, {A: 15}, 103.0)
    assert over == [10, 15]
    course.reach({A: 15}, 104.0)
    course.saw(0, {A: 15}, 104.0)
    assert over == [10, 15, 15]
