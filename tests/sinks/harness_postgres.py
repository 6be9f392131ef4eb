"""How the conformance suite treats PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
from conformance import Change, Others, Servers, target_of, with_row

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.schema import Kind
from changes.target import Target
from sinks.contract import Sink
from sinks.sql.postgres.sink import PostgresSink
from sinks.sql.postgres.types import type_of


class PostgresHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [  # which keeps a vector's length itself
        *(("date", value) for value in ("0044-03-15 BC", "infinity")),
        ("timestamp", "infinity"),
        ("decimal(10,2)", "NaN"),
        ("bigint unsigned", "NaN"),
        *(("time", value) for value in ("", "01:00:00ZZ", "1:00:00")),
    ]

    def __init__(self, stack: Servers, beside: Others, name: str = "postgres") -> None:
        self.name = name
        self.url = stack.endpoints["future"][name] if name == "postgres" else beside.url(name)

    def build(self) -> Sink:
        return PostgresSink(self.url)

    def target(self, place: str) -> Target:
        return target_of(self.name, place, user="user_id")

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

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        connection = await asyncpg.connect(self.url)
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
