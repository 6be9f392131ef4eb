"""An index as of one moment, walked page by page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from changes.errors import Misconfigured, Transient
from changes.record import BucketSum
from sinks.elasticsearch import statements
from sinks.elasticsearch.wire import Wire

_FIRST, _MOST = 100, 2000
_BYTES = 4 << 20
_GROWS = 4
_LONGEST = 3600.0


class _Opened(msgspec.Struct):
    id: str


class View:
    """Made by `view`. Every page is of the same moment, however long the walk takes."""

    def __init__(self, wire: Wire, index: str, pit: str) -> None:
        self._wire = wire
        self._index = index
        self.pit = pit

    async def pages(
        self, query: Mapping[str, Any], source: bool | Sequence[str] = True
    ) -> AsyncIterator[list[statements.Hit]]:
        """The documents that a query finds, in pages of a few megabytes. ``source``: whole, some fields, or none."""
        size, after = _FIRST, None
        while True:
            answer = await self._search(statements.page(query, self.pit, size, after, source))
            found = statements.page_of(answer)
            self.pit = found.pit_id
            hits = found.hits.hits
            if hits:
                yield hits
            if len(hits) < size:
                return
            after = hits[-1].sort
            size = max(1, min(_MOST, size * _GROWS, size * _BYTES // len(answer)))

    async def sums(self, upto: int) -> dict[int, BucketSum]:
        """Of the rows that we wrote, up to a position."""
        found = statements.page_of(await self._search(statements.tally(self.pit, upto)))
        self.pit = found.pit_id
        try:
            return statements.sums(found)
        except OverflowError as error:
            raise Misconfigured(f"Elasticsearch: `{self._index}`: {error}; compare it deeply instead") from error

    async def _search(self, body: bytes) -> bytes:
        return (await self._wire.ask("POST", statements.SEARCH, body, patience=_LONGEST)).body


@asynccontextmanager
async def view(wire: Wire, index: str) -> AsyncIterator[View]:
    """All that was written before this was called, seen or not."""
    await wire.ask("POST", f"/{index}/_refresh", patience=_LONGEST)
    opened = await wire.ask("POST", f"/{index}/_pit?keep_alive={statements.KEPT_OPEN}")
    seen = View(wire, index, msgspec.json.decode(opened.body, type=_Opened).id)
    try:
        yield seen
    finally:
        with suppress(Transient, Misconfigured):  # left open it ends by itself
            await wire.ask("DELETE", "/_pit", msgspec.json.encode({"id": seen.pit}), allow=(404,))
