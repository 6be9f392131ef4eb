"""Looking up what a database holds, and bringing it to what the targets need."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from changes.errors import Misconfigured
from changes.target import Target
from sinks.mongodb import VIEW_SUFFIX, statements
from sinks.mongodb.statements import Layout

Database = AsyncDatabase[dict[str, Any]]


async def ensure(database: Database, layouts: Sequence[Layout], *, whole: bool) -> None:
    """Create what is missing of the targets' collections, indexes and views. ``whole`` as in `sinks.mongodb.sink`.

    Nothing is ever dropped; only a view's pipeline is replaced.
    """
    there = {found["name"]: found async for found in await database.list_collections()}
    for layout in layouts:
        target = layout.target
        if target.keep == "cache" and not whole:
            raise Misconfigured(f"MongoDB: `{target.place}`: this server removes nothing by its date: no `keep: cache`")
        if target.place in there:
            await _refuse_foreign(database, target, there[target.place])
        for keys, options in statements.indexes(target, whole=whole):
            await database[target.place].create_index(keys, **options)
        if whole:
            await _ensure_view(database, layout, there)


async def _refuse_foreign(database: Database, target: Target, found: Mapping[str, Any]) -> None:
    advice = "Choose another `place`, or drop it"
    if found.get("type", "collection") != "collection" or found["options"].keys() & {"capped", "collation"}:
        raise Misconfigured(
            f"MongoDB: `{target.place}` is no plain collection: a view, capped, or with a collation. {advice}"
        )
    collection = database[target.place]
    if "_tr_bucket_1" not in await collection.index_information() and await collection.find_one({}) is not None:
        raise Misconfigured(f"MongoDB: `{target.place}` holds documents that are not Tailrace's. {advice}")


async def _ensure_view(database: Database, layout: Layout, there: Mapping[str, Mapping[str, Any]]) -> None:
    place, pipeline = layout.target.place, statements.view(layout)
    name = place + VIEW_SUFFIX
    if name not in there:
        await database.command("create", name, viewOn=place, pipeline=pipeline)
    elif there[name]["type"] != "view":
        raise Misconfigured(f"MongoDB: the collection `{name}` is in the way of the view of `{place}`")
    elif there[name]["options"].get("pipeline") != pipeline:
        await database.command("collMod", name, viewOn=place, pipeline=pipeline)
