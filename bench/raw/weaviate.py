"""Weaviate's own bulk upsert: objects put by id, without guard, tombstones or reserved properties.

By the same gRPC calls as the sink's, which are quicker than those of Weaviate's own client: a harder measure.
"""

from collections.abc import Sequence

import msgspec

from changes.record import Record
from sinks.weaviate.client import Client
from sinks.weaviate.schema import class_of, layout_of, slots, types_of
from sinks.weaviate.statements import Object, object_of
from sinks.weaviate.wire import insertion

_AT_ONCE = 500


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """Write ``batches`` of upserts to the class ``place``, which is made with the sink's properties and indexes but for
    the reserved ones."""
    first = batches[0][0]
    layout = layout_of(msgspec.structs.replace(first.target, place=place), first.schema)
    made = class_of(layout, "trigram")
    made["properties"] = [one for one in made["properties"] if not one["name"].startswith("_tr_")]
    client = Client(url, timeout=60.0)
    try:
        await client.connect()
        if await client.class_(place) is None:
            await client.make_class(made)
        where = slots(layout, types_of(made))
        for batch in batches:
            for start in range(0, len(batch), _AT_ONCE):
                whole = [object_of(record, where, 0) for record in batch[start : start + _AT_ONCE]]
                plain = [
                    Object(
                        one.id,
                        {name: value for name, value in one.properties.items() if not name.startswith("_tr_")},
                        one.vectors,
                    )
                    for one in whole
                ]
                if errors := await client.insert([insertion(place, one) for one in plain]):
                    raise ValueError(f"Weaviate refused {len(errors)} objects: {errors}")
    finally:
        await client.close()
