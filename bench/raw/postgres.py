"""PostgreSQL: a batch as one statement, its columns as arrays; asyncpg's `executemany` is slower."""

from collections.abc import Sequence

import asyncpg

from changes.record import Record
from sinks.sql.postgres.types import to_text, type_of


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    columns = batches[0][0].schema.columns
    names, types = [column.name for column in columns], [type_of(column) for column in columns]
    connection = await asyncpg.connect(url)
    fields = ", ".join(f"{name} {type_}" for name, type_ in zip(names, types, strict=True))
    await connection.execute(f"CREATE TABLE {place} ({fields}, PRIMARY KEY (id))")
    arrays = ", ".join(f"${number}::text[]" for number, _ in enumerate(names, 1))
    cast = ", ".join(f"{name}::{type_}" for name, type_ in zip(names, types, strict=True))
    upsert = (
        f"INSERT INTO {place} SELECT {cast} FROM unnest({arrays}) AS r ({', '.join(names)})"
        f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[1:])}"
    )
    for batch in batches:
        rows = [record.row or {} for record in batch]
        await connection.execute(upsert, *(to_text(column, [row[column.name] for row in rows]) for column in columns))
    await connection.close()
