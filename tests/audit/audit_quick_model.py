"""The world of `audit_made_model` as a quick audit sees it: with sums of MySQL's rows and of what its stores hold."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from audit_made_model import ENRICH, MADE, MADE_SCHEMA, MADE_TARGETS, PLAN, MadeWorld, MiniTopic
from audit_model import SCHEMA, TOPIC, MiniFollower, MiniSink, MiniView, Row

from audit.derived import DerivedTruth
from audit.kept import Kept
from audit.look import Look
from audit.madeledger import MadeLedger
from audit.quick import Quick
from audit.side import Side
from changes import position
from changes.canonical import halves, row_hash
from changes.envelope import Headers
from changes.key import key_of
from changes.progress import Bucket, Offsets
from changes.record import BucketSum, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from streams.follow import Span
from streams.marks import Mark
from streams.watch import LaneId


def summed(sums: dict[int, BucketSum], bucket: int, hash_: int) -> None:
    sums[bucket] = sums.get(bucket, BucketSum()) + BucketSum(1, *halves(hash_))


@dataclass
class QuickWorld(MadeWorld):
    """``views`` counts how often MySQL was asked for anything."""

    views: int = 0

    @contextmanager
    def opening(self, covers: int) -> Iterator[MiniView]:
        self.views += 1
        with super().opening(covers) as view:
            yield view

    def counted(self, table: str, deadline: float) -> tuple[Mark, dict[int, Bucket]]:
        self.tick()
        mark, sums = self.mark(), dict[int, BucketSum]()
        for key, (v, u) in self.state(mark.covers).items():
            row = {"id": key, "v": v, "u": u}
            summed(sums, key_of(SCHEMA, row).bucket, row_hash(SCHEMA.columns, row))
        return mark, {bucket: (one.count, one.h1, one.h2) for bucket, one in sums.items()}


class SummingSink(MiniSink):
    """Every place is looked at once, each at a moment of its own."""

    def __init__(self, world: QuickWorld, number: int) -> None:
        super().__init__(world, number)
        self._made = world

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        found = StoredSums({}, {})
        held, buried = self._made.stores[self._number], self._made.buried[self._number]
        for place, number in list(held.keys() | buried.keys()):
            self._made.tick()
            key, row = key_of(MADE_SCHEMA, {"id": number}), held.get((place, number))
            at = buried[place, number] if row is None else row.position
            if at > upto:
                found.beyond[place, key.canonical] = key.bucket
            elif row is not None:
                summed(found.sums, key.bucket, row.hash)
        return found


@dataclass(frozen=True)
class MiniChange:
    """A record of the table's topic."""

    number: int
    id: int
    row: Row

    def key(self) -> bytes:
        return msgspec.json.encode({"id": self.id})

    def _values(self) -> dict[str, int]:
        v, u = self.row or (0, 0)
        return {"id": self.id, "v": v, "u": u}

    def value(self) -> bytes | None:
        return None if self.row is None else msgspec.json.encode({"op": "u", "after": self._values()})

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        hash_ = 0 if self.row is None else row_hash(SCHEMA.columns, self._values())
        return [*Headers(position.pack(0, self.number + 1, 0), hash_, SCHEMA.fingerprint).to_kafka()]

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number


class MiniSource:
    """The table's topic, followed. ``taken`` counts the records that were read."""

    topic = TOPIC

    def __init__(self, world: QuickWorld) -> None:
        self._world, self._at, self.taken = world, 0, 0

    def start(self, ends: Offsets) -> None:
        self._at = ends.get((TOPIC, 0), 0)

    def drain(self) -> Iterator[MiniChange]:
        end = self._world.published
        self._world.tick()
        for number in range(self._at, end):
            self.taken += 1
            yield MiniChange(number, *self._world.log[number])
        self._at = end

    @property
    def span(self) -> Span:
        return Span({0: self._at})

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Quickly:
    """A quick audit that is done, and how much of the table's topic it read."""

    look: Look
    taken: int


def audited_quickly(world: QuickWorld, memory: Path | None = None, *, now: float = 1e9, identity: str = "i") -> Quickly:
    sides = [
        Side(number, one, SummingSink(world, number), LaneId("v", one.sink, "realtime", (MADE,)))  # type: ignore[arg-type]
        for number, one in enumerate(MADE_TARGETS)
    ]
    schemas = {MADE_SCHEMA.fingerprint: MADE_SCHEMA}
    truth = DerivedTruth(PLAN, MADE_TARGETS, world, MiniTopic(world), ENRICH, lambda _, print_: schemas[print_])
    source = MiniSource(world)
    look = Look(
        world.opening, world, MiniFollower(world), "t", sides, truth, timeout=1.0, keep=100, tell=lambda _: None
    )
    ledger = MadeLedger(truth, MADE_TARGETS, source, world.counted, lambda: Kept.opened(memory, identity, now))
    quick = Quick(look, world.opening, truth, ledger, timeout=1.0, tell=lambda _: None, pause=0.0)

    asyncio.run(quick.run(100))
    ledger.keep()
    truth.close()
    return Quickly(look, source.taken)
