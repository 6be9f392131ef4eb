"""The Neo4j sink's I/O, over the official driver."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncSession, AsyncTransaction
from neo4j.exceptions import DriverError, Neo4jError

from changes.errors import Misconfigured
from changes.key import Key
from changes.record import Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from sinks.fold import fold
from sinks.isolate import isolate
from sinks.neo4j import statements
from sinks.neo4j.batch import Batch
from sinks.neo4j.edges import check_edges
from sinks.neo4j.errors import classify
from sinks.neo4j.schema import ensure, types
from sinks.neo4j.stored import Stored
from sinks.neo4j.values import key_text
from sinks.sql.table import table_of

_EXPIRE_EVERY = 3600.0
_PAGE = 1000
_LONGEST = 3600.0
_UNREADABLE = "Neo4j: the URL cannot be read: it looks like `bolt://user:password@host:port`"


class Neo4jSink:
    """Any number of targets in one database, over at most ``connections`` connections.

    A batch is one transaction; only where a record is refused it is split into several. ``timeout`` is how many
    seconds one may take, and how long one of ``connections`` is waited for: they are enough for all tables of an
    audit, each of which holds one for as long as it is read. ``clock`` gives seconds and never goes back; tombstones
    that have outlived their target's ``tombstones_for`` go at `open` and hourly.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 32,
        timeout: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._auth, self._database = _parts(url)
        self._connections = connections
        self._timeout = timeout
        self._clock = clock
        self._driver: AsyncDriver | None = None
        self._targets: dict[str, Target] = {}
        self._types: dict[str, list[str]] = {}
        self._expired_at = 0.0

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        planned = [table_of(target, schema) for target, schema in tables]
        for table in planned:
            check_edges(table.target, {column.name: column for column in table.columns})
        with _translated():
            if self._driver is None:
                self._driver = self._connect()
            async with self._session() as session:
                await ensure(session, planned)
                for table in planned:
                    self._types[table.target.name] = await types(session, table)
        self._targets.update({table.target.name: table.target for table in planned})
        await self._expire()

    def _connect(self) -> AsyncDriver:
        return AsyncGraphDatabase.driver(
            self._address,
            auth=self._auth,
            max_connection_pool_size=self._connections,
            connection_acquisition_timeout=self._timeout,
            connection_timeout=10.0,
            connection_write_timeout=self._timeout,
            keep_alive=True,
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="tailrace",
        )

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._clock() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._isolate)

    async def _isolate(self, records: Sequence[Record]) -> list[Outcome]:
        return await isolate(records, self._attempt)

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows in one transaction; raises `Rejected` where it was rolled back."""
        batch = Batch(records)
        with _translated():
            async with self._begun() as transaction:
                for label in batch.labels():
                    if keys := batch.locks(label):
                        batch.locked(label, await _rows(transaction, statements.lock(label), keys=keys))
                    for text, values in batch.upserts(label):
                        batch.refused(label, await _rows(transaction, text, **values))
                for name, keys in batch.unseen():
                    batch.buried(name, await _rows(transaction, statements.BURIED, target=name, keys=keys))
                batch.land()
                for name, keys in batch.makers():
                    for type_ in self._types.get(name, ()):
                        found = await _rows(transaction, statements.held(type_), target=name, keys=keys)
                        batch.held(name, type_, found)
                losing = batch.settle()
                if losing:
                    await _run(transaction, statements.LOCK_IDS, ids=losing)
                for text, values in batch.writes(losing):
                    await _run(transaction, text, **values)
        return batch.outcomes

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        table = table_of(target, schema)
        # A node is looked up by its key; one that has none of ours by its element id, which is its place.
        asked = [(place, "" if place else key_text(table.key, key.values)) for place, key in wanted]
        keys, strange = [text for place, text in asked if not place], [place for place, _ in asked if place]
        texts, stored = statements.statements_of(table), Stored(table, schema)
        found: dict[tuple[str, str], StoredRow | None] = {}
        with _translated():
            async with asyncio.timeout(self._timeout), self._reading() as transaction:
                for start in range(0, len(keys), _PAGE):
                    page = keys[start : start + _PAGE]
                    for fields in await _rows(transaction, texts.read, keys=page, target=target.name):
                        found["", fields[0]] = stored.row(fields)
                if strange:
                    for fields in await _rows(transaction, texts.found, ids=strange, target=target.name):
                        found[fields[-1], ""] = stored.row(fields)
        return [found.get(one) for one in asked]

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        table = table_of(target, schema)
        texts, stored = statements.statements_of(table), Stored(table, schema)
        values = {"target": target.name, "buckets": list(buckets or ())}
        with _translated():
            async with self._reading() as transaction:
                if buckets is None:
                    async for fields in self._pages(transaction, texts.scan, values):
                        if (row := stored.row(fields)) is not None:
                            yield row
                    return
                async for fields in self._pages(transaction, texts.some, values):
                    if (row := stored.row(fields)) is not None:
                        yield row
                async for fields in self._pages(transaction, texts.stray, values):
                    row = stored.row(fields)
                    if row is not None and row.key.bucket in buckets:
                        yield row

    async def _pages(
        self, transaction: AsyncTransaction, text: str, values: Mapping[str, Any]
    ) -> AsyncIterator[Sequence[Any]]:
        """The rows of a result, as they come; none of its pages may take longer than ``timeout``."""
        async with asyncio.timeout(self._timeout):
            result = await transaction.run(text, dict(values))
        while True:
            async with asyncio.timeout(self._timeout):
                page = await result.fetch(_PAGE)
            if not page:
                return
            for record in page:
                yield record.values()

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        """Each row's position and hash are read one after the other, without a lock: of a row that is written at that
        moment they may be of two writes, and an audit then opens its bucket."""
        table = table_of(target, schema)
        texts, stored = statements.statements_of(table), Stored(table, schema)
        found = StoredSums({}, {})
        with _translated():
            async with asyncio.timeout(_LONGEST), self._reading() as transaction:
                before = await _buried(transaction, target, upto)
                stored.sum(found, await _rows(transaction, texts.sums, upto=upto))
                stored.sum_strays(found, await _rows(transaction, texts.stray, target=target.name))
                # A row that was deleted meanwhile may have been counted: its bucket is counted anew, without it.
                without = set(before)
                buried = await _buried(transaction, target, upto)
                while died := buried.keys() - without:
                    without |= died
                    again = {buried[key][1] for key in died}
                    for bucket in again:
                        found.sums.pop(bucket, None)
                    values = {"upto": upto, "buckets": list(again), "without": list(without)}
                    stored.sum(found, await _rows(transaction, texts.resum, **values))
                    buried = await _buried(transaction, target, upto)
        found.beyond.update({("", bytes(key)): bucket for key, bucket in (before | buried).values()})
        return found

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` for ``lane``; returns the one it replaced, ``None`` for none."""
        with _translated():
            async with self._begun() as transaction:
                ((old,),) = await _rows(transaction, statements.STAMP, lane=lane, stamp=stamp)
        return old  # type: ignore[no-any-return]

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; ``None`` where there is none."""
        with _translated():
            async with asyncio.timeout(self._timeout), self._reading() as transaction:
                found = await _rows(transaction, statements.STAMPED, lane=lane)
        return found[0][0] if found else None

    async def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            with suppress(DriverError, Neo4jError, OSError, TimeoutError):
                await asyncio.wait_for(driver.close(), timeout=5.0)

    async def _expire(self) -> None:
        with _translated():
            async with self._session() as session:
                for target in self._targets.values():
                    kept = target.tombstones_for * 1000
                    await (await session.run(statements.EXPIRE, {"target": target.name, "kept": kept})).consume()
        self._expired_at = self._clock()

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncTransaction]:
        """A transaction that is committed at the end. Neither this process nor the server lets it last longer than
        ``timeout``: whoever is stopped in the middle must not hold its locks for ever."""
        async with (
            asyncio.timeout(self._timeout),
            self._session() as session,
            await session.begin_transaction(timeout=self._timeout) as transaction,
        ):
            yield transaction
            await transaction.commit()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncTransaction]:
        async with self._session() as session, await session.begin_transaction() as transaction:
            yield transaction

    def _session(self) -> AsyncSession:
        if self._driver is None:
            raise RuntimeError("the sink is not open")
        return self._driver.session(database=self._database, fetch_size=_PAGE)


async def _rows(transaction: AsyncTransaction, text: str, **values: Any) -> list[list[Any]]:
    return await (await transaction.run(text, values)).values()


async def _run(transaction: AsyncTransaction, text: str, **values: Any) -> None:
    await (await transaction.run(text, values)).consume()


async def _buried(transaction: AsyncTransaction, target: Target, upto: int) -> dict[str, tuple[bytes, int]]:
    """The tombstones beyond a position: for each node's key its canonical bytes and its bucket."""
    found = await _rows(transaction, statements.BURIED_BEYOND, target=target.name, upto=upto)
    return {key: (canonical, bucket) for key, canonical, bucket in found}


def _parts(url: str) -> tuple[str, tuple[str, str] | None, str | None]:
    """The address without its account, the account, and the database, each ``None`` where there is none."""
    try:
        found = urlsplit(url)
        host = f"[{found.hostname}]" if ":" in (found.hostname or "") else found.hostname
        address = f"{found.scheme}://{host}:{found.port or 7687}"
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured(_UNREADABLE) from error
    if not found.hostname or found.scheme.partition("+")[0] not in {"bolt", "neo4j"}:
        raise Misconfigured(_UNREADABLE)
    auth = None if found.username is None else (unquote(found.username), unquote(found.password or ""))
    return address, auth, found.path.strip("/") or None


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours; no message holds the connection's URL."""
    try:
        yield
    except (Neo4jError, DriverError, OSError) as error:
        raise classify(error) from error
