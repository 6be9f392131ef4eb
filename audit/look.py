"""One table under audit: MySQL and every store of it, read while writes go on.

Both sides are read at different times, so a difference says nothing by itself. What makes it one:

1. A mark is taken in the stream, then a view of MySQL is opened that holds all that the mark's offsets do.
2. The lanes are waited for until they have passed all that the view can have seen; then the stores are read.
3. The keys of every change behind the mark, up to where the topic ends now, are left *undecided*. The row of any other
   key did not change from before the view to after the stores were read, so both must hold the same.

The first look reads everything and compares digests. Suspects and undecided keys are then looked at again in portions,
as whole rows, by the same three steps; a key is done as soon as one of its looks was undisturbed.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit.compare import Found, judge, plain, suspects
from audit.compare import digest as digest_of
from audit.digests import Again, Digests, names_of, to_bytes
from audit.expected import Maker, place_by_key
from audit.sources import Following, Marking, Opening, Viewed
from changes.canonical import Value, compiled
from changes.envelope import decode_key
from changes.errors import Rejected, Transient
from changes.key import Key, key_of
from changes.record import StoredRow
from changes.schema import TableSchema
from changes.target import Target
from sinks.contract import Sink
from streams.follow import Span
from streams.marks import Mark
from streams.watch import LaneId

PORTION = 1000
"""Keys that are read again at once: few, so that few of them change meanwhile."""
_BATCH = 1000
_TELL_EVERY = 2.0


Where = tuple[str, str]
"""A target: its sink and its name."""


@dataclass(frozen=True)
class Finding:
    """One difference, with what is needed to explain and to mend it.

    ``lies`` is the stored row, ``None`` where nothing is stored; ``span`` is how far the topic had been read when
    it was decided.
    """

    key: Key
    place: str
    found: Found
    lies: StoredRow | None
    span: Span


@dataclass
class Side:
    """One target under audit. ``away`` says why its store cannot be read, where it cannot."""

    number: int
    target: Target
    sink: Sink
    lane: LaneId
    away: str = ""
    sink_rows: int = 0
    compared: int = 0
    different: int = 0
    findings: list[Finding] = field(default_factory=list)


class Look:
    """One table's audit. ``keep`` bounds the findings that are remembered of each target; all are counted."""

    def __init__(
        self,
        opening: Opening,
        marks: Marking,
        follower: Following,
        table: str,
        sides: Sequence[Side],
        *,
        timeout: float,
        keep: int,
        tell: Callable[[str], None],
    ) -> None:
        self._opening, self._marks, self._follower = opening, marks, follower
        self._table, self.sides = table, sides
        self._timeout, self._keep, self._tell = timeout, keep, tell
        self.digests = Digests()
        self.source_rows = 0
        self._opened: set[int] = set()

    async def everything(self) -> None:
        """The first look. Raises `Transient` where MySQL or Kafka cannot be reached."""
        mark = await self._begin()
        with self._opening(mark.covers) as view:
            maker = self._maker(view.schema)
            await asyncio.to_thread(self._digest_source, view, maker)
        passed = await self._captured(view)
        for side in self.sides:
            if await self._ready(side, maker.schema, passed):
                await self._compare(side, maker.schema)

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

    async def _captured(self, view: Viewed) -> Mark | None:
        """A mark behind all that the view can have seen; without one no store can be judged."""
        mark = await asyncio.to_thread(self._marks.behind_binlog, view.file, view.offset, self._deadline())
        if mark is None:
            for side in self.sides:
                side.away = side.away or "capture has not read all that MySQL committed"
        return mark

    async def _ready(self, side: Side, schema: TableSchema, mark: Mark | None) -> bool:
        """Whether the side's lane has passed the mark and its store is open."""
        if side.away or mark is None:
            return False
        left = await asyncio.to_thread(self._marks.passed, side.lane, mark, self._deadline())
        if left:
            side.away = f"{side.lane.group} has {left} records to go"
            return False
        try:
            if side.number not in self._opened:
                await side.sink.open([(side.target, schema)])
                self._opened.add(side.number)
        except Transient as error:
            side.away = str(error)
        return not side.away

    def _changed(self, schema: TableSchema) -> Iterator[tuple[bytes, bytes]]:
        """The keys of every change behind the mark until now, with their values."""
        for message in self._follower.drain():
            row = decode_key(message.key() or b"")
            key = key_of(schema, row)
            yield key.canonical, names_of(key.values)

    # -- the first look -------------------------------------------------------------------------------------------

    def _maker(self, schema: TableSchema) -> Maker:
        return Maker(schema, [side.target for side in self.sides])

    def _digest_source(self, view: Viewed, maker: Maker) -> None:
        began = told = time.monotonic()
        batch: list[tuple[int, bytes, bytes, bytes, bytes]] = []
        for row in view.rows():
            batch += maker.wanted(row)
            self.source_rows += 1
            if len(batch) >= _BATCH:
                self.digests.want(batch)
                batch.clear()
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    self._tell(f"{self._table}: {self.source_rows} rows, {self.source_rows / (told - began):.0f}/s")
        self.digests.want(batch)

    async def _compare(self, side: Side, schema: TableSchema) -> None:
        try:
            await self._digest_store(side, schema)
        except Transient as error:
            side.away = str(error)
            return
        newest = (await asyncio.to_thread(self._marks.newest, self._deadline())).position

        def agree() -> None:
            side.compared += 1

        def sift() -> None:
            self.digests.change(self._changed(schema))
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
        values_of = compiled(side.target.columns(schema))
        batch: list[tuple[int, bytes, bytes, bytes, int, bytes]] = []
        began = told = time.monotonic()
        async for stored in side.sink.rows(side.target, schema):
            side.sink_rows += 1
            digest = digest_of(values_of(stored.row), stored.hash, stored.mapping)
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
            maker = self._maker(view.schema)
            rows = await asyncio.to_thread(_by_key, view, maker, portion)
        passed = await self._captured(view)
        seen: dict[int, Mapping[bytes, Mapping[str, StoredRow | None]]] = {}
        for side in live:
            if await self._ready(side, maker.schema, passed):
                try:
                    seen[side.number] = await _read(side, maker, portion, rows)
                except (Transient, Rejected) as error:
                    side.away = str(error)
        newest = (await asyncio.to_thread(self._marks.newest, self._deadline())).position
        changed = {key for key, _ in await asyncio.to_thread(lambda: list(self._changed(maker.schema)))}
        self._decide([one for one in portion if one.key not in changed], maker, rows, seen, newest)

    def _decide(
        self,
        portion: Sequence[Again],
        maker: Maker,
        rows: Mapping[bytes, Mapping[str, Value]],
        seen: Mapping[int, Mapping[bytes, Mapping[str, StoredRow | None]]],
        newest: int,
    ) -> None:
        span = self._follower.span
        decided: list[tuple[bytes, int]] = []
        for one in portion:
            row, key = rows.get(one.key), Key(tuple(one.values), one.key)
            for number in one.places.keys() & seen.keys():
                side, stored = self.sides[number], seen[number][one.key]
                expected = None if row is None else maker.expected(number, row)
                side.compared += expected is not None and stored[expected.place] is not None
                for place, found in judge(side.target, maker.schema, expected, stored, newest):
                    side.different += 1
                    if len(side.findings) < self._keep:
                        side.findings.append(Finding(key, place, found, stored[place], span))
                decided.append((one.key, number))
        self.digests.decide(decided)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout


def _by_key(view: Viewed, maker: Maker, portion: Sequence[Again]) -> dict[bytes, Mapping[str, Value]]:
    wanted = {one.key for one in portion}
    found = ((maker.key(row).canonical, row) for row in view.rows_by([one.values for one in portion]))
    return {key: row for key, row in found if key in wanted}


async def _read(
    side: Side, maker: Maker, portion: Sequence[Again], rows: Mapping[bytes, Mapping[str, Value]]
) -> dict[bytes, dict[str, StoredRow | None]]:
    """What the store holds of each key, by place: where it should be, where it was seen, where its key alone says."""
    wanted: list[tuple[str, Key]] = []
    for one in portion:
        if side.number in one.places:
            row = rows.get(one.key)
            places = dict.fromkeys((*one.places[side.number], place_by_key(side.target, one.values)))
            if row is not None:
                places[maker.expected(side.number, row).place] = None
            wanted += ((place, Key(tuple(one.values), one.key)) for place in places)
    found: dict[bytes, dict[str, StoredRow | None]] = {}
    answers = await side.sink.read(side.target, maker.schema, wanted)
    for (place, key), stored in zip(wanted, answers, strict=True):
        found.setdefault(key.canonical, {})[place] = stored
    return found
