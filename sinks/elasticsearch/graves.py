"""Removing tombstones that have outlived whatever could bring an older change of their row."""

from sinks.elasticsearch import statements
from sinks.elasticsearch.errors import CONFLICT, GONE, classify
from sinks.elasticsearch.wire import Wire


async def clear(wire: Wire, index: str, before: int) -> None:
    """Remove the tombstones that were written before a time in ms and are visible to searches."""
    while True:
        answer = await wire.ask("POST", f"/{index}{statements.SEARCH}", statements.graves(before))
        hits = statements.page_of(answer.body).hits.hits
        if not hits:
            return
        answer = await wire.ask("POST", statements.REMOVE, statements.removal(index, hits), lines=True)
        for item in statements.items(answer.body):
            # One that was written again meanwhile is no tombstone of that time any more.
            if item.error is not None and item.status not in {CONFLICT, GONE}:
                raise classify(item.status, item.error, document=False)
        await wire.ask("POST", f"/{index}/_refresh")
