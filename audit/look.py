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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from audit.compare import NEVER, Expected, judge, plain, suspects
from audit.compare import digest as digest_of
from audit.digests import Again, Digests, names_of, to_bytes
from audit.expected import place_by_key
from audit.side import Finding, Side, Where
from audit.sources import Following, Marking, Opening, Viewed
from audit.truth import Behind, Lacking, Truth, Want
from changes.canonical import Value, compiled
from changes.errors import Rejected, Transient
from changes.key import Key, key_of
from changes.record import StoredRow
from changes.schema import TableSchema
from streams.marks import Mark

PORTION = 1000
"""Keys that are read again at once: few, so that few of them change meanwhile."""
_BATCH = 1000
_TELL_EVERY = 2.0


class Look:
    """One table's audit. ``keep`` bounds the findings that are remembered of each target; all are counted."""

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
    ) -> None:
        self._opening, self._marks, self._follower = opening, marks, follower
        self._table, self.sides, self._truth = table, sides, truth
        self._timeout, self._keep, self._tell = timeout, keep, tell
        self.digests = Digests()
        self.source_rows = 0
        self._opened: set[int] = set()

    async def everything(self) -> None:
        """The first look. Raises `Transient` where MySQL or Kafka cannot be reached."""
        mark = await self._begin()
        with self._opening(mark.covers) as view:
            await asyncio.to_thread(self._digest_source, view)
        passed = await self._settled(view)
        if passed is not None:
            await asyncio.to_thread(self.digests.want, self._truth.rest())
        for side in self.sides:
            if await self.ready(side, passed):
                await self._compare(side)

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

    # -- the three steps ------------------------------------------------------------------------------------------

    async def _begin(self) -> Mark:
        mark = await asyncio.to_thread(self._marks.newest, self._deadline())
        await asyncio.to_thread(self._follower.start, mark.ends)
        return mark

    async def _settled(self, view: Viewed) -> Mark | None:
        """A mark behind all that the view can have seen and all that follows from it; without one no store can be
        judged."""

        def settle() -> Mark:
            mark = self._marks.behind_binlog(view.file, view.offset, self._deadline())
            if mark is None:
                raise Behind("capture has not read all that MySQL committed")
            return self._truth.settle(mark, self._deadline())

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
        left = await asyncio.to_thread(self._marks.passed, side.lane, mark, self._deadline())
        if left:
            side.give_up(f"{side.lane.group} has {left} records to go")
            return False
        try:
            if side.number not in self._opened:
                async with side.opening:
                    await side.sink.open([(side.target, self._truth.schema)])
                self._opened.add(side.number)
        except Transient as error:
            side.give_up(error)
        return not side.away

    def _changed(self) -> Iterator[tuple[bytes, bytes]]:
        """The keys of every change behind the mark until now, with their values."""
        return self._truth.changed(self._follower.drain())

    # -- the first look -------------------------------------------------------------------------------------------

    def _digest_source(self, view: Viewed) -> None:
        began = told = time.monotonic()
        batch: list[Want] = []
        self._truth.see(view.schema)
        for row in view.rows():
            batch += self._truth.take(row)
            self.source_rows += 1
            if len(batch) >= _BATCH:
                self.digests.want(batch)
                batch.clear()
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    self._tell(f"{self._table}: {self.source_rows} rows, {self.source_rows / (told - began):.0f}/s")
        self.digests.want(batch)

    async def _compare(self, side: Side) -> None:
        try:
            await self._digest_store(side, self._truth.schema)
        except Transient as error:
            side.give_up(error)
            return
        newest = (await asyncio.to_thread(self._marks.newest, self._deadline())).position

        def agree() -> None:
            side.compared += 1

        def sift() -> None:
            self.digests.change(self._changed())
            number = side.number
            found = suspects(
                self.digests.wanted(number),
                self.digests.held(number),
                newest=newest,
                cache=side.target.keep == "cache",
                agree=agree,
            )
            self.digests.suspect(number, found)
            self.digests.suspect_changed(number)
            self.digests.forget(number)

        await asyncio.to_thread(sift)

    async def _digest_store(self, side: Side, schema: TableSchema) -> None:
        values_of = compiled(side.target.columns(schema), lenient=True)
        batch: list[tuple[int, bytes, bytes, bytes, int, bytes]] = []
        began = told = time.monotonic()
        async for stored in side.sink.rows(side.target, schema):
            side.sink_rows += 1
            digest = NEVER
            if not stored.broken:
                digest = digest_of(values_of(stored.row), stored.hash, stored.mapping, stored.generation)
            key = stored.key
            batch.append(
                (side.number, key.canonical, to_bytes(stored.place), digest, stored.position, names_of(key.values))
            )
            if len(batch) >= _BATCH:
                self.digests.hold(batch)
                batch.clear()
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    rate = side.sink_rows / (told - began)
                    self._tell(f"{self._table} in {side.target.sink}: {side.sink_rows} rows, {rate:.0f}/s")
        self.digests.hold(batch)

    # -- the looks after it ---------------------------------------------------------------------------------------

    async def _portion(self, portion: Sequence[Again]) -> None:
        live = [side for side in self.sides if not side.away and any(side.number in one.places for one in portion)]
        if not live:
            return
        mark = await self._begin()
        with self._opening(mark.covers) as view:
            self._truth.see(view.schema)
            rows = await asyncio.to_thread(self._by_key, view, portion)
        passed = await self._settled(view)
        expected: dict[int, dict[bytes, Expected | None]] = {}
        seen: dict[int, Mapping[bytes, Mapping[str, StoredRow | None]]] = {}
        for side in live:
            if await self.ready(side, passed):
                expected[side.number] = await asyncio.to_thread(self._expected, side, portion, rows)
                try:
                    seen[side.number] = await _read(side, self._truth.schema, portion, expected[side.number])
                except (Transient, Rejected) as error:
                    side.give_up(error)
        newest = (await asyncio.to_thread(self._marks.newest, self._deadline())).position
        changed = {key for key, _ in await asyncio.to_thread(lambda: list(self._changed()))}
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

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout


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
