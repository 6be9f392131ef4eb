"""The world of `audit_model` with enrichment in it: what is made of ``v`` goes to a topic of its own, carrying ``u``.

Enrichment lags behind the topic as the lanes lag behind enrichment, and says nothing where nothing it reads changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from audit_model import KEYS, SCHEMA, TOPIC, MiniSink, World, looked

from audit.derived import DerivedTruth
from audit.look import Look
from audit.side import Side
from changes import position
from changes.canonical import Value, row_hash
from changes.envelope import Headers
from changes.key import key_of
from changes.progress import Offsets
from changes.record import StoredRow
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.enrich.derive import Plan
from streams.follow import Span
from streams.marks import Mark
from streams.watch import LaneId

MADE = "v.enriched.t.made"
GENERATION = 3
SOURCE_COLUMNS = {column.name: column for column in SCHEMA.columns}
MADE_SCHEMA = TableSchema(
    "d", "t.made", (SOURCE_COLUMNS["id"], SOURCE_COLUMNS["u"], Column("m", Kind.VECTOR, "vector(2)")), ("id",)
)
PLAN = Plan("v", "t", "made", MADE, GENERATION, ("id",), ("v",), ("u",), frozenset(), MADE_SCHEMA.columns[2:])


def target(sink: str, place: str) -> Target:
    return Target("v", "d", "t.made", ("id",), sink, DEFAULT_TIERS["realtime"], place, user="u", of="made")


MADE_TARGETS = (target("postgres", "made"), target("sqlite", "made"))
ENRICH = LaneId("v", "enrich", "models", (TOPIC,))


def made_of(key: int, row: tuple[int, int]) -> dict[str, Value]:
    return {"id": key, "u": row[1], "m": [float(row[0]), 0.5]}


def kept(one: Target, key: int, row: tuple[int, int], at: int) -> StoredRow:
    values = made_of(key, row)
    place = str(row[1]) if one.sink == "sqlite" else ""
    hash_ = row_hash(MADE_SCHEMA.columns, values)
    return StoredRow(key_of(MADE_SCHEMA, values), place, at, hash_, one.mapping, values, GENERATION)


@dataclass(frozen=True)
class MiniRecord:
    """``row`` is what it was made of, ``None`` for a delete's tombstone."""

    number: int
    id: int
    row: tuple[int, int] | None
    at: int
    generation: int = GENERATION

    def key(self) -> bytes:
        return msgspec.json.encode({"id": self.id})

    def value(self) -> bytes | None:
        return None if self.row is None else msgspec.json.encode({"after": made_of(self.id, self.row), "op": "u"})

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        hash_ = 0 if self.row is None else row_hash(MADE_SCHEMA.columns, made_of(self.id, self.row))
        input_ = "" if self.row is None else PLAN.input_hash({"v": self.row[0]})
        return [*Headers(self.at, hash_, MADE_SCHEMA.fingerprint, self.generation, input_).to_kafka()]

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.number


@dataclass
class MadeWorld(World):
    """The stores hold what was made, and where a row lay that is there no more. ``read`` is how much of the topic
    enrichment has read."""

    read: int = 0
    said: list[MiniRecord] = field(default_factory=list)
    buried: list[dict[tuple[str, int], int]] = field(default_factory=lambda: [{}, {}])
    pace: list[int] = field(default_factory=lambda: [1] * 6)

    def last(self, key: int) -> tuple[int, int] | None:
        return next((one.row for one in reversed(self.said) if one.id == key), None)

    def enrich(self) -> None:
        if self.read < self.published:
            key, row = self.log[self.read]
            if row != self.last(key):
                self.said.append(MiniRecord(len(self.said), key, row, position.pack(0, self.read + 1, 0)))
            self.read += 1

    def deliver(self, store: int) -> None:
        at = self.applied[store]
        if at < len(self.said):
            record, held, one = self.said[at], self.stores[store], MADE_TARGETS[store]
            for place in [place for place, key in held if key == record.id]:
                held.pop((place, record.id))
                self.buried[store][place, record.id] = record.at
            if record.row is not None:
                new = kept(one, record.id, record.row, record.at)
                held[new.place, record.id] = new
            self.applied[store] = at + 1

    @property
    def _moves(self) -> list:  # type: ignore[type-arg]
        return [*super()._moves, self.enrich]

    def catch_up(self) -> None:
        self.enrich()
        super().catch_up()

    def settle(self) -> None:
        self.visible = self.published = len(self.log)
        while self.read < self.published:
            self.enrich()
        for store in (0, 1):
            while self.applied[store] < len(self.said):
                self.deliver(store)

    def passed(self, lane: LaneId, mark: Mark, deadline: float) -> int:
        if lane.sink == "enrich":
            while self.read < mark.ends[TOPIC, 0]:
                self.tick()
            return 0
        store = next(number for number, one in enumerate(MADE_TARGETS) if one.sink == lane.sink)
        while self.applied[store] < mark.ends[MADE, 0]:
            self.tick()
        return 0


class MiniTopic:
    """The enriched topic, followed."""

    topic = MADE

    def __init__(self, world: MadeWorld) -> None:
        self._world, self._at = world, 0

    def start(self, ends: Offsets) -> None:
        self._at = ends.get((MADE, 0), 0)

    def drain(self) -> Iterator[MiniRecord]:
        end = len(self._world.said)
        self._world.tick()
        yield from self._world.said[self._at : end]
        self._at = end

    @property
    def span(self) -> Span:
        return Span({0: self._at})

    def close(self) -> None:
        pass


def audited_made(world: MadeWorld, *, rounds: int = 100) -> Look:
    """A whole audit of what was made."""
    sides = [
        Side(number, one, MiniSink(world, number), LaneId("v", one.sink, "realtime", (MADE,)))  # type: ignore[arg-type]
        for number, one in enumerate(MADE_TARGETS)
    ]
    schemas = {MADE_SCHEMA.fingerprint: MADE_SCHEMA}
    truth = DerivedTruth(PLAN, MADE_TARGETS, world, MiniTopic(world), ENRICH, lambda _, print_: schemas[print_])
    return looked(world, sides, truth, rounds)


W = TypeVar("W", bound=MadeWorld)


def made_world(seed: int, *, steps: int, ours: range) -> MadeWorld:
    """A world whose enrichment and lanes may be anywhere behind its history when the audit begins."""
    return begun(MadeWorld(), seed, steps=steps, ours=ours)


def begun(world: W, seed: int, *, steps: int, ours: range) -> W:
    """This empty world, with rows in it, at some moment."""
    world.rng.seed(seed)
    for key in (*ours, *range(KEYS - 1)):  # the last one comes later
        world.commit(key, (key, 1))
    world.settle()
    world.steps = steps
    world.pace = [world.rng.randrange(1, 8) for _ in world.pace]
    for _ in range(world.rng.randrange(30)):
        world.tick()
    return world


def identity_of(world: MadeWorld, store: int, key: int) -> tuple[str, int]:
    """Where a store holds the one row of a key."""
    (identity,) = [identity for identity in world.stores[store] if identity[1] == key]
    return identity


def spoilt(world: MadeWorld, store: int, what: str, key: int) -> tuple[int, str] | None:
    """Spoil one stored row in a way that every audit sees; the id and class that it must find. ``None`` for what is no
    such way: nothing is done then."""
    held, one = world.stores[store], MADE_TARGETS[store]
    identity = identity_of(world, store, key)
    if what == "missing":
        del held[identity]
        return key, "missing"
    if what in {"extra", "misplaced"}:
        other = key if what == "misplaced" else key + 1000
        new = kept(one, other, (1, 2), 1)
        held[new.place, other] = new
        return other, "stale" if one.sink == "postgres" and what == "misplaced" else "extra"
    if what == "beyond":
        held[identity] = msgspec.structs.replace(held[identity], position=1 << 62)
        return key, "impossible position"
    return None
