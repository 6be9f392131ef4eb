"""A version in miniature: MySQL, its binlog, its topic, a lane and two stores, each a step behind the one before.

Time goes on between any two calls of an audit, in random steps: that is what an audit has to stand.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import msgspec

from audit.first import TURN
from audit.look import Look
from audit.side import Side
from audit.truth import RowsTruth, Truth
from changes import position
from changes.canonical import Value, row_hash
from changes.errors import Transient
from changes.key import Key, key_of
from changes.progress import Offsets
from changes.record import StoredRow
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from streams.follow import Span
from streams.marks import Mark
from streams.watch import LaneId

SCHEMA = TableSchema(
    "d",
    "t",
    (Column("id", Kind.INTEGER, "int"), Column("v", Kind.INTEGER, "int"), Column("u", Kind.INTEGER, "int")),
    ("id",),
)
TOPIC = "v.d.t"


def target(sink: str, place: str) -> Target:
    return Target("v", "d", "t", ("id",), sink, DEFAULT_TIERS["realtime"], place, user="u")


TARGETS = (target("postgres", "t"), target("sqlite", "t"))

KEYS = 4
"""Keys that are written all the time."""

Row = tuple[int, int] | None
"""(v, u), or deleted."""


def stored(one: Target, key: int, row: tuple[int, int], at: int) -> StoredRow:
    values: dict[str, Value] = {"id": key, "v": row[0], "u": row[1]}
    place = str(row[1]) if one.sink == "sqlite" else ""
    return StoredRow(key_of(SCHEMA, values), place, at, row_hash(SCHEMA.columns, values), one.mapping, values)


@dataclass
class World:
    """``log`` is the history, a change a transaction. The first ``visible`` can be read, the first ``published`` are
    in the topic, the first ``applied[n]`` are in store ``n``. ``pace`` says how often each kind of step is taken."""

    log: list[tuple[int, Row]] = field(default_factory=list)
    visible: int = 0
    published: int = 0
    applied: list[int] = field(default_factory=lambda: [0, 0])
    stores: list[dict[tuple[str, int], StoredRow]] = field(default_factory=lambda: [{}, {}])
    rng: Random = field(default_factory=lambda: Random(0))
    steps: int = 0
    pace: list[int] = field(default_factory=lambda: [1] * 5)

    def state(self, upto: int) -> dict[int, tuple[int, int]]:
        rows: dict[int, tuple[int, int]] = {}
        for key, row in self.log[:upto]:
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
        return rows

    def commit(self, key: int, row: Row) -> None:
        if row is not None or key in self.state(len(self.log)):
            self.log.append((key, row))

    def deliver(self, store: int) -> None:
        at = self.applied[store]
        if at >= self.published:
            return
        key, row = self.log[at]
        before = self.state(at).get(key)
        held, one = self.stores[store], TARGETS[store]
        if before is not None:
            held.pop((stored(one, key, before, 0).place, key), None)
        if row is not None:
            new = stored(one, key, row, position.pack(0, at + 1, 0))
            held[new.place, key] = new
        self.applied[store] = at + 1

    def tick(self) -> None:
        """A few random steps; once ``steps`` are used up nobody writes, and everything catches up."""
        for _ in range(self.rng.randrange(4)):
            self.steps -= 1
            if self.steps < 0:
                self.catch_up()
            else:
                self.rng.choices(self._moves, self.pace)[0]()

    @property
    def _moves(self) -> list[Callable[[], None]]:
        key, row = self.rng.randrange(KEYS), (self.rng.randrange(4), self.rng.randrange(1, 3))
        # an event may be sent before its transaction can be read, and read before it is sent
        return [
            lambda: self.commit(key, row),
            lambda: self.commit(key, row if self.rng.random() < 0.5 else None),
            self._show,
            self._publish,
            lambda: self.deliver(self.rng.randrange(2)),
        ]

    def _show(self) -> None:
        self.visible = min(self.visible + 1, len(self.log))

    def _publish(self) -> None:
        self.published = min(self.published + 1, len(self.log))

    def catch_up(self) -> None:
        self._show()
        self._publish()
        self.deliver(0)
        self.deliver(1)

    def settle(self) -> None:
        self.visible = self.published = len(self.log)
        for store in (0, 1):
            while self.applied[store] < self.published:
                self.deliver(store)

    # -- what a look asks for -------------------------------------------------------------------------------------

    def mark(self) -> Mark:
        return Mark(position.snapshot(0, self.published), self.published, {(TOPIC, 0): self.published})

    def newest(self, deadline: float) -> Mark:
        self.tick()
        return self.mark()

    def behind_binlog(self, file: str, offset: int, deadline: float) -> Mark | None:
        while self.published < offset:
            self.tick()
        return self.mark()

    def passed(self, lane: LaneId, mark: Mark, deadline: float) -> int:
        store = next(number for number, one in enumerate(TARGETS) if one.sink == lane.sink)
        while self.applied[store] < mark.ends[TOPIC, 0]:
            self.tick()
        return 0

    @contextmanager
    def opening(self, covers: int) -> "Iterator[MiniView]":
        while self.visible < covers:
            self.tick()
        self.tick()
        rows = self.state(self.visible)
        self.tick()
        yield MiniView(rows, len(self.log))


@dataclass(frozen=True)
class MiniView:
    held: dict[int, tuple[int, int]]
    offset: int
    file: str = "bin.000001"
    schema: TableSchema = SCHEMA

    def rows(self) -> Iterator[dict[str, Value]]:
        for key, (v, u) in self.held.items():
            yield {"id": key, "v": v, "u": u}

    def guess(self) -> int:
        return len(self.held)

    def pages(self, after: tuple[Value, ...] | None = None) -> Iterator[list[list[Value]]]:
        """A row a page, in the order of keys."""
        for key, (v, u) in sorted(self.held.items()):
            if after is None or (key,) > after:
                yield [[key], [v], [u]]

    def rows_by(self, keys: Sequence[Sequence[Value]]) -> Iterator[dict[str, Value]]:
        wanted = {key for (key,) in keys}
        yield from (row for row in self.rows() if row["id"] in wanted)


@dataclass(frozen=True)
class MiniMessage:
    id: int

    def key(self) -> bytes:
        return msgspec.json.encode({"id": self.id})


class MiniFollower:
    def __init__(self, world: World) -> None:
        self._world, self._at = world, 0

    def start(self, ends: Offsets) -> None:
        self._at = ends[TOPIC, 0]

    def drain(self) -> Iterator[MiniMessage]:
        end = self._world.published
        self._world.tick()
        yield from (MiniMessage(key) for key, _ in self._world.log[self._at : end])
        self._at = end

    @property
    def span(self) -> Span:
        return Span({0: self._at})


class MiniSink:
    """One of the world's stores. ``away`` makes every read fail."""

    def __init__(self, world: World, number: int, *, away: bool = False) -> None:
        self._world, self._number, self._away = world, number, away

    async def open(self, tables: object) -> None:
        if self._away:
            raise Transient("the store is away")

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        seen = list(self._world.stores[self._number])
        for identity in seen:  # no snapshot: rows come and go while they are read
            self._world.tick()
            row = self._world.stores[self._number].get(identity)
            if row is not None and (buckets is None or row.key.bucket in buckets):
                yield row

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        found = []
        for place, key in wanted:
            self._world.tick()
            found.append(self._world.stores[self._number].get((place, int(str(key.values[0])))))
        return found


def sides_of(world: World, *, away: bool = False) -> list[Side]:
    """``away``: without its second store."""
    return [
        Side(
            number, one, MiniSink(world, number, away=away and number == 1), LaneId("v", one.sink, "realtime", (TOPIC,))
        )  # type: ignore[arg-type]
        for number, one in enumerate(TARGETS)
    ]


def audited(world: World, *, away: bool = False, rounds: int = 8, turn: float = TURN) -> Look:
    """A whole audit of the world, each of its views kept for ``turn`` seconds."""
    return looked(world, sides_of(world, away=away), RowsTruth(TARGETS), rounds, turn=turn)


def looked(world: World, sides: list[Side], truth: Truth, rounds: int, turn: float = TURN) -> Look:
    """The look itself, to its end."""
    follower = MiniFollower(world)
    look = Look(
        world.opening, world, follower, "t", sides, truth, timeout=1.0, keep=100, tell=lambda _: None, turn=turn
    )

    async def run() -> None:
        await look.everything()
        await look.again(rounds, pause=0.0)

    asyncio.run(run())
    return look
