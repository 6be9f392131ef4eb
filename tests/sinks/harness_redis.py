"""How the conformance suite treats Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from conformance import Change, Others, Servers, target_of
from redis.asyncio import Redis

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.target import Target
from sinks.contract import Sink
from sinks.redis.sink import RedisSink
from sinks.redis.statements import stamp_key


class RedisHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        *((type_, True) for type_ in ("date", "time", "datetime", "timestamp", "varchar(9)", "json", "blob")),
        *((type_, [1.0, 2.0, 0.5]) for type_ in ("int", "decimal(10,2)", "double", "bit(1)", "text", "time")),
        ("int", "1_0"),
        ("int", "ten"),
        ("tinyblob", 0),
        ("decimal(10,2)", "1e999999999"),
        ("date", "1000-01-01T00:00:01"),
        *(("made", value) for value in ([0.1, -2.5], [0.1, -2.5, 0.0, 0.0], "0.1", True)),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
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

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        async with Redis.from_url(self.url) as client:
            for id_, column, value in changes:
                key = target.place.replace("{id}", str(id_))
                row = json.loads(await client.get(key))
                assert row[column.name] != value
                await client.set(key, json.dumps({**row, column.name: value}))
