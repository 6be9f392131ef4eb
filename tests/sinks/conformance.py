"""What every sink is put through: the table, the records, and what a harness has to say of a sink (`harness_*.py`)."""

import itertools
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from changes.canonical import Value, compiled
from changes.envelope import Delivered, Headers
from changes.expand import expand
from changes.key import key_of
from changes.record import Outcome, Record, StoredRow
from changes.schema import Column, Kind, TableSchema, kind_of
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from sinks.contract import Sink, SinkSpec
from sinks.registry import SPECS

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


Change = tuple[int, Column, Value]
"""The id of a row, and what one of its columns is to be in the store."""
OWNER = 3


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

    async def titles(self) -> dict[Any, Any]:
        return {row.key.values[0]: row.row["title"] for row in await self.all()}

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


class Others(Protocol):
    """What the session's fixture ``beside`` yields: a server of another kind, started when it is asked for."""

    def url(self, kind: str) -> str: ...


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

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        """Put other values into rows behind the sink's back; the rows are of the user `OWNER`."""

    refused: Mapping[str, Sequence[Value]]
    """Values that the store cannot hold and therefore refuses, by type."""
    spoilt: Sequence[tuple[str, Value]]
    """What the store lets anybody put into a column, by type, and is no value of it; ``made``: an enricher's vector."""


def target_of(sink: str, place: str, **declared: Any) -> Target:
    tier = DEFAULT_TIERS["realtime"]
    return Target("future", "shop", "notes", declared.pop("key", ("id",)), sink, tier, place, **declared)


def with_row(record: Record, **changed: Value) -> Record:
    return msgspec.structs.replace(record, row={**(record.row or {}), **changed})


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
