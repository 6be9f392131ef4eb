"""A value that somebody changed in a store is found: every type, every sink, down to the last bit, unit and letter."""

import base64
import json
import sqlite3
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from conformance import HARNESSES, Servers, Stage, staged
from redis.asyncio import Redis
from sinks_values import COLUMNS, neighbours

from audit.compare import Expected, Found, judge
from changes.canonical import Value, compiled, row_hash
from changes.record import StoredRow
from changes.schema import _KINDS, Column, Kind, TableSchema
from changes.target import Target
from sinks.registry import SPECS
from sinks.sql.postgres.types import type_of
from sinks.sql.sqlite.files import path_of

SCHEMA = TableSchema(
    "shop",
    "notes",
    (Column("id", Kind.INTEGER, "bigint"), Column("user_id", Kind.INTEGER, "bigint"), *COLUMNS),
    ("id",),
)
OWNER = 3

Row = dict[str, Value]
Change = tuple[int, Column, Value]
"""The id of a row, and what one of its columns is to be in the store."""
Changing = Callable[[Mapping[str, str], Target, Sequence[Change]], Awaitable[None]]


async def in_postgres(urls: Mapping[str, str], target: Target, changes: Sequence[Change]) -> None:
    connection = await asyncpg.connect(urls["postgres"])
    try:
        for id_, column, value in changes:
            cast = type_of(column)
            given = f"decode($1::text, 'base64')::{cast}" if column.kind is Kind.BYTES else f"$1::text::{cast}"
            await connection.execute(
                f'UPDATE tailrace."{target.place}" SET "{column.name}" = {given} WHERE id = $2',
                value if value is None or isinstance(value, str) else json.dumps(value),
                id_,
            )
    finally:
        await connection.close()


async def in_redis(urls: Mapping[str, str], target: Target, changes: Sequence[Change]) -> None:
    async with Redis.from_url(urls["redis"]) as client:
        for id_, column, value in changes:
            key = target.place.replace("{id}", str(id_))
            row = json.loads(await client.get(key))
            assert row[column.name] != value
            await client.set(key, json.dumps({**row, column.name: value}))


async def in_sqlite(urls: Mapping[str, str], target: Target, changes: Sequence[Change]) -> None:
    with closing(sqlite3.connect(path_of(Path(urls["sqlite"]), str(OWNER)))) as file:
        for id_, column, value in changes:
            given: Any = value
            if column.kind is Kind.BYTES and isinstance(value, str):
                given = base64.b64decode(value)
            elif isinstance(value, list):
                given = struct.pack(f"<{len(value)}f", *value)
            file.execute(f'UPDATE "_tr_{target.place}" SET "{column.name}" = ? WHERE id = ?', (given, id_))
        file.commit()


NATIVE: dict[str, Changing] = {"postgres": in_postgres, "redis": in_redis, "sqlite": in_sqlite}

REFUSED = {
    "postgres": {},
    "redis": {},
    "sqlite": {"bigint unsigned": [2**64 - 1]},  # beyond a signed 64-bit integer
}
"""What a store cannot hold, and therefore refuses."""

SPOILT: dict[str, list[tuple[str, Value]]] = {
    "postgres": [  # which keeps a vector's length itself
        *(("date", value) for value in ("0044-03-15 BC", "infinity")),
        ("timestamp", "infinity"),
        ("decimal(10,2)", "NaN"),
        ("bigint unsigned", "NaN"),
        *(("time", value) for value in ("", "01:00:00ZZ", "1:00:00")),
    ],
    "redis": [
        *((type_, True) for type_ in ("date", "time", "datetime", "timestamp", "varchar(9)", "json", "blob")),
        *((type_, [1.0, 2.0, 0.5]) for type_ in ("int", "decimal(10,2)", "double", "bit(1)", "text", "time")),
        ("int", "1_0"),
        ("int", "ten"),
        ("tinyblob", 0),
        ("decimal(10,2)", "1e999999999"),
        ("date", "1000-01-01T00:00:01"),
        *(("made", value) for value in ([0.1, -2.5], [0.1, -2.5, 0.0, 0.0], "0.1", True)),
    ],
    "sqlite": [
        ("date", "1000-01-01 "),
        ("decimal(10,2)", ""),
        ("json", "{"),
        ("bit(1)", 2),
        ("datetime", "yesterday"),
        ("made", [0.1, -2.5]),
        ("made", struct.pack("<3f", 0.1, -2.5, 0.0) + b"\0"),
    ],
}
"""What a store lets anybody put into a column, by type, and is no value of it; ``made`` is an enricher's vector."""


@pytest.fixture(scope="module", params=sorted(SPECS))
def name(request: pytest.FixtureRequest) -> Any:
    assert request.param in NATIVE.keys() & HARNESSES.keys(), f"nobody changes values in `{request.param}` here"
    return request.param


def test_every_type_that_is_captured_is_among_the_columns() -> None:
    assert {column.base_type for column in COLUMNS} == {*_KINDS, "bit"}
    assert {column.kind for column in COLUMNS} == set(Kind)


def full(column: Column, value: Value) -> Row:
    """A row with ``value``, and with something in every other column, for which a change could be taken."""
    return {other.name: values[0] for other, values in COLUMNS.items()} | {"user_id": OWNER, column.name: value}


def judged(stage: Stage, wanted: Row, stored: StoredRow | None) -> list[Found]:
    assert stored is not None
    hash_ = row_hash(SCHEMA.columns, wanted)  # a target here receives all columns
    expected = Expected(stored.place, wanted, hash_, hash_)
    return [found for _, found in judge(stage.target, SCHEMA, expected, {stored.place: stored}, newest=100)]


async def altered(
    stage: Stage, urls: Mapping[str, str], name: str, plan: Sequence[tuple[Column, Value, Value]]
) -> None:
    """Write rows with the one value, put the other one in its place: equal before, found after, read either way."""
    rows = {id_: full(column, value) | {"id": id_} for id_, (column, value, _) in enumerate(plan, 1)}
    columns = {id_: column.name for id_, (column, _, _) in enumerate(plan, 1)}
    outcomes = await stage.outcomes(*(stage.put(10, **row) for row in rows.values()))
    assert [outcome.reason for outcome in outcomes if outcome.kind != "applied"] == []
    digest, whole = compiled(SCHEMA.columns, lenient=True), compiled(SCHEMA.columns)

    async def wrong(expected: Callable[[int], list[Found]], *, same: bool) -> list[Any]:
        walked = {stored.key.values[0]: stored for stored in await stage.all()}
        read = {id_: await stage.held(**row) for id_, row in rows.items()}
        assert walked.keys() == rows.keys()
        return [
            (plan[id_ - 1], judged(stage, row, read[id_]))
            for id_, row in rows.items()
            if judged(stage, row, read[id_]) != expected(id_)
            or judged(stage, row, walked[id_]) != expected(id_)
            or (digest(walked[id_].row) == whole(row)) is not same
        ]

    assert await wrong(lambda _: [], same=True) == []
    await NATIVE[name](urls, stage.target, [(id_, column, other) for id_, (column, _, other) in enumerate(plan, 1)])
    assert await wrong(lambda id_: [Found("altered", (columns[id_],), 10)], same=False) == []


async def test_the_smallest_change_of_any_value_is_found(stack: Servers, name: str) -> None:
    plan = [
        (column, value, other)
        for column, values in COLUMNS.items()
        for value in (None, *values)
        for other in neighbours(column, value)
        if not {str(value), str(other)} & {str(one) for one in REFUSED[name].get(column.type, [])}
    ]
    async with staged(HARNESSES[name](stack), name, SCHEMA) as stage:
        await altered(stage, stack.endpoints["future"], name, plan)


async def test_what_is_no_value_of_its_column_is_found_and_ends_no_audit(stack: Servers, name: str) -> None:
    by_type = {column.type if column.kind is not Kind.VECTOR else "made": column for column in COLUMNS}
    plan = [(by_type[type_], COLUMNS[by_type[type_]][0], other) for type_, other in SPOILT[name]]
    async with staged(HARNESSES[name](stack), name, SCHEMA) as stage:
        await altered(stage, stack.endpoints["future"], name, plan)


async def test_what_a_store_cannot_hold_it_refuses(stack: Servers, name: str) -> None:
    async with staged(HARNESSES[name](stack), name, SCHEMA) as stage:
        for column in COLUMNS:
            for value in REFUSED[name].get(column.type, []):
                assert await stage.write(stage.put(10, **full(column, value) | {"id": 1})) == ["rejected"]
