"""What every sink is put through: the table, the records, and for each sink how to poison and to interrupt it.

A sink in the registry without an entry in `HARNESSES` fails the suite.
"""

import asyncio
import itertools
import resource
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import msgspec
from redis.asyncio import Redis

from changes.canonical import Value, compiled
from changes.envelope import Delivered, Headers
from changes.expand import expand
from changes.key import key_of
from changes.record import Outcome, Record, StoredRow
from changes.schema import Column, Kind, TableSchema, kind_of
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from sinks.contract import Sink, SinkSpec
from sinks.redis.sink import RedisSink
from sinks.redis.statements import stamp_key
from sinks.registry import SPECS
from sinks.sql.postgres.sink import PostgresSink
from sinks.sql.sqlite.files import walk
from sinks.sql.sqlite.sink import SqliteSink

_serial, _run = itertools.count(), secrets.token_hex(4)


def new_place(word: str = "notes") -> str:
    """A name that no test has used before, on servers that may have seen others."""
    return f"{word}_{_run}_{next(_serial)}"


def schema_of(*columns: tuple[str, str], key: tuple[str, ...] = ("id",)) -> TableSchema:
    made = tuple(Column(name, _kind(type_), type_) for name, type_ in columns)
    return TableSchema("shop", "notes", made, key)


def _kind(type_: str) -> Kind:
    """A vector is an enricher's here; MySQL's own is bytes."""
    return Kind.VECTOR if type_.startswith("vector(") else kind_of(type_)


PLAIN = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "varchar(200)"), ("amount", "decimal(12,2)"))

# Every type that a sink tells apart, with a value that shows whether it is kept exactly.
EVERY: dict[str, tuple[str, Value]] = {
    "id": ("bigint", 7),
    "user_id": ("bigint", 1),
    "tiny": ("tinyint", -128),
    "flag": ("tinyint(1)", 127),
    "tiny_unsigned": ("tinyint unsigned", 255),
    "small": ("smallint", -32768),
    "small_unsigned": ("smallint unsigned", 65535),
    "medium_unsigned": ("mediumint unsigned", 16777215),
    "whole": ("int", -2147483648),
    "whole_unsigned": ("int unsigned", 4294967295),
    "big": ("bigint", -9223372036854775808),
    "big_unsigned": ("bigint unsigned", 9223372036854775807),
    "born": ("year", 2155),
    "price": ("decimal(10,2)", "1.50"),
    "exact": ("decimal(65,30)", "-12345678901234567890123456789012345.000000000000000000000000000001"),
    "ratio": ("double", 0.1),
    "tiny_ratio": ("double", 5e-324),
    "single": ("float", 0.30000001192092896),
    "code": ("char(4)", "a b "),
    "story": ("longtext", "Zeile 1\nline 2\t\\ \"quoted\" 'single' %s $1 ? 数据 🙂 e\u0301\u200d"),
    "mood": ("enum('a','b')", "b"),
    "tags": ("set('x','y')", ""),
    "blob": ("varbinary(16)", "AP+AJwpc"),
    "bits": ("bit(12)", "D/8="),
    "yes": ("bit(1)", True),
    "day": ("date", "2024-02-29"),
    "clock": ("time(6)", "-838:59:58.999900"),
    "moment": ("datetime(6)", "9999-12-31T23:59:59.999999"),
    "instant": ("timestamp(6)", "2026-03-29T01:30:00.123400Z"),
    "embedding": ("vector(5)", [0.1, -3.4028234663852886e38, 1e-45, -0.0, 1]),
    "document": ("json", '{"b": [1, 1.50, true, null, "é\\n"], "a": {"": -0.0, "big": 12345678901234567890.5}}'),
}
EVERYTHING = schema_of(*((name, type_) for name, (type_, _) in EVERY.items()))


@dataclass(frozen=True)
class Stage:
    """One open sink with one target, and what a test says of it."""

    sink: Sink
    spec: SinkSpec
    target: Target
    schema: TableSchema

    def put(
        self,
        position: int,
        before: Mapping[str, Value] | None = None,
        generation: int = 0,
        over: int = -1,
        **row: Value,
    ) -> list[Record]:
        return self._expand("u" if before else "c", before, row, (position, generation, over))

    def gone(self, position: int, generation: int = 0, over: int = -1, **before: Value) -> list[Record]:
        return self._expand("d", before, None, (position, generation, over))

    def _expand(
        self,
        op: Any,
        before: Mapping[str, Value] | None,
        after: Mapping[str, Value] | None,
        guarded: tuple[int, int, int],
    ) -> list[Record]:
        position, generation, over = guarded
        full = [
            None if row is None else {c.name: row.get(c.name) for c in self.schema.columns} for row in (before, after)
        ]
        hash_ = 0 if full[1] is None else compiled(self.schema.columns)(full[1])
        change = msgspec.convert({"op": op, "before": full[0], "after": full[1]}, Delivered)
        headers = Headers(position, hash_, self.schema.fingerprint, generation, over=over)
        return expand(change, headers, self.schema, self.target, self.spec.place_of)

    async def write(self, *changes: Sequence[Record]) -> list[str]:
        """The kinds of the outcomes."""
        return [outcome.kind for outcome in await self.outcomes(*changes)]

    async def outcomes(self, *changes: Sequence[Record]) -> list[Outcome]:
        return await self.sink.write([record for change in changes for record in change])

    async def held(self, **row: Value) -> StoredRow | None:
        """What is stored of the row with the key, and where the place asks for more than the key, of ``row``."""
        place = self.spec.place_of(self.target, row)
        (found,) = await self.sink.read(self.target, self.schema, [(place, key_of(self.schema, row))])
        return found

    async def all(self, buckets: Collection[int] | None = None) -> list[StoredRow]:
        found = [row async for row in self.sink.rows(self.target, self.schema, buckets)]
        return sorted(found, key=lambda row: row.key.canonical)

    def widened(self, name: str, type_: str) -> "Stage":
        column = Column(name, kind_of(type_), type_)
        columns = (*self.schema.columns[:1], column, *self.schema.columns[1:])
        return replace(self, schema=TableSchema(self.schema.database, self.schema.table, columns, self.schema.key))


class Servers(Protocol):
    """What the session's fixture ``stack`` yields: URLs by version and kind, ``admin`` those of superusers."""

    @property
    def endpoints(self) -> Mapping[str, Mapping[str, str]]: ...

    @property
    def admin(self) -> Mapping[str, Mapping[str, str]]: ...


class Harness(Protocol):
    """How to build one sink, and how to do it harm."""

    def build(self) -> Sink: ...

    def target(self, place: str) -> Target: ...

    def poison(self, records: Sequence[Record]) -> AbstractAsyncContextManager[list[Record]]:
        """A context in which the store refuses what it yields for ``records``, and no others."""

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        """Write ``batch``, and cut the connection or the disk off while the store is at it."""

    async def forget_generations(self, target: Target) -> None:
        """Make of what is stored what was stored before there were generations."""


def target_of(sink: str, place: str, **declared: Any) -> Target:
    tier = DEFAULT_TIERS["realtime"]
    return Target("future", "shop", "notes", declared.pop("key", ("id",)), sink, tier, place, **declared)


def with_row(record: Record, **changed: Value) -> Record:
    return msgspec.structs.replace(record, row={**(record.row or {}), **changed})


class PostgresHarness:
    def __init__(self, stack: Servers) -> None:
        self.url = stack.endpoints["future"]["postgres"]

    def build(self) -> Sink:
        return PostgresSink(self.url)

    def target(self, place: str) -> Target:
        return target_of("postgres", place, user="user_id")

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, title="no\0text") for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        watcher, blocker = await asyncpg.connect(self.url), await asyncpg.connect(self.url)
        place = batch[0].target.place
        try:
            async with blocker.transaction():
                await blocker.execute(f'LOCK TABLE tailrace."{place}"')
                writing = asyncio.ensure_future(sink.write(batch))
                waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = $1::regclass"
                while (pid := await watcher.fetchval(waiting, f'tailrace."{place}"')) is None:
                    pass
                await watcher.execute("SELECT pg_terminate_backend($1)", pid)
                return await writing
        finally:
            await watcher.close()
            await blocker.close()

    async def forget_generations(self, target: Target) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(f'ALTER TABLE tailrace."{target.place}" DROP COLUMN _tr_gen')
        await connection.execute("ALTER TABLE tailrace.tombstones DROP COLUMN gen")
        await connection.close()


class RedisHarness:
    def __init__(self, stack: Servers) -> None:
        self.url = stack.endpoints["future"]["redis"]

    def build(self) -> Sink:
        return RedisSink(self.url)

    def target(self, place: str) -> Target:
        return target_of("redis", f"{place}:{{id}}")

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        client = Redis.from_url(self.url)
        try:
            for record in records:
                await client.delete(record.place, stamp_key(record.place))
                await client.rpush(record.place, "someone else's list")
            yield list(records)
            await client.delete(*(record.place for record in records))
        finally:
            await client.aclose()

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        client = Redis.from_url(self.url)
        try:
            await client.execute_command("CLIENT", "PAUSE", 60000, "WRITE")
            writing = asyncio.ensure_future(sink.write(batch))
            while not (waiting := [c for c in await client.client_list() if "b" in c["flags"]]):
                pass
            await client.client_kill_filter(_id=waiting[0]["id"])
            return await writing
        finally:
            await client.client_unpause()
            await client.aclose()

    async def forget_generations(self, target: Target) -> None:
        async with Redis.from_url(self.url) as client:
            async for key in client.scan_iter(stamp_key(target.place.replace("{id}", "*"))):
                await client.set(key, (await client.get(key))[5:], keepttl=True)


class SqliteHarness:
    def __init__(self, stack: Servers) -> None:
        self.folder = stack.endpoints["future"]["sqlite"]

    def build(self) -> Sink:
        return SqliteSink(self.folder)

    def target(self, place: str) -> Target:
        return target_of("sqlite", place, user="user_id")

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, title=b"no text") for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        with no_room():
            return await sink.write(batch)

    async def forget_generations(self, target: Target) -> None:
        for path in walk(Path(self.folder)):
            file = sqlite3.connect(path)
            if file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (f"_tr_{target.place}",)).fetchone():
                file.execute(f'ALTER TABLE "_tr_{target.place}" DROP COLUMN _tr_gen')
                file.execute("ALTER TABLE _tr_tombstones DROP COLUMN gen")
            file.close()


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow beyond a page: what a full disk does, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


HARNESSES: dict[str, Callable[[Servers], Harness]] = {
    "postgres": PostgresHarness,
    "redis": RedisHarness,
    "sqlite": SqliteHarness,
}


@asynccontextmanager
async def staged(harness: Harness, name: str, schema: TableSchema = PLAIN) -> AsyncIterator[Stage]:
    """A new target of a new, open sink."""
    stage = Stage(harness.build(), SPECS[name], harness.target(new_place()), schema)
    stage.spec.check(stage.target)
    await stage.sink.open([(stage.target, schema)])
    try:
        yield stage
    finally:
        await stage.sink.close()
