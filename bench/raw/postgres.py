"""PostgreSQL: a batch as one statement, its columns as arrays; and asyncpg's own bulk call, which is slower."""

from collections.abc import Iterator, Sequence

import asyncpg

from changes.record import Record
from changes.schema import Column
from sinks.sql.postgres.types import to_text, type_of


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """As fast as we know how: no more than the rows themselves, put side by side by ``unnest``."""
    columns = batches[0][0].schema.columns
    names, types = [column.name for column in columns], [type_of(column) for column in columns]
    arrays = ", ".join(f"${number}::text[]" for number, _ in enumerate(names, 1))
    cast = ", ".join(f"{name}::{type_}" for name, type_ in zip(names, types, strict=True))
    given = f"SELECT {cast} FROM unnest({arrays}) AS r ({', '.join(names)})"
    connection = await _created(url, place, columns)
    for batch in batches:
        await connection.execute(_upsert(place, given, names), *_texts(columns, batch))
    await connection.close()


async def client_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """As the client does it: `executemany`, each batch a transaction."""
    columns = batches[0][0].schema.columns
    names, types = [column.name for column in columns], [type_of(column) for column in columns]
    given = f"VALUES ({', '.join(f'${number}::text::{type_}' for number, type_ in enumerate(types, 1))})"
    connection = await _created(url, place, columns)
    for batch in batches:
        await connection.executemany(_upsert(place, given, names), list(zip(*_texts(columns, batch), strict=True)))
    await connection.close()


async def _created(url: str, place: str, columns: Sequence[Column]) -> asyncpg.Connection:
    connection = await asyncpg.connect(url)
    fields = ", ".join(f"{column.name} {type_of(column)}" for column in columns)
    await connection.execute(f"CREATE TABLE {place} ({fields}, PRIMARY KEY (id))")
    return connection


def _upsert(place: str, given: str, names: Sequence[str]) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    return f"INSERT INTO {place} {given} ON CONFLICT (id) DO UPDATE SET {changed}"


def _texts(columns: Sequence[Column], batch: Sequence[Record]) -> Iterator[list[str | None]]:
    rows = [record.row or {} for record in batch]
    return (to_text(column, [row[column.name] for row in rows]) for column in columns)
