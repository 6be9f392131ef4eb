"""When audits are due, and which stores one looks at."""

from dataclasses import replace

import pytest

from audit.schedule import LATEST, Pace, Past, Refilled, Rhythm, choice, count_due, due, filling, refilled

RHYTHM = Rhythm(quick=60.0, deep=600.0, share=0.05)
QUICKLY = Pace("postgres", "realtime", 0.005, 0.1, True, "", 0.0, 0)
HOURLY = Pace("credit", "hourly", 3600.0, 3660.0, True, "", 1800.0, 40)
NOW = 1_000_000.0


def test_with_no_history_both_are_due_and_the_quick_one_comes_first() -> None:
    assert due(RHYTHM, {}, NOW) == [(NOW, "quick"), (NOW, "deep")]


def test_a_quick_audit_is_due_a_minute_after_the_last_one_began() -> None:
    pasts = {"quick": Past(NOW - 10, 2.0), "deep": Past(NOW - 100, 5.0)}
    assert due(RHYTHM, pasts, NOW) == [(NOW + 50, "quick"), (NOW + 500, "deep")]


def test_a_deep_audit_counts_as_a_quick_one() -> None:
    pasts = {"quick": Past(NOW - 70, 2.0), "deep": Past(NOW - 20, 15.0)}
    assert due(RHYTHM, pasts, NOW)[0] == (NOW + 40, "quick")


@pytest.mark.parametrize(
    ("seconds", "apart"), [(2.0, 60.0), (12.0, 60.0), (30.0, 150.0)], ids=["short", "a fifth", "long"]
)
def test_quick_audits_take_a_fifth_of_the_time_at_most(seconds: float, apart: float) -> None:
    pasts = {"quick": Past(NOW - seconds, seconds), "deep": Past(NOW - 1e6, 1.0)}
    assert (NOW - seconds + apart, "quick") in due(RHYTHM, pasts, NOW)


@pytest.mark.parametrize(
    ("seconds", "apart"),
    [(3.0, 600.0), (60.0, 1200.0), (7200.0, LATEST)],
    ids=["as often as declared", "no more than the share", "once a day all the same"],
)
def test_deep_audits_are_put_apart_by_how_long_they_take(seconds: float, apart: float) -> None:
    found = {depth: at for at, depth in due(RHYTHM, {"deep": Past(NOW - seconds, seconds)}, NOW)}
    assert found["deep"] == NOW - seconds + apart


def test_a_quick_audit_never_begins_before_a_longer_deep_one_has_ended() -> None:
    assert due(RHYTHM, {"deep": Past(NOW - 300, 300.0)}, NOW)[0] == (NOW, "quick")


def test_records_are_counted_as_often_as_quick_audits_and_for_a_twentieth_of_the_time_at_most() -> None:
    assert count_due(RHYTHM, None, NOW) == NOW
    assert count_due(RHYTHM, Past(NOW - 20, 3.0), NOW) == NOW + 40
    assert count_due(RHYTHM, Past(NOW - 20, 6.0), NOW) == NOW + 100


def test_a_deep_interval_longer_than_a_day_is_kept() -> None:
    weekly = replace(RHYTHM, deep=7 * LATEST)
    assert (NOW + 7 * LATEST, "deep") in due(weekly, {"deep": Past(NOW, 1.0)}, NOW)


@pytest.mark.parametrize(
    ("pace", "why"),
    [
        (QUICKLY, ""),
        (replace(QUICKLY, lag=9.0, waiting=5), ""),
        (replace(QUICKLY, lag=11.0, waiting=5), "postgres.realtime is 11 s behind"),
        (replace(QUICKLY, lag=None, waiting=None), "nobody knows how far postgres.realtime is"),
        (replace(QUICKLY, running=False, reason="it is away", waiting=5), "postgres.realtime does not run: it is away"),
        (replace(QUICKLY, running=False, reason="it is away"), ""),
        (HOURLY, ""),
    ],
    ids=["at rest", "under way", "late", "unknown", "away and behind", "away and not behind", "held back by its tier"],
)
def test_a_store_is_left_out_while_its_lane_is_late(pace: Pace, why: str) -> None:
    assert pace.held_up == why
    chosen = choice([pace], depth="deep", last={}, now=NOW)
    assert (chosen.sinks, chosen.left_out) == (([], {pace.sink: why}) if why else ([pace.sink], {}))


def test_one_late_lane_holds_its_store_alone_up() -> None:
    late = replace(QUICKLY, sink="redis", lag=60.0, waiting=1)
    chosen = choice([QUICKLY, late, replace(late, tier="batch", lag=0.0, waiting=0)], depth="quick", last={}, now=NOW)
    assert (chosen.sinks, chosen.flush, set(chosen.left_out)) == (["postgres"], [], {"redis"})


def test_a_store_that_holds_changes_back_is_asked_to_write_and_not_more_often_than_it_would() -> None:
    first = choice([HOURLY], depth="quick", last={}, now=NOW)
    assert (first.sinks, first.flush) == (["credit"], ["credit"])
    soon = choice([HOURLY], depth="quick", last={"credit": NOW - 3000}, now=NOW)
    assert (soon.sinks, soon.left_out) == ([], {"credit": ""})
    assert choice([HOURLY], depth="quick", last={"credit": NOW - 3600}, now=NOW).sinks == ["credit"]
    assert choice([HOURLY], depth="deep", last={"credit": NOW - 10}, now=NOW).flush == ["credit"]


def test_nothing_is_audited_while_tables_are_filled_or_capture_is_silent() -> None:
    assert filling([], capturing=True) == ""
    assert filling(["users", "jobs"], capturing=True) == "capture is filling jobs, users"
    assert filling([], capturing=False) == "capture has not said lately how far it is"


def test_a_store_whose_lane_was_rewound_is_audited() -> None:
    assert refilled({"redis": 0, "postgres": 1}, {"redis": 1, "postgres": 1, "neo4j": 3}) == [Refilled(("redis",))]
