"""One table under audit: MySQL and every store of it, read while writes go on.

Both sides are read at different times, so a difference says nothing by itself. What makes it one:

1. A mark is taken in the stream, then a view of MySQL is opened that holds all that the mark's offsets do.
2. The lanes are waited for until they have passed all that the view can have seen; then the stores are read.
3. The keys of every change behind the mark, up to where the topic ends now, are left *undecided*. The row of any other
   key did not change from before the view to after the stores were read, so both must hold the same.

What a store should hold is the table's row itself or what was made from it: `audit.truth` tells.

The first look reads everything and compares digests. Suspects and undecided keys are then looked at again in portions,
as whole rows, by the same three steps; a key is done as soon as one of its looks was undisturbed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from audit.compare import Expected, judge, plain
from audit.digests import Again, Digests
from audit.expected import place_by_key
from audit.first import TURN, First
from audit.pace import Lanes, Lateness, Pace
from audit.side import Finding, Side, Where
from audit.sources import Following, Marking, Opening, Viewed
from audit.steps import Steps
from audit.truth import Behind, Truth
from changes.canonical import Value
from changes.errors import Rejected, Transient
from changes.key import Key, key_of
from changes.record import StoredRow
from changes.schema import TableSchema
from streams.marks import Mark

PORTION = 1000
"""Keys that are read again at once: few, so that few of them change meanwhile."""


class Look:
    """One table's audit. ``keep`` bounds the findings that are remembered of each target; all are counted.

    ``share`` is that of MySQL's time which the first look may take. ``digests`` may hold what an audit of ``identity``
    had read when it was killed. ``turn`` is for how many seconds a view of MySQL is kept; ``reading`` is held while the
    first look reads it, and ``lanes`` are those that it gives way to, its own where they are not given.
    """

    def __init__(
        self,
        opening: Opening,
        marks: Marking,
        follower: Following,
        table: str,
        sides: Sequence[Side],
        truth: Truth,
        *,
        timeout: float,
        keep: int,
        tell: Callable[[str], None],
        share: float = 1.0,
        digests: Digests | None = None,
        identity: str = "",
        turn: float = TURN,
        reading: AbstractAsyncContextManager[object] | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self._opening, self._follower = opening, follower
        self._table, self.sides, self._truth = table, sides, truth
        self._timeout, self._keep, self._tell = timeout, keep, tell
        self._share, self._identity, self._turn = share, identity, turn
        self._reading = nullcontext() if reading is None else reading
        self._lanes = lanes
        self._steps = Steps(marks, follower, sides, truth, timeout=timeout)
        self.digests = Digests() if digests is None else digests
        self.source_rows = 0

    async def everything(self) -> None:
        """The first look. Raises `Transient` where MySQL or Kafka cannot be reached."""
        lanes = self._lanes
        if lanes is None:
            objectives = {side.lane: side.target.tier.fresh for side in self.sides}
            lanes = Lanes(Lateness(self._steps.marks, objectives), patience=self._timeout, tell=self._tell)
        first = First(
            self._opening,
            self._steps,
            self.digests,
            self._table,
            Pace(self._share, lanes),
            tell=self._tell,
            identity=self._identity,
            turn=self._turn,
            reading=self._reading,
        )
        self.source_rows = await first.run()

    async def ready(self, side: Side, mark: Mark | None) -> bool:
        """Whether the side's lane has passed the mark and its store is open."""
        return await self._steps.ready(side, mark)

    def give_up(self, sides: Sequence[Side], behind: Behind) -> None:
        """What these need did not come in time."""
        self._steps.give_up(sides, behind)

    def ask(self, keys: Mapping[Key, Mapping[Where, Sequence[str]]]) -> None:
        """Put these keys in doubt instead of a first look, with places to look at beside their own, by target."""
        self.source_rows = len(keys)
        for key, places in keys.items():
            values = [plain(value) for value in key.values]
            for side in self.sides:
                there = places.get((side.target.sink, side.target.name), ())
                self.digests.ask(side.number, values, key.canonical, there)

    async def again(self, rounds: int, pause: float = 0.1) -> None:
        """Look at what is in doubt until nothing is, ``rounds`` times at most."""
        for number in range(rounds):
            if not any(self.digests.undecided(side.number) for side in self.sides if not side.away):
                return
            if number:
                await asyncio.sleep(pause)
            after: bytes | None = None
            while portion := self.digests.portion(after, PORTION):
                await self._portion(portion)
                after = portion[-1].key

    # -- the looks after it ---------------------------------------------------------------------------------------

    async def _portion(self, portion: Sequence[Again]) -> None:
        live = [side for side in self.sides if not side.away and any(side.number in one.places for one in portion)]
        if not live:
            return
        mark = await asyncio.to_thread(self._steps.begin)
        with self._opening(mark.covers) as view:
            self._truth.see(view.schema)
            rows = await asyncio.to_thread(self._by_key, view, portion)
        passed = await self._steps.settled(view)
        expected: dict[int, dict[bytes, Expected | None]] = {}
        seen: dict[int, Mapping[bytes, Mapping[str, StoredRow | None]]] = {}
        for side in live:
            if await self._steps.ready(side, passed):
                expected[side.number] = await asyncio.to_thread(self._expected, side, portion, rows)
                try:
                    seen[side.number] = await _read(side, self._truth.schema, portion, expected[side.number])
                except (Transient, Rejected) as error:
                    side.give_up(error)
        newest = await self._steps.newest()
        changed = {key for key, _ in await asyncio.to_thread(lambda: list(self._steps.changed()))}
        self._decide([one for one in portion if one.key not in changed], expected, seen, newest)

    def _by_key(self, view: Viewed, portion: Sequence[Again]) -> dict[bytes, Mapping[str, Value]]:
        """The rows that decide what is expected under the keys of ``portion``, by their own."""
        wanted = {key.canonical: key for key in (self._truth.row_key(one.whole_key) for one in portion)}
        found = (
            (key_of(view.schema, row).canonical, row) for row in view.rows_by([key.values for key in wanted.values()])
        )
        return {key: row for key, row in found if key in wanted}

    def _expected(
        self, side: Side, portion: Sequence[Again], rows: Mapping[bytes, Mapping[str, Value]]
    ) -> dict[bytes, Expected | None]:
        return {
            one.key: self._truth.expected(
                side.number, one.whole_key, rows.get(self._truth.row_key(one.whole_key).canonical)
            )
            for one in portion
            if side.number in one.places
        }

    def _decide(
        self,
        portion: Sequence[Again],
        expected: Mapping[int, Mapping[bytes, Expected | None]],
        seen: Mapping[int, Mapping[bytes, Mapping[str, StoredRow | None]]],
        newest: int,
    ) -> None:
        span = self._follower.span
        decided: list[tuple[bytes, int]] = []
        for one in portion:
            for number in one.places.keys() & seen.keys():
                side, stored, asked = self.sides[number], seen[number][one.key], expected[number][one.key]
                side.compared += asked is not None and stored[asked.place] is not None
                for place, found in judge(side.target, self._truth.schema, asked, stored, newest):
                    side.different += 1
                    if len(side.findings) < self._keep:
                        lies, last = stored[place], self._truth.last(one.whole_key)
                        beyond = lies is not None and lies.position > newest
                        side.findings.append(Finding(one.whole_key, place, found, lies, span, beyond, last))
                decided.append((one.key, number))
        self.digests.decide(decided)


async def _read(
    side: Side, schema: TableSchema, portion: Sequence[Again], expected: Mapping[bytes, Expected | None]
) -> dict[bytes, dict[str, StoredRow | None]]:
    """What the store holds of each key, by place: where it should be, where it was seen, where its key alone says."""
    wanted: list[tuple[str, Key]] = []
    for one in portion:
        if side.number in one.places:
            asked = expected[one.key]
            places = dict.fromkeys((*one.places[side.number], place_by_key(side.target, one.values)))
            if asked is not None:
                places[asked.place] = None
            wanted += ((place, one.whole_key) for place in places)
    found: dict[bytes, dict[str, StoredRow | None]] = {}
    answers = await side.sink.read(side.target, schema, wanted)
    for (place, key), stored in zip(wanted, answers, strict=True):
        found.setdefault(key.canonical, {})[place] = stored
    return found
