"""Redis: rows as JSON, a SET each, pipelined."""

from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis

from changes.record import Record


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    client = Redis.from_url(url)
    for batch in batches:
        pipeline = client.pipeline(transaction=False)
        for record in batch:
            pipeline.set(record.place, msgspec.json.encode(record.row))
        await pipeline.execute()
    await client.aclose()
