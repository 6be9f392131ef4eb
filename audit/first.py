"""The first look at a table: everything, in turns that can be gone on with.

MySQL is read in the order of its keys, a view for each turn: no view stays open for long, and the next one begins
behind the last key. Why views of different moments will do stands in `audit.course`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from audit.compare import plain
from audit.course import Course
from audit.digests import Digests, parts_for
from audit.held import StoredDigests
from audit.pace import Pace
from audit.progress import Progress
from audit.side import Side
from audit.sources import Opening, Viewed
from audit.steps import Steps
from changes.errors import Transient
from changes.record import StoredRow
from streams.marks import Mark

TURN = 60.0
"""Seconds after which MySQL is read through another view: it keeps all that changes beside one."""
SAVE_EVERY = 5.0
"""Seconds between two notes of how far it is."""
_BATCH = 1000


class First:
    """One table's. ``identity`` says what is audited; ``digests`` may hold the course of an audit that was killed;
    ``reading`` is held while MySQL is read."""

    def __init__(
        self,
        opening: Opening,
        steps: Steps,
        digests: Digests,
        table: str,
        pace: Pace,
        *,
        tell: Callable[[str], None],
        identity: str = "",
        turn: float,
        reading: AbstractAsyncContextManager[object],
    ) -> None:
        self._opening, self._steps, self._digests, self._table = opening, steps, digests, table
        self._pace, self._tell, self._identity = pace, tell, identity
        self._turn, self._reading = turn, reading
        self._mark = Mark(0, 0, {})
        self._course: Course | None = None
        self._progress: Progress | None = None

    async def run(self) -> int:
        """Read and compare everything; how many rows MySQL has. Raises `Transient` where it or Kafka cannot be
        reached."""
        async with self._reading:
            await asyncio.to_thread(self._begin)
            view = await self._read_source()
        course = self._known
        passed = await self._steps.settled(view)
        if passed is not None:
            await asyncio.to_thread(self._digests.want, self._steps.truth.rest())
        for side in self._steps.sides:
            if await self._steps.ready(side, passed):
                await self._compare(side, course)
        return course.rows

    @property
    def _known(self) -> Course:
        if self._course is None:
            raise RuntimeError("nothing was read yet")
        return self._course

    def _begin(self) -> None:
        """Where an audit was left, or anew."""
        course, newest = self._digests.course(), self._steps.marks.newest(self._steps.deadline())
        if course is not None:
            reason = course.stale(self._identity, time.time(), newest.position)
            if not reason:
                self._course, self._mark = course, self._steps.begin(course.mark)
                self._digests.split(course.parts)
                self._tell(
                    f"{self._table}: an audit that was left is gone on with, {course.rows} rows of MySQL are read"
                )
                return
            self._anew(reason)
        self._mark = self._steps.begin(newest)

    def _anew(self, reason: str) -> None:
        self._tell(f"{self._table}: the audit begins anew: {reason}")
        self._digests.clear()
        self._steps.truth.forget()
        self._course = self._progress = None

    # -- MySQL ----------------------------------------------------------------------------------------------------

    async def _read_source(self) -> Viewed:
        """All of it, and the view that was opened last."""
        while True:
            with self._opening(self._mark.covers) as view:
                if await asyncio.to_thread(self._take_turn, view):
                    return view

    def _take_turn(self, view: Viewed) -> bool:
        """Whether that was the last."""
        schema, truth = view.schema, self._steps.truth
        if self._course is not None and self._course.schema != schema.fingerprint:
            self._anew("its columns have changed")
            self._mark = self._steps.begin()
            return False  # the view may be from before that mark
        truth.see(schema)
        guess = view.guess()
        if self._course is None:
            parts = parts_for(guess)
            self._course = Course.begun(self._identity, time.time(), self._mark, schema.fingerprint, parts)
            self._digests.split(parts)
        course = self._course
        if self._progress is None:
            self._progress = Progress(self._table, guess, self._tell, done=course.rows)
        place = [[column.name for column in schema.columns].index(name) for name in schema.key]
        began = saved = time.monotonic()
        if not course.read:
            for columns in self._pace.reading(view.pages(None if course.after is None else tuple(course.after))):
                self._digests.want(truth.take(columns))
                course.rows += len(columns[0])
                course.after = [plain(columns[number][-1]) for number in place]
                self._progress.add(len(columns[0]))
                now = time.monotonic()
                turned = now - began >= self._turn
                if turned or now - saved >= SAVE_EVERY:
                    saved = now
                    self._digests.keep(course)
                if turned:
                    return False
            course.read = True
            self._digests.keep(course)
        return True

    # -- stores ---------------------------------------------------------------------------------------------------

    async def _compare(self, side: Side, course: Course) -> None:
        try:
            await self._read_store(side, course)
        except Transient as error:
            side.give_up(error)
            return
        newest = await self._steps.newest()

        def sift() -> None:
            self._digests.change(self._steps.changed())
            cache = side.target.keep == "cache"
            side.compared += self._digests.sift(side.number, newest=newest, cache=cache)

        await asyncio.to_thread(sift)

    async def _read_store(self, side: Side, course: Course) -> None:
        schema = self._steps.truth.schema
        digests = StoredDigests(side, schema)
        self._digests.unhold(side.number)
        progress = Progress(f"{self._table} in {side.target.sink}", course.rows, self._tell)

        def take(batch: Sequence[StoredRow]) -> None:
            self._digests.hold(digests.of(batch))
            side.sink_rows += len(batch)
            progress.add(len(batch))

        batch: list[StoredRow] = []
        taking: asyncio.Future[None] | None = None  # in a thread: meanwhile the store finds the next ones
        try:
            async for stored in side.sink.rows(side.target, schema):
                batch.append(stored)
                if len(batch) >= _BATCH:
                    if taking is not None:
                        await taking
                    taking, batch = asyncio.ensure_future(asyncio.to_thread(take, batch)), []
                    if self._pace.lanes.due:
                        await asyncio.to_thread(self._pace.lanes.give_way)
        finally:
            if taking is not None:
                await taking
        take(batch)
