"""The three steps of every look, which `audit.look` explains: a mark and a view of MySQL, lanes past what it can have
seen, and the changes since the mark."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from audit.side import Side
from audit.sources import Following, Marking, Viewed
from audit.truth import Behind, Lacking, Truth
from changes.errors import Transient
from streams.marks import Mark


class Steps:
    """Of looks at one table. ``timeout`` is the longest wait for capture and for each lane, in seconds."""

    def __init__(
        self, marks: Marking, follower: Following, sides: Sequence[Side], truth: Truth, *, timeout: float
    ) -> None:
        self.marks, self.follower, self.sides, self.truth = marks, follower, sides, truth
        self._timeout = timeout
        self._opened: set[int] = set()

    def begin(self, mark: Mark | None = None) -> Mark:
        """Follow the topic from a mark on, a new one where none is given. Blocking."""
        if mark is None:
            mark = self.marks.newest(self.deadline())
        self.follower.start(mark.ends)
        return mark

    async def settled(self, view: Viewed) -> Mark | None:
        """A mark behind all that the view can have seen and all that follows from it; without one no store can be
        judged."""

        def settle() -> Mark:
            mark = self.marks.behind_binlog(view.file, view.offset, self.deadline())
            if mark is None:
                raise Behind("capture has not read all that MySQL committed")
            return self.truth.settle(mark, self.deadline())

        try:
            return await asyncio.to_thread(settle)
        except Behind as behind:
            self.give_up(self.sides, behind)
            return None

    def give_up(self, sides: Sequence[Side], behind: Behind) -> None:
        """What these need did not come in time."""
        for side in sides:
            side.give_up(behind, late=not isinstance(behind, Lacking))

    async def ready(self, side: Side, mark: Mark | None) -> bool:
        """Whether the side's lane has passed the mark and its store is open."""
        if side.away or mark is None:
            return False
        left = await asyncio.to_thread(self.marks.passed, side.lane, mark, self.deadline())
        if left:
            side.give_up(f"{side.lane.group} has {left} records to go")
            return False
        try:
            if side.number not in self._opened:
                async with side.opening:
                    await side.sink.open([(side.target, self.truth.schema)])
                self._opened.add(side.number)
        except Transient as error:
            side.give_up(error)
        return not side.away

    def changed(self) -> Iterator[tuple[bytes, bytes]]:
        """The keys of every change behind the mark until now, with their values."""
        return self.truth.changed(self.follower.drain())

    async def newest(self) -> int:
        """The position up to which capture has come."""
        return (await asyncio.to_thread(self.marks.newest, self.deadline())).position

    def deadline(self) -> float:
        return time.monotonic() + self._timeout
