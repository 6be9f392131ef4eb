"""How fast a first look reads: MySQL for a bounded share of its time, and nothing while a lane is behind its objective.

Clock and sleep are passed in; seconds everywhere.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from audit.sources import Marking
from streams.marks import Mark
from streams.watch import LaneId

_T = TypeVar("_T")

ASK_EVERY = 1.0
"""How often lanes are asked how far they are."""
LEAST = 2.0
"""Lanes say how far they are now and then only: none is called late before this."""


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


class Pace:
    """One audit's. ``share`` is that of MySQL's time which it may take, above 0 and up to 1. A lane that stays late for
    ``patience`` seconds is waited for no longer: the audit is not what keeps it."""

    def __init__(
        self,
        share: float,
        lateness: Lateness,
        *,
        patience: float,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"{share} is no share")
        self._rests = 1 / share - 1
        self._lateness, self._patience, self._tell = lateness, patience, tell
        self._clock, self._sleep = clock, sleep
        self._asked = clock()
        self._given_up: set[LaneId] = set()

    def reading(self, pages: Iterator[_T]) -> Iterator[_T]:
        """``pages`` of MySQL, with rests between them as long as what they took asks for; what is done with a page
        counts as rest."""
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
            self.give_way()

    @property
    def due(self) -> bool:
        """Whether lanes are to be asked again."""
        return self._clock() - self._asked >= ASK_EVERY

    def give_way(self) -> None:
        """Return once no lane is late. To be called often: lanes are asked where that is `due`."""
        if not self.due:
            return
        since = self._clock()
        told = False
        while late := [lane for lane in self._lateness.late() if lane not in self._given_up]:
            groups = ", ".join(sorted({lane.group for lane in late}))
            if self._clock() - since >= self._patience:
                self._given_up.update(late)
                self._tell(f"{groups} is behind for {self._patience:.0f} s: the audit goes on all the same")
                break
            if not told:
                told = True
                self._tell(f"{groups} is behind its objective: the audit pauses")
            self._sleep(ASK_EVERY)
        self._asked = self._clock()
