"""Neo4j's own bulk upsert: nodes merged by their key columns, without guard, tombstones or reserved fields."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from neo4j import AsyncGraphDatabase

from changes.record import Record
from sinks.neo4j.statements import quote
from sinks.neo4j.values import encoder


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """Write ``batches`` of upserts to nodes of the label ``place``, a transaction each; their key is made unique."""
    parts = urlsplit(url)
    label, schema = quote(place), batches[0][0].schema
    encoders = {column.name: (column, encoder(column)) for column in schema.columns}
    key = ", ".join(f"{quote(name)}: r.{quote(name)}" for name in schema.key)
    unique = ", ".join(f"n.{quote(name)}" for name in schema.key)
    async with (
        AsyncGraphDatabase.driver(
            f"{parts.scheme}://{parts.hostname}:{parts.port}",
            auth=(unquote(parts.username or ""), unquote(parts.password or "")),
        ) as driver,
        driver.session() as session,
    ):
        await (
            await session.run(f"CREATE CONSTRAINT IF NOT EXISTS FOR (n:{label}) REQUIRE ({unique}) IS UNIQUE")
        ).consume()
        for batch in batches:
            rows: list[dict[str, Any]] = [
                {name: encode(column, (record.row or {})[name]) for name, (column, encode) in encoders.items()}
                for record in batch
            ]
            async with await session.begin_transaction() as transaction:
                await (
                    await transaction.run(f"UNWIND $rows AS r MERGE (n:{label} {{{key}}}) SET n += r", {"rows": rows})
                ).consume()
                await transaction.commit()
