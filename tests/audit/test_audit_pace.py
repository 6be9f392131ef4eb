"""How fast a first look reads: shares, pauses and what people are told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from audit.pace import ASK_EVERY, LEAST, NICENESS, SESSION, Lanes, Lateness, Pace
from audit.progress import Progress
from streams.marks import Mark
from streams.watch import LaneId

LANE, OTHER = LaneId("v", "postgres", "realtime", ("t",)), LaneId("v", "neo4j", "async", ("t",))


@dataclass
class Clock:
    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Line:
    """Capture publishes one more offset a second; a lane is so many seconds behind."""

    clock: Clock
    behind: dict[LaneId, float] = field(default_factory=dict)

    def newest(self, deadline: float) -> Mark:
        return Mark(int(self.clock()), 0, {("t", 0): int(self.clock())})

    def behind_binlog(self, file: str, offset: int, deadline: float) -> Mark | None:
        return self.newest(deadline)

    def passed(self, lane: LaneId, mark: Mark, deadline: float) -> int:
        return max(0, mark.ends["t", 0] - int(self.clock() - self.behind.get(lane, 0.0)))


def pace(clock: Clock, line: Line, told: list[str], *, share: float = 1.0) -> Pace:
    lateness = Lateness(line, {LANE: 0.1, OTHER: 30.0}, clock=clock)
    lanes = Lanes(lateness, patience=60.0, tell=told.append, clock=clock, sleep=clock.sleep)
    return Pace(share, lanes, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize(("share", "rests"), [(1.0, []), (0.5, [2.0, 2.0]), (0.25, [6.0, 6.0])])
def test_a_read_is_followed_by_a_rest_in_proportion(share: float, rests: list[float]) -> None:
    clock = Clock()

    one = pace(clock, Line(clock), [], share=share)

    def reads() -> Iterator[int]:
        for _ in range(2):
            clock.now += 2.0
            yield 1

    assert sum(one.reading(reads())) == 2
    assert clock.slept == rests


def test_what_is_done_with_a_page_counts_as_rest() -> None:
    clock = Clock()
    one = pace(clock, Line(clock), [], share=0.5)

    def reads() -> Iterator[int]:
        clock.now += 2.0
        yield 1

    for _ in one.reading(reads()):
        clock.now += 1.5
    assert clock.slept == [0.5]


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
def test_a_share_is_above_nothing_and_up_to_all(share: float) -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="is no share"):
        pace(clock, Line(clock), [], share=share)


def test_a_lane_is_late_that_has_not_passed_what_was_there_its_objective_ago() -> None:
    clock = Clock()
    line = Line(clock, {LANE: 20.0, OTHER: 20.0})
    lateness = Lateness(line, {LANE: 0.1, OTHER: 30.0}, clock=clock)
    assert lateness.late() == [], "nothing is known of what was there before"
    for _ in range(100):
        clock.now += 0.5
        late = lateness.late()
    assert late == [LANE]
    line.behind = {OTHER: 50.0}
    assert lateness.late() == [OTHER]
    line.behind = {LANE: LEAST / 2}
    assert lateness.late() == []


def test_the_audit_pauses_while_a_lane_is_late_and_goes_on_behind_it() -> None:
    clock, told = Clock(), list[str]()
    line = Line(clock)
    one = pace(clock, line, told).lanes
    for _ in range(10):
        clock.now += ASK_EVERY
        one.give_way()
    assert (clock.slept, told) == ([], [])
    line.behind[LANE] = 10.0
    catching_up = clock.sleep

    def sleep(seconds: float) -> None:
        catching_up(seconds)
        line.behind[LANE] -= 4.0

    one._sleep = sleep
    clock.now += ASK_EVERY
    one.give_way()
    assert clock.slept == [ASK_EVERY] * 2
    assert told == ["v.postgres.realtime is behind its objective: the audit pauses"]


def test_a_lane_that_stays_late_is_waited_for_once() -> None:
    clock, told = Clock(), list[str]()
    line = Line(clock)
    one = pace(clock, line, told).lanes
    for _ in range(10):
        clock.now += ASK_EVERY
        one.give_way()
    line.behind[LANE] = 1000.0
    for _ in range(10):
        clock.now += ASK_EVERY
        one.give_way()
    assert sum(clock.slept) == 60.0
    assert told[1:] == ["v.postgres.realtime is behind for 60 s: the audit goes on all the same"]


def test_all_looks_wait_for_one_lane_and_it_is_asked_and_told_of_once() -> None:
    clock, told, asked = Clock(), list[str](), 0
    line = Line(clock)
    several = [pace(clock, line, told).lanes] * 3
    newest = line.newest

    def counted(deadline: float) -> Mark:
        nonlocal asked
        asked += 1
        return newest(deadline)

    line.newest = counted  # type: ignore[method-assign]
    for _ in range(10):
        clock.now += ASK_EVERY
        for one in several:
            one.give_way()
    assert asked == 10
    line.behind[LANE] = 1000.0
    clock.now += ASK_EVERY
    assert several[0]._ask()
    assert all(one.due for one in several), "it is late for all of them"
    for one in several:
        one.give_way()
    assert (len(told), sum(clock.slept)) == (2, 60.0)


def test_progress_has_rows_share_and_what_is_left() -> None:
    clock, told = Clock(), list[str]()
    progress = Progress("jobs", 1000, told.append, done=200, clock=clock)
    clock.now += 1.0
    progress.add(100)
    assert told == []
    clock.now += 3.0
    progress.add(100)
    assert told == ["jobs: 400 rows, 50/s, 40% of about 1000, 12 s to go"]
    clock.now += 4.0
    progress.add(1000)
    assert told[1] == "jobs: 1400 rows, 150/s"


STEPPING = """
import os, threading
from audit.pace import SESSION, step_aside
step_aside()
step_aside()
of_thread = []
maker = threading.Thread(target=lambda: of_thread.append(os.getpriority(os.PRIO_PROCESS, 0)))
maker.start()
maker.join()
print(os.getpriority(os.PRIO_PROCESS, 0), *of_thread, SESSION.read_text() if SESSION.exists() else "")
"""


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_steps_aside_with_its_threads_and_with_a_session_of_its_own(own_session: bool) -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    session = SESSION.read_text().split()[-1:] if SESSION.exists() else []
    said = subprocess.run(
        [sys.executable, "-c", STEPPING], start_new_session=own_session, check=True, capture_output=True, text=True
    ).stdout.split()
    nice = str(max(before, NICENESS))
    assert said[:2] == [nice, nice]
    assert said[2:][-1:] == ([str(NICENESS)] if own_session and os.access(SESSION, os.W_OK) else session)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
