"""How the conformance suite treats Neo4j."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from conformance import Change, Others, Servers, Stage, target_of, with_row
from neo4j import AsyncDriver, AsyncGraphDatabase
from neo4j.time import Date

from changes.canonical import Value
from changes.errors import Transient
from changes.record import Outcome, Record
from changes.schema import Kind
from changes.target import Target
from sinks.contract import Sink
from sinks.neo4j.sink import Neo4jSink


@asynccontextmanager
async def driver_of(url: str) -> AsyncIterator[AsyncDriver]:
    """A client of our own."""
    parts = urlsplit(url)
    auth = (parts.username or "", parts.password or "")
    async with AsyncGraphDatabase.driver(
        f"{parts.scheme}://{parts.hostname}:{parts.port}", auth=auth, notifications_min_severity="OFF"
    ) as driver:
        yield driver


async def cypher(url: str, text: str, **values: Any) -> list[list[Any]]:
    """What a statement returns, run on its own."""
    async with driver_of(url) as driver, driver.session() as session:
        return await (await session.run(text, values)).values()


async def settled(stage: Stage, batch: list[Record]) -> list[str]:
    """The kinds of the outcomes, deadlocks or not."""
    for _ in range(50):
        with suppress(Transient):
            return await stage.write(batch)
    raise AssertionError("fifty deadlocks in a row")


class Neo4jHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        *((type_, True) for type_ in ("int", "date", "time", "datetime", "timestamp", "varchar(9)", "json", "blob")),
        *((type_, [1.0, 2.0]) for type_ in ("int", "decimal(10,2)", "double", "bit(1)", "text", "time", "blob")),
        ("tinyblob", ""),
        ("int", "ten"),
        ("decimal(10,2)", "1e999999999"),
        ("date", Date(1000, 1, 2)),  # type: ignore[list-item]
        ("json", "{"),
        *(("made", value) for value in ([0.1, -2.5], [0.1, -2.5, 0.0, 0.0], "0.1", True)),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
        self.url = beside.url("neo4j")

    def build(self) -> Sink:
        return Neo4jSink(self.url)

    def target(self, place: str) -> Target:
        return target_of("neo4j", place)

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        label = records[0].target.place
        await cypher(self.url, f"CREATE CONSTRAINT `once_{label}` FOR (n:`{label}`) REQUIRE n.title IS UNIQUE")
        await cypher(self.url, f"CREATE (n:`{label}` {{title: 'taken', _tr_stub: true}})")
        yield [with_row(record, title="taken") for record in records]
        await cypher(self.url, f"DROP CONSTRAINT `once_{label}`")
        await cypher(self.url, f"MATCH (n:`{label}` {{title: 'taken'}}) DELETE n")

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        label, key = batch[0].target.place, str(batch[0].key.values[0])
        waiting = "SHOW TRANSACTIONS YIELD status, connectionId WHERE status STARTS WITH 'Blocked' RETURN connectionId"
        async with (
            driver_of(self.url) as driver,
            driver.session() as watcher,
            driver.session() as blocker,
            await blocker.begin_transaction() as transaction,
        ):
            await transaction.run(f"MATCH (n:`{label}` {{_tr_key: $key}}) SET n._tr_key = $key", {"key": key})
            writing = asyncio.ensure_future(sink.write(batch))
            while not (found := await (await watcher.run(waiting)).values()):
                pass
            await watcher.run("CALL dbms.killConnection($id)", {"id": found[0][0]})
            return await writing

    async def forget_generations(self, target: Target) -> None:
        await cypher(self.url, f"MATCH (n:`{target.place}`) REMOVE n._tr_gen")
        await cypher(self.url, "MATCH (d:_tailrace_tombstone {target: $target}) REMOVE d.gen", target=target.name)

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        rows = [{"id": id_, "name": column.name, "value": _given(column, value)} for id_, column, value in changes]
        await cypher(
            self.url,
            f"UNWIND $rows AS r MATCH (n:`{target.place}` {{id: r.id}}) SET n[r.name] = r.value",
            rows=rows,
        )


def _given(column: Any, value: Any) -> Any:
    if column.kind is Kind.INTEGER and isinstance(value, int) and value >= 2**63:
        return str(value)
    if column.kind is Kind.BYTES and isinstance(value, str) and value:
        return base64.b64decode(value)
    if column.kind is Kind.VECTOR and isinstance(value, list):
        return list(struct.unpack(f"<{len(value)}f", struct.pack(f"<{len(value)}f", *value)))
    return value
