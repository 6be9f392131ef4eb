"""The quick audit of one table's rows: sums first, and rows only where these differ.

Capture counts what MySQL holds; each store sums what it holds. Both are compared as of one mark (`audit.tally`),
without a look at MySQL. Buckets that differ are opened: the store's rows against the topic's last records name
suspects, and those are looked at as whole rows, in MySQL too, by `Look.again`, which alone names a difference.

What sums cannot show: a value that was edited in a store without its hash, a row that lies in another place under the
same hash, another mapping. Deep audits show these. A store that may drop rows has no sums to compare: a random sample
of what it holds is looked at instead.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.compare import plain
from audit.expected import place_of
from audit.look import Look, Side
from audit.sources import Opening
from audit.tally import Behind, State, tally
from audit.truth import Truth
from changes.canonical import BUCKETS, Value, compiled
from changes.envelope import Delivered, Headers, decode, decode_key, headers_from
from changes.errors import Transient
from changes.key import Key, key_of
from changes.position import SNAPSHOT_ROW, unpack
from changes.progress import Bucket
from changes.schema import TableSchema
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.follow import Follower
from streams.kafka import KafkaUrl, read_topic
from streams.marks import Mark, Marks
from streams.sumstail import SumsTail

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often buckets are compared that differ where no row does: a change may have mended it in between."""
MOST_OPENED = 64
"""Buckets of a target that are opened to rows; where more differ, every row is looked at."""
SAMPLE = 1000
"""Rows of a cache that are looked at, about."""
_PAUSE = 0.2


@dataclass
class Counts:
    """What capture says of a version's sums and schemas. Blocking."""

    sums: SumsTail
    book: SchemaBook
    _hashes: dict[str, Callable[[Mapping[str, Value]], int]] = field(default_factory=dict)

    @classmethod
    def of(cls, kafka: KafkaUrl, version: str, book: SchemaBook) -> "Counts":
        return cls(SumsTail(kafka, version), book)

    def hash_of(self, table: str, fingerprint: str, row: Mapping[str, Value]) -> int | None:
        """The row's hash by its published schema; ``None`` where values are missing or the schema is."""
        hash_row = self._hashes.get(fingerprint)
        if hash_row is None:
            if not self.book.knows(table, fingerprint):
                self.book.refresh()
            try:
                hash_row = self._hashes[fingerprint] = compiled(self.book.of(table, fingerprint).columns)
            except UnknownSchema:
                return None
        try:
            return hash_row(row)
        except KeyError:
            return None

    def close(self) -> None:
        self.sums.close()


@dataclass(frozen=True)
class Told:
    """A key's last record: its row's hash, its position, and where each side should hold it; ``None``: nowhere."""

    hash: int
    position: int
    places: tuple[str, ...] | None


Asked = dict[int, dict[Key, set[int]]]
"""By side, the keys that were put in doubt, and the buckets that each would explain."""


class Quick:
    """One table's quick audit, on a `Look` that nothing has looked at yet."""

    def __init__(
        self,
        look: Look,
        opening: Opening,
        truth: Truth,
        marks: Marks,
        follower: Follower,
        counts: Counts,
        kafka: KafkaUrl,
        *,
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        self._look, self._opening, self._truth, self._counts = look, opening, truth, counts
        self._marks, self._follower, self._kafka = marks, follower, kafka
        self._timeout, self._tell = timeout, tell
        (self._topic,) = look.sides[0].lane.topics
        self._table = look.sides[0].target.table
        self._seen: set[bytes] = set()
        self._behind: dict[int, Behind] = {}
        self._explained: dict[int, set[int]] = {}

    async def run(self, rounds: int) -> None:
        """Compare, open, and look again ``rounds`` times at most at what is in doubt. Raises `Transient` where MySQL
        or Kafka cannot be reached."""
        mirrors = [side for side in self._look.sides if side.target.keep == "mirror"]
        sides, whole = self._look.sides, False
        for attempt in range(ATTEMPTS):
            with self._opening(0) as view:
                self._truth.see(schema := view.schema)
            found = await self._compared(schema, sides, first=not attempt)
            open_ = {number: some - self._explained.get(number, set()) for number, some in found.items()}
            open_ = {number: some for number, some in open_.items() if some}
            if any(len(some) > MOST_OPENED for some in open_.values()):
                await self._everything()
                return
            asked = await self._open(schema, open_, every=attempt > 0) if open_ else {}
            await self._look.again(rounds)
            self._explain(asked)
            sides = [side for side in sides if side.number in open_]
            whole = not sides
            if whole:
                break
        if not whole:
            self._complain(open_)
        for side in mirrors:  # looks at rows have counted theirs once more
            side.compared = 0 if side.away else self._look.source_rows

    # -- sums -----------------------------------------------------------------------------------------------------

    async def _compared(self, schema: TableSchema, sides: Sequence[Side], *, first: bool) -> dict[int, set[int]]:
        """The buckets that differ, by side; caches are sampled the first time."""
        marked = await asyncio.to_thread(self._marked)
        if marked is None:
            for side in sides:
                side.away = side.away or "capture is still counting what MySQL holds"
            return {}
        mark, source = marked
        await asyncio.to_thread(self._follower.start, mark.ends)
        self._seen = set()
        self._behind = {side.number: Behind(side.target) for side in sides}
        total = sum(rows for rows, _, _ in source.values())
        if first:
            self._look.source_rows = total
        found: dict[int, set[int]] = {}
        for side in sides:
            if not await self._look.ready(side, mark):
                continue
            try:
                if side.target.keep == "cache":
                    if first:
                        await self._sample(side, schema, total)
                    continue
                stored = await side.sink.sums(side.target, schema, mark.position)
            except Transient as error:
                side.away = str(error)
                continue
            await asyncio.to_thread(self._drain, schema)
            result = tally(source, stored, self._behind[side.number])
            found[side.number] = result.differing
            if first:
                side.sink_rows = result.rows
        return found

    def _marked(self) -> tuple[Mark, dict[int, Bucket]] | None:
        deadline = time.monotonic() + self._timeout
        while True:
            mark = self._marks.between(deadline)
            if mark is not None:
                source = self._counts.sums.at(mark.sums, self._table)
                if source is not None:
                    return mark, source
            if time.monotonic() >= deadline:
                return None
            time.sleep(_PAUSE)

    def _drain(self, schema: TableSchema) -> None:
        """Take in the records behind the mark, up to now."""
        for message in self._follower.drain():
            headers = headers_from(message.headers())
            key = key_of(schema, decode_key(message.key() or b"")).canonical
            value = message.value()
            change = None if value is None else decode(value)
            rows = [row for row in (change.before, change.after) if row is not None] if change is not None else []
            state = None
            if key not in self._seen and change is not None:
                state = self._state(headers, change)
            self._seen.add(key)
            for behind in self._behind.values():
                behind.first(key, state)
                for row in rows:
                    behind.named(key, row)

    def _state(self, headers: Headers, change: Delivered) -> State | None:
        """The row at the mark, by the first record of its key behind it.

        A row that a request told had not changed: as it is told it was.
        """
        if unpack(headers.position)[2] == SNAPSHOT_ROW:
            return None if change.after is None else State(change.after, headers.hash)
        if change.before is None:
            return None
        return State(change.before, self._counts.hash_of(self._table, headers.schema, change.before))

    async def _sample(self, side: Side, schema: TableSchema, total: int) -> None:
        """Put some rows of a cache in doubt, chosen by their buckets: an absent row is no difference."""
        share = min(BUCKETS, -(-BUCKETS * SAMPLE // max(total, 1)))
        buckets = random.sample(range(BUCKETS), share)
        async for row in side.sink.rows(side.target, schema, buckets):
            side.sink_rows += 1
            self._ask(side, row.key, [row.place])
        side.note = f"a sample of {side.sink_rows} cached rows"

    # -- rows -----------------------------------------------------------------------------------------------------

    async def _open(self, schema: TableSchema, open_: Mapping[int, set[int]], *, every: bool) -> Asked:
        """Put the suspects of these buckets in doubt, ``every``: all of their keys."""
        sides = [self._look.sides[number] for number in open_]
        told = await asyncio.to_thread(self._told, sides, set().union(*open_.values()), schema)
        asked: Asked = {}
        for index, side in enumerate(sides):
            mine = asked[side.number] = {}
            held: dict[Key, dict[str, tuple[int, int]]] = {}
            buckets = open_[side.number]
            try:
                async for row in side.sink.rows(side.target, schema, buckets):
                    held.setdefault(row.key, {})[row.place] = row.hash, row.position
            except Transient as error:
                side.away = str(error)
                continue
            for key in held.keys() | {key for key in told if key.bucket in buckets}:
                there = held.get(key, {})
                if every or there != _wanted(told.get(key), index):
                    # a row may be stored under a bucket that is not its key's: then it may explain any
                    mine[key] = {key.bucket} if key.bucket in buckets else buckets
                    self._ask(side, key, there)
        return asked

    def _told(self, sides: Sequence[Side], buckets: Collection[int], schema: TableSchema) -> dict[Key, Told]:
        """The last record of each key of these buckets, from the whole topic."""
        found: dict[Key, Told] = {}
        for message in read_topic(self._kafka, self._topic):
            key = key_of(schema, decode_key(message.key() or b""))
            if key.bucket not in buckets:
                continue
            value, headers = message.value(), headers_from(message.headers())
            after = None if value is None else decode(value).after
            if after is None:
                found[key] = Told(0, 0, None)
            else:
                places = tuple(place_of(side.target, after) for side in sides)
                found[key] = Told(headers.hash, headers.position, places)
        return found

    def _ask(self, side: Side, key: Key, places: Iterable[str]) -> None:
        self._look.digests.ask(side.number, [plain(value) for value in key.values], key.canonical, places)

    def _explain(self, asked: Asked) -> None:
        """Note the buckets in which a row was found to differ."""
        for number, keys in asked.items():
            side = self._look.sides[number]
            whole = side.different > len(side.findings)  # not all are remembered
            found = {finding.key for finding in side.findings}
            explained = self._explained.setdefault(number, set())
            explained.update(*(buckets for key, buckets in keys.items() if whole or key in found))

    def _complain(self, open_: Mapping[int, set[int]]) -> None:
        for number, buckets in open_.items():
            side = self._look.sides[number]
            side.away = side.away or (
                f"{len(buckets)} buckets differ from what capture counted, and none of their rows does: "
                "`check --deep` tells which is right; a request for the whole table has it counted anew"
            )
            log.error("`%s` in %s: %s", self._table, side.target.sink, side.away)

    async def _everything(self) -> None:
        """So much differs that every row is looked at."""
        self._tell(f"{self._table}: too many buckets differ, every row is compared")
        self._look.source_rows = 0
        for side in self._look.sides:
            side.sink_rows = side.compared = 0
        await self._look.everything()


def _wanted(told: Told | None, side: int) -> dict[str, tuple[int, int]]:
    """What a side should hold of a key, by place: hash and position."""
    return {} if told is None or told.places is None else {told.places[side]: (told.hash, told.position)}
