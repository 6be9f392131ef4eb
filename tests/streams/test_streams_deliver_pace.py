"""When a lane writes what waits."""

from streams.deliver.pace import HOLD_FROM, QUIET, Pace

HOUR = 3600.0
PART = ("t", 0)


def test_a_quick_tier_writes_at_once_and_a_slower_one_lingers() -> None:
    assert [Pace(flush).linger for flush in (0.005, 0.05, 2.0, HOLD_FROM)] == [0.0, 0.05, 2.0, HOLD_FROM]
    assert not Pace(HOLD_FROM).holding


def test_a_held_tier_waits_for_its_time_and_never_with_messages_in_hand() -> None:
    pace = Pace(HOUR)
    assert pace.holding
    assert pace.linger == 0.0
    assert not pace.is_due(10**12), "it does not know yet when the store was written last"
    pace.begin(1000.0, None)
    assert [pace.is_due(now) for now in (1000.0, 1000.0 + HOUR - 1, 1000.0 + HOUR)] == [False, False, True]


def test_the_time_counts_from_when_a_worker_before_this_one_wrote() -> None:
    pace = Pace(HOUR)
    pace.begin(5000.0, 2000.0)
    assert pace.due == 2000.0 + HOUR
    pace.begin(9000.0, 8000.0)
    assert pace.due == 2000.0 + HOUR, "only once"


def test_it_writes_all_that_was_there_then_and_begins_to_wait_anew() -> None:
    pace = Pace(HOUR)
    pace.begin(0.0, None)
    pace.drain({PART: 20, ("t", 1): 5}, HOUR)
    pace.saw(10, {PART: 10, ("t", 1): 5}, HOUR + 1)
    assert not pace.holding
    pace.saw(15, {PART: 25, ("t", 1): 5}, HOUR + 2)
    assert pace.holding
    assert pace.due == HOUR + 2 + HOUR


def test_an_end_that_is_no_record_is_looked_at_when_nothing_comes_for_a_while() -> None:
    pace = Pace(HOUR)
    pace.drain({PART: 20, ("t", 1): 5}, 100.0)
    assert pace.saw(5, {PART: 19, ("t", 1): 5}, 101.0) == []
    assert pace.saw(0, {PART: 19, ("t", 1): 5}, 101.0 + QUIET - 0.1) == []
    assert pace.saw(0, {PART: 19, ("t", 1): 5}, 101.0 + QUIET) == [(PART, range(19, 20))]
    assert pace.saw(0, {PART: 19, ("t", 1): 5}, 101.0 + QUIET + 0.1) == [], "it was looked at just now"
    assert not pace.holding
    pace.done(200.0)
    assert (pace.holding, pace.due) == (True, 200.0 + HOUR)


def test_a_lane_without_partitions_has_nothing_to_write() -> None:
    pace = Pace(HOUR)
    pace.drain({}, 100.0)
    pace.saw(0, {}, 100.1)
    assert pace.holding
