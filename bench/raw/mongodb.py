"""What MongoDB's driver does without us: bulk upserts of the same rows, without guard and reserved fields."""

from collections.abc import Sequence
from typing import Any

from pymongo import AsyncMongoClient, ReplaceOne
from pymongo.write_concern import WriteConcern

from changes.record import Record
from sinks.mongodb.statements import fields_of, id_of, layout_of


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """Write batches of living rows to the collection ``place``, each in one bulk, as durably as the sink does."""
    async with AsyncMongoClient[dict[str, Any]](url, retryWrites=False) as client:
        concern = WriteConcern(w="majority", j=True)
        collection = client.get_default_database().get_collection(place, write_concern=concern)
        for batch in batches:
            operations = []
            for record in batch:
                layout = layout_of(record.target, record.schema)
                operations.append(
                    ReplaceOne({"_id": id_of(layout, record.key)}, fields_of(layout, record.row or {}), upsert=True)
                )
            await collection.bulk_write(operations, ordered=False)
