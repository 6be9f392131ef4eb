"""What is said of a store: the worst that is known of it, and nothing where nothing is."""

from typing import Any

import msgspec
import pytest

from audit.entry import AuditDetail
from audit.incidents import Incident, Spot
from audit.report import Report, Result
from tailrace.agent.api import Capture, Lane
from tailrace.agent.matrix import Checked, checked, store

RUNS = Capture("0", 0.0, "running")
QUICK = Lane("postgres", "realtime", "running", 100.0, lag_s=0.0, waiting=0)
SLOW = Lane("postgres", "hourly", "running", 3_660_000.0, lag_s=1800.0, waiting=7)
EQUAL = Checked(5000, "quick", "equal", 0, 0, "")
AWAY = Checked(5000, "quick", "undecided", 0, 4, "users: it is away")
INCIDENT = Incident(
    "i", "postgres", "jobs", "missing", 1, 1, None, "a", "a", None, "quick", 3, True, 1, [Spot({"id": 1}, "jobs", "")]
)


def lane(**changes: Any) -> Lane:
    return msgspec.structs.replace(QUICK, **changes)


@pytest.mark.parametrize(
    ("capture", "lanes", "last", "open_", "told"),
    [
        (RUNS, [QUICK], EQUAL, [], ("equal", "")),
        (RUNS, [QUICK, SLOW], EQUAL, [], ("equal", "")),
        (RUNS, [QUICK], None, [], ("unknown", "it was not audited yet")),
        (RUNS, [QUICK], AWAY, [], ("unknown", "users: it is away")),
        (RUNS, [lane(state="waiting", reason="no route")], EQUAL, [], ("unknown", "no route")),
        (RUNS, [lane(state="down")], EQUAL, [], ("unknown", "the lane realtime is down")),
        (RUNS, [lane(lag_s=None)], EQUAL, [], ("unknown", "nobody knows how far the lane realtime is")),
        (RUNS, [lane(lag_s=1.5)], EQUAL, [], ("equal", "")),
        (RUNS, [lane(lag_s=30.0)], EQUAL, [], ("behind", "the lane realtime is 30 s behind")),
        (Capture("0", None, "down"), [QUICK], EQUAL, [], ("unknown", "capture is down")),
        (Capture("0", 0.0, "standing by"), [QUICK], EQUAL, [], ("equal", "")),
        (Capture("0", None, "standing by"), [QUICK], EQUAL, [], ("unknown", "nobody knows how far capture is")),
        (Capture("0", None, "running"), [QUICK], EQUAL, [], ("unknown", "nobody knows how far capture is")),
        (Capture("0", 9.0, "running"), [QUICK], EQUAL, [], ("behind", "capture is 9 s behind")),
        (RUNS, [lane(state="waiting")], EQUAL, [INCIDENT], ("different", "3 rows differ in jobs")),
    ],
)
def test_a_store_is_called_by_the_worst_that_is_known(
    capture: Capture, lanes: list[Lane], last: Checked | None, open_: list[Incident], told: tuple[str, str]
) -> None:
    said = store("postgres", capture, lanes, last, open_, 2)
    assert (said.state, said.reason) == told


def test_records_that_nobody_accounts_for_say_nothing_of_rows() -> None:
    lost = msgspec.structs.replace(INCIDENT, class_="unaccounted", depth="accounts", rows=2, spots=[])
    said = store("postgres", RUNS, [QUICK], EQUAL, [lost], 0, 2)
    assert (said.state, said.reason, said.open_incidents, said.unaccounted) == ("equal", "", 1, 2)
    assert store("postgres", RUNS, [QUICK], EQUAL, [lost, INCIDENT], 0, 2).reason == "3 rows differ in jobs"
    assert store("postgres", RUNS, [QUICK], EQUAL, [], 0).unaccounted is None


def test_the_lane_that_is_latest_for_its_objective_is_shown() -> None:
    said = store("postgres", RUNS, [SLOW, lane(lag_s=1.0)], EQUAL, [], None)
    assert (said.lag_s, said.objective_s, said.letters) == (1.0, 0.1, None)
    assert store("postgres", RUNS, [SLOW, lane(lag_s=None)], EQUAL, [], 0).lag_s is None
    assert store("postgres", RUNS, [SLOW, QUICK], EQUAL, [], 0).lag_s == 1800.0


def test_a_store_that_was_never_audited_has_no_figures() -> None:
    said = store("postgres", RUNS, [QUICK], None, [], None)
    assert (said.checked_at_ms, said.verdict, said.different, said.undecided) == (None, None, None, None)


def test_an_audit_says_of_each_store_what_its_tables_add_up_to() -> None:
    results = [
        Result("postgres", "users", "users", "equal", 5, 5, 5, 0, 0, []),
        Result("postgres", "jobs", "jobs", "undecided", 5, 4, 4, 1, 0, [], "it is away"),
        Result("redis", "jobs", "job:{id}", "different", 5, 5, 5, 0, 2, []),
    ]
    entry = AuditDetail(
        "a", "quick", "schedule", 1000, seconds=1.5, by_sink={"postgres": "undecided", "redis": "different"}
    )
    said = checked(entry, Report("different", "v", "0", "quick", 1.5, results))
    assert said == {
        "postgres": Checked(2500, "quick", "undecided", 0, 1, "jobs: it is away"),
        "redis": Checked(2500, "quick", "different", 2, 0, ""),
    }
    undone = checked(
        AuditDetail("a", "quick", "schedule", 1000, by_sink={"redis": "undecided"}, reason="no MySQL"), None
    )
    assert undone == {"redis": Checked(1000, "quick", "undecided", 0, 0, "no MySQL")}
