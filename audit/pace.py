"""How fast a first look reads: MySQL for a bounded share of its time, nothing while a lane is behind its objective, and
with what processors others leave.

Clock and sleep are passed in; seconds everywhere.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from audit.sources import Marking
from streams.marks import Mark
from streams.watch import LaneId

_T = TypeVar("_T")

ASK_EVERY = 1.0
"""How often lanes are asked how far they are."""
LEAST = 2.0
"""Lanes say how far they are now and then only: none is called late before this."""
NICENESS = 10
"""Of a process that audits: it gets a tenth of what another one does, where both want all."""
SESSION = Path("/proc/self/autogroup")
"""Where Linux weighs sessions against one another before it looks at processes (sched(7)), their niceness."""


def step_aside() -> None:
    """Have this process take no processor that others of this machine want: an audit's threads are many, and what they
    took from a lane would make it late, for which the audit would then rest.

    To be called before threads are made: on Linux each has a niceness of its own, which is that of its maker.
    """
    os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), NICENESS))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # no such file, or not writable in a container: an audit is one all the same
            SESSION.write_text(str(NICENESS))


class Lateness:
    """Whether lanes keep their objectives: each must have passed what capture had published so many seconds ago."""

    def __init__(
        self, marks: Marking, objectives: Mapping[LaneId, float], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._marks, self._clock = marks, clock
        self._objectives = {lane: max(objective, LEAST) for lane, objective in objectives.items()}
        self._seen: dict[LaneId, deque[tuple[float, Mark]]] = {lane: deque() for lane in objectives}

    def late(self) -> list[LaneId]:
        """The lanes that are behind. Those are known only once this has been asked for as long as their objective."""
        mark, now = self._marks.newest(self._clock() + ASK_EVERY), self._clock()
        return [lane for lane, objective in self._objectives.items() if self._behind(lane, objective, mark, now)]

    def _behind(self, lane: LaneId, objective: float, mark: Mark, now: float) -> bool:
        seen = self._seen[lane]
        if not seen or now - seen[-1][0] >= objective / 8:  # few marks are kept of long objectives
            seen.append((now, mark))
        while len(seen) > 1 and seen[1][0] <= now - objective:
            seen.popleft()
        at, oldest = seen[0]
        return at <= now - objective and self._marks.passed(lane, oldest, self._clock()) > 0


class Lanes:
    """What all looks of an audit give way to: none goes on while a lane is late, or what the others read would keep it
    so. For any number of threads.

    A lane that stays late for ``patience`` seconds is waited for no longer: the audit is not what keeps it.
    """

    def __init__(
        self,
        lateness: Lateness,
        *,
        patience: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lateness, self._patience, self._tell = lateness, patience, tell
        self._clock, self._sleep = clock, sleep
        self._asking = threading.Lock()
        self._asked = clock()
        self._late: list[LaneId] = []
        self._since = 0.0
        self._given_up: set[LaneId] = set()

    @property
    def due(self) -> bool:
        """Whether lanes are late, or are to be asked again."""
        return bool(self._late) or self._clock() - self._asked >= ASK_EVERY

    def give_way(self) -> None:
        """Return once no lane is late. To be called often: lanes are asked once in `ASK_EVERY`, whoever calls."""
        while self.due and self._ask():
            self._sleep(ASK_EVERY)

    def _ask(self) -> bool:
        """Whether any lane is late."""
        with self._asking:
            if self._clock() - self._asked < ASK_EVERY:  # another thread has asked meanwhile
                return bool(self._late)
            late = [lane for lane in self._lateness.late() if lane not in self._given_up]
            groups = ", ".join(sorted({lane.group for lane in late}))
            if late and not self._late:
                self._since = self._clock()
                self._tell(f"{groups} is behind its objective: the audit pauses")
            elif late and self._clock() - self._since >= self._patience:
                self._given_up.update(late)
                self._tell(f"{groups} is behind for {self._patience:.0f} s: the audit goes on all the same")
                late = []
            self._late, self._asked = late, self._clock()
            return bool(late)


class Pace:
    """One look's. ``share`` is that of MySQL's time which it may take, above 0 and up to 1."""

    def __init__(
        self,
        share: float,
        lanes: Lanes,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"{share} is no share")
        self._rests = 1 / share - 1
        self.lanes = lanes
        self._clock, self._sleep = clock, sleep

    def reading(self, pages: Iterator[_T]) -> Iterator[_T]:
        """``pages`` of MySQL, with rests between them as long as what they took asks for; what is done with a page
        counts as rest. And none while a lane is late."""
        while True:
            began = self._clock()
            page = next(pages, None)
            if page is None:
                return
            ended = self._clock()
            yield page
            rest = (ended - began) * self._rests - (self._clock() - ended)
            if rest > 0:
                self._sleep(rest)
            self.lanes.give_way()
