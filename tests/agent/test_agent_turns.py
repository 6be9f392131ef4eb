"""What is audited next, and what follows from an audit."""

import time
from collections.abc import Mapping

import pytest

from audit.incidents import Incident, Spot
from audit.schedule import Pace, Rhythm
from changes.progress import SnapshotState
from changes.topology import load
from tailrace.agent.api import Lane
from tailrace.agent.auditor import Job
from tailrace.agent.turns import Turns

TOPICS = """\
versions:
  v: {database: d}
tables:
  - table: jobs
    key: [id]
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: redis, tier: realtime, place: "job:{id}"}
"""
TOPOLOGY = load(TOPICS, "topics.yaml", {"postgres": lambda _: None, "redis": lambda _: None})
DONE: Mapping[str, SnapshotState] = {"jobs": SnapshotState("jobs", "done")}
BUSY: Mapping[str, SnapshotState] = {"jobs": SnapshotState("jobs", "running", reason="truncated")}
NOW = 1_000_000.0


def pace(sink: str, lag: float = 0.0) -> Pace:
    return Pace(sink, "realtime", 0.005, 0.1, True, "", lag, 1 if lag else 0)


PACES = [pace("postgres"), pace("redis")]


def incident(depth: str, *, whole: bool = True) -> Incident:
    spots = [Spot({"id": 1}, "jobs", "")]
    return Incident(
        "i",
        "postgres",
        "jobs",
        "altered",
        1,
        1,
        None,
        "a",
        "a",
        None,
        depth,
        1,
        whole,
        1,
        spots,  # type: ignore[arg-type]
    )


@pytest.fixture
def turns() -> Turns:
    return Turns(TOPOLOGY, "v", Rhythm(60.0, 600.0, 0.05), 7)


def begin(turns: Turns, paces: list[Pace] = PACES, fills: Mapping[str, SnapshotState] = DONE) -> Job | None:
    return turns.next(NOW, paces, fills, {}, capturing=True)


def over(turns: Turns, job: Job, *open_: Incident) -> None:
    turns.done(job, time.time(), open_, set())


def test_first_a_quick_audit_then_a_deep_one_then_none(turns: Turns) -> None:
    for depth in ("quick", "deep"):
        job = begin(turns)
        assert job is not None
        assert (job.depth, job.why, job.sinks, job.tables, job.cap) == (depth, "schedule", (), (), 7)
        over(turns, job)
    assert turns.next(time.time(), PACES, DONE, {}, capturing=True) is None
    assert [one.depth for one in turns.coming(time.time())] == ["quick", "deep"]


def test_what_is_asked_for_goes_first_even_while_tables_are_filled(turns: Turns) -> None:
    asked = Job("deep", "asked")
    turns.ask(asked)
    assert turns.waiting == [asked]
    assert begin(turns, fills=BUSY) is asked
    assert begin(turns, fills=BUSY) is None
    assert turns.coming(NOW)[0].waits_for == "capture is filling jobs"


def test_a_store_that_is_late_is_left_out_and_has_its_deep_audit_later(turns: Turns) -> None:
    late = [pace("postgres"), pace("redis", 50.0)]
    for depth in ("quick", "deep"):
        job = begin(turns, late)
        assert job is not None
        assert (job.depth, job.sinks) == (depth, ("postgres",))
        over(turns, job)
    now = time.time()
    assert turns.next(now, late, DONE, {}, capturing=True) is None
    job = turns.next(now, PACES, DONE, {}, capturing=True)
    assert job is not None
    assert (job.depth, job.sinks) == ("deep", ("redis",))
    assert turns.next(now, PACES, DONE, {}, capturing=True) is None


def test_with_every_store_late_it_is_put_off_and_says_why(turns: Turns) -> None:
    assert begin(turns, [pace("postgres", 50.0), pace("redis", 50.0)]) is None
    assert turns.coming(NOW)[0].waits_for == "postgres.realtime is 50 s behind"


def test_a_table_that_was_filled_anew_and_a_store_that_was_rewound_are_audited_deep(turns: Turns) -> None:
    lane = Lane("redis", "realtime", "running", 100.0, rewound=0)
    turns.notice([lane], BUSY)
    turns.notice(
        [Lane("redis", "realtime", "running", 100.0, rewound=1)],
        {"jobs": SnapshotState("jobs", "done", reason="truncated")},
    )
    found = [begin(turns), begin(turns)]
    assert {(job.depth, job.why, job.tables, job.sinks) for job in found if job} == {
        ("deep", "replay", (), ("redis",)),
        ("deep", "replay", ("jobs",), ()),
    }


def test_the_first_fill_is_no_reason(turns: Turns) -> None:
    turns.notice([], {"jobs": SnapshotState("jobs", "running")})
    turns.notice([], DONE)
    job = begin(turns)
    assert job is not None
    assert job.why == "schedule"


def test_a_quick_audit_is_followed_by_a_look_at_what_it_cannot_see(turns: Turns) -> None:
    job = begin(turns)
    assert job is not None
    over(turns, job, incident("deep"), incident("quick"))
    (again,) = turns.waiting
    assert (again.depth, again.why, again.spots) == (
        "keys",
        "schedule",
        ((("postgres", "jobs"), Spot({"id": 1}, "jobs", "")),),
    )


@pytest.mark.parametrize(("depth", "then"), [("quick", "quick"), ("deep", "deep")])
def test_a_repair_of_more_than_is_remembered_is_followed_by_a_look_at_the_whole_table(
    turns: Turns, depth: str, then: str
) -> None:
    repair = Job("keys", "repair", sinks=("postgres",), cap=10, only="jobs")
    over(turns, repair, incident(depth))
    assert turns.waiting == []
    over(turns, repair, incident(depth, whole=False))
    (after,) = turns.waiting
    assert (after.depth, after.why, after.tables, after.sinks, after.cap) == (
        then,
        "repair",
        ("jobs",),
        ("postgres",),
        0,
    )
    over(turns, begin(turns) or repair, incident(depth, whole=False))
    assert turns.waiting == []
