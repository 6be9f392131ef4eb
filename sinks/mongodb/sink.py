"""The MongoDB sink's I/O, over pymongo's asynchronous client."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient, ReplaceOne, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConfigurationError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import Key
from changes.record import APPLIED, STALE, Outcome, Record, StoredRow, StoredSums, rejected
from changes.schema import TableSchema
from changes.target import Target
from sinks.fold import fold
from sinks.mongodb import META, catalog, statements
from sinks.mongodb.errors import classify, of_code, refusal, taken
from sinks.mongodb.statements import Layout, Ready, hashable, layout_of

Document = dict[str, Any]

_EXPIRE_EVERY = timedelta(hours=1)
_PAGE = 1000
_PORTION = 1000
"""Writes of one bulk: each has the whole time limit."""
_ASKED = 200
"""Keys of one ``$in``: some servers hold each document against all of them."""
_ROUNDS = 3
_LONGEST = 3600.0


def _now() -> datetime:
    return datetime.now(UTC)


class MongoSink:
    """Any number of targets in one database, over at most ``connections`` connections to a server, all but one of
    which may be busy for long.

    A server that keeps logical sessions is taken for a whole MongoDB: it serves views, removes documents by their
    date (its own sessions go that way), and holds a document that it found by its ``_id`` against further
    conditions. On another, such as a stand-in of the wire protocol, applications filter for themselves, tombstones
    are swept at `open` and hourly, `keep: cache` is refused, and a write is preceded by a look at what it replaces.

    ``now`` gives the time at which tombstones are counted from.
    """

    def __init__(
        self, url: str, *, connections: int = 4, timeout: float = 60.0, now: Callable[[], datetime] = _now
    ) -> None:
        self._url = url
        self._connections = connections
        self._long = asyncio.Semaphore(max(1, connections - 1))
        self._timeout = timeout
        self._now = now
        self._client: AsyncMongoClient[Document] | None = None
        self._targets: dict[str, Target] = {}
        self._expired_at = now()
        self.whole = False

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        layouts = [layout_of(target, schema) for target, schema in tables]
        with _translated():
            if self._client is None:
                self._client = self._connect()
            async with asyncio.timeout(_LONGEST):  # an index is made of all that is there
                await self._client.admin.command("ping")
                self.whole = self._client.topology_description.logical_session_timeout_minutes is not None
                await catalog.ensure(self._database(), layouts, whole=self.whole)
        self._targets.update({layout.target.name: layout.target for layout in layouts})
        await self._expire()

    def _connect(self) -> AsyncMongoClient[Document]:
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                self._url,
                appname="tailrace",
                maxPoolSize=self._connections,
                # Retrying is the caller's; a retry in here would hide how often it happens.
                retryWrites=False,
                retryReads=False,
                serverSelectionTimeoutMS=int(min(self._timeout, 10.0) * 1000),
                connectTimeoutMS=int(min(self._timeout, 10.0) * 1000),
                readPreference="primary",
                # Whatever anybody has put there is read, if only to be told from what is right.
                datetime_conversion="DATETIME_AUTO",
                unicode_decode_error_handler="replace",
            )
            client.get_default_database()
        except (ConfigurationError, ValueError) as error:  # whose text may hold a part of the password
            raise Misconfigured(
                "MongoDB: the URL cannot be read: it looks like `mongodb://user:password@host:port/database`"
            ) from error
        return client

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._now() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._attempt)

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows, each for itself."""
        outcomes = [APPLIED] * len(records)
        now = self._now()
        layouts: dict[tuple[int, int], Layout] = {}  # by identity: hashing a schema for each record costs too much
        by_place: dict[str, list[Ready]] = {}
        for index, record in enumerate(records):
            identity = (id(record.target), id(record.schema))
            layout = layouts.get(identity)
            if layout is None:
                layout = layouts[identity] = layout_of(record.target, record.schema)
            try:
                one = statements.ready(index, record, layout, now)
            except Rejected as refused:
                outcomes[index] = rejected(refused)
            else:
                by_place.setdefault(record.target.place, []).append(one)
        with _translated():
            for place, waiting in by_place.items():
                for start in range(0, len(waiting), _PORTION):
                    async with asyncio.timeout(self._timeout):
                        await self._store(place, waiting[start : start + _PORTION], outcomes)
        return outcomes

    async def _store(self, place: str, waiting: list[Ready], outcomes: list[Outcome]) -> None:
        """Write records of one collection, in one bulk but where others write the same rows at the same moment.

        A write whose filter does not hold finds its ``_id`` taken: by something newer, or by what another writer
        has put there in between. To tell these apart the documents are looked at, and what is not stale comes again.
        """
        for turn in range(_ROUNDS):
            found: dict[Any, Document] | None = None
            if turn or not self.whole:
                found = await self._look(place, waiting)
                lands = []
                for one in waiting:
                    if statements.lands(one, found.get(hashable(one.id))):
                        lands.append(one)
                    else:
                        outcomes[one.at] = STALE
                waiting = lands
            waiting = await self._bulk(place, waiting, found, outcomes)
            if not waiting:
                return
        raise Transient(f"MongoDB: others keep writing the same rows of `{place}`")

    async def _look(self, place: str, waiting: Sequence[Ready]) -> dict[Any, Document]:
        found: dict[Any, Document] = {}
        for start in range(0, len(waiting), _ASKED):
            ids = [one.id for one in waiting[start : start + _ASKED]]
            cursor = self._kept(place).find({"_id": {"$in": ids}}, {"_tr_gen": 1, "_tr_pos": 1})
            found |= {hashable(document["_id"]): document async for document in cursor}
        return found

    async def _bulk(
        self, place: str, waiting: Sequence[Ready], found: dict[Any, Document] | None, outcomes: list[Outcome]
    ) -> list[Ready]:
        """Those whose ``_id`` was taken."""
        if not waiting:
            return []
        if self.whole or found is None:
            filters = [statements.guard(one) for one in waiting]
        else:
            filters = [statements.unchanged(one, found.get(hashable(one.id))) for one in waiting]
        operations: list[ReplaceOne[Any]] = [
            ReplaceOne(filter_, one.document, upsert=True) for filter_, one in zip(filters, waiting, strict=True)
        ]
        try:
            await self._written(place).bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            for concern in error.details["writeConcernErrors"]:
                raise of_code(concern["code"], f"MongoDB: {concern['errmsg']}") from error
            again = []
            for failure in error.details["writeErrors"]:
                one = waiting[failure["index"]]
                if taken(failure):
                    again.append(one)
                elif isinstance(refused := refusal(failure), Rejected):
                    outcomes[one.at] = rejected(refused)
                else:
                    raise refused from error
            return again
        return []

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        layout = layout_of(target, schema)
        ids = [statements.place_id(layout, place, key) for place, key in wanted]
        found = {(row.place, row.key): row for row in await self._living(layout, ids)}
        return [found.get(one) for one in wanted]

    async def _living(self, layout: Layout, ids: Sequence[Any]) -> list[StoredRow]:
        """The rows of documents with these ids."""
        found = []
        with _translated():
            for start in range(0, len(ids), _ASKED):
                wanted = {"_id": {"$in": ids[start : start + _ASKED]}, **statements.LIVING}
                async with asyncio.timeout(self._timeout):
                    async for document in self._kept(layout.target.place).find(wanted):
                        row = statements.stored(layout, document)
                        if row is not None:
                            found.append(row)
        return found

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        layout = layout_of(target, schema)
        among = None if buckets is None else frozenset(buckets)
        wanted = statements.LIVING if among is None else statements.of_buckets(sorted(among))
        with _translated():
            async with self._kept(target.place).find(wanted, batch_size=_PAGE) as cursor:
                while documents := await cursor.to_list(_PAGE):
                    for document in documents:
                        row = statements.stored(layout, document)
                        if row is not None and (among is None or "_tr_bucket" in document or row.key.bucket in among):
                            yield row

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        layout = layout_of(target, schema)
        with _translated():
            async with self._long, asyncio.timeout(_LONGEST):
                # Along the collection itself: in an index, a document whose position changes moves, and could be met
                # twice.
                cursor = await self._kept(target.place).aggregate(
                    statements.sums(upto), allowDiskUse=True, hint={"$natural": 1}, batchSize=_PAGE
                )
                async with cursor:
                    groups = [group async for group in cursor]
        strange = await self._living(layout, statements.strangers(groups))
        return statements.sums_from(layout, upto, groups, {row.place: row for row in strange})

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` for ``lane``, durably; returns the one it replaced, ``None`` for none."""
        with _translated():
            async with asyncio.timeout(self._timeout):
                found = await self._written(META).find_one_and_replace(
                    {"_id": lane}, {"stamp": stamp}, upsert=True, return_document=ReturnDocument.BEFORE
                )
        return found["stamp"] if found else None

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; ``None`` where the store knows of none."""
        with _translated():
            async with asyncio.timeout(self._timeout):
                found = await self._kept(META).find_one({"_id": lane})
        return found["stamp"] if found else None

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(PyMongoError, OSError):
                await client.close()

    async def _expire(self) -> None:
        """Remove what has outlived its date, where the server does not."""
        if not self.whole:
            with _translated():
                async with asyncio.timeout(_LONGEST):
                    for target in self._targets.values():
                        await self._written(target.place).delete_many({statements.UNTIL: {"$lt": self._now()}})
        self._expired_at = self._now()

    def _database(self) -> AsyncDatabase[Document]:
        if self._client is None:
            raise RuntimeError("the sink is not open")
        return self._client.get_default_database()

    def _written(self, name: str) -> AsyncCollection[Document]:
        """A collection whose writes are answered once they outlive the loss of a server."""
        concern = WriteConcern(w="majority", j=True, wtimeout=int(self._timeout * 1000))
        return self._database().get_collection(name, write_concern=concern)

    def _kept(self, name: str) -> AsyncCollection[Document]:
        """A collection of which is read only what outlives the loss of a server."""
        return self._database().get_collection(name, read_concern=ReadConcern("majority"))


@contextmanager
def _translated() -> Iterator[None]:
    """pymongo's errors as ours; no message holds the connection's URL."""
    try:
        yield
    except (PyMongoError, OSError, TimeoutError) as error:
        raise classify(error) from error
