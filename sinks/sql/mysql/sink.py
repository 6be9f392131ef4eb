"""The MySQL sink's I/O: pymysql in threads of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, asynccontextmanager
from typing import Any, TypeVar

from changes.canonical import canonical_row
from changes.key import Key
from changes.mysqlurl import MysqlUrl
from changes.record import APPLIED, STALE, BucketSum, Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from sinks.contract import Exchange, Swap
from sinks.fold import fold
from sinks.isolate import isolate
from sinks.sql.mysql import catalog, exchange, statements
from sinks.sql.mysql.pool import Connection, Pool, ask, stream
from sinks.sql.mysql.portion import Order, Written
from sinks.sql.mysql.types import PLAIN, value_of
from sinks.sql.pages import drawn
from sinks.sql.stored import storing
from sinks.sql.table import Table, portions, table_of

_EXPIRE_EVERY = 3600.0
_CLOSING = 5.0
"""Seconds that statements are given to end when the sink is closed."""
_SNAPSHOT = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

Result = TypeVar("Result")


class MysqlSink:
    """Any number of targets in one database, over at most ``connections`` connections.

    A batch is one transaction; only where a record is refused it is split into several. ``timeout``: seconds without
    an answer after which the server is taken for dead. ``clock`` gives seconds and never goes back; tombstones that
    have outlived their target's ``tombstones_for`` go at `open` and hourly.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 4,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._timeout, self._clock = url, timeout, clock
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="mysql")
        self._free = asyncio.Semaphore(connections)
        self._pool: Pool | None = None
        self._targets: dict[str, Target] = {}
        self._expired_at = 0.0

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        planned = [table_of(target, schema) for target, schema in tables]
        if self._pool is None:
            self._pool = Pool(MysqlUrl.parse(self._url), self._timeout)
        await self._with_connection(catalog.ensure, planned)
        self._targets.update({table.target.name: table.target for table in planned})
        await self._expire()

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._clock() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._isolate)

    async def _isolate(self, records: Sequence[Record]) -> list[Outcome]:
        return await isolate(records, self._attempt)

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows in one transaction; raises `Rejected` where it was rolled back."""
        return await self._with_connection(_store, records, self._connected().packet)

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        table = table_of(target, schema)
        keys = statements.key_literals(table, [key for _, key in wanted])
        texts = statements.chunks(statements.statements_of(table).read, keys, self._connected().packet)
        found = {row.key: row for row in await self._with_connection(_read, texts, table, schema)}
        return [found.get(key) for _, key in wanted]

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        if buckets is not None and not buckets:
            return
        table = table_of(target, schema)
        text = statements.statements_of(table).scan if buckets is None else statements.some(table, buckets)
        found = _scan(self._connected(), text, table, schema)
        async with self._free, aclosing(drawn(found, self._in_thread)) as rows:
            async for row in rows:
                yield row

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        async with self._free:
            return await self._in_thread(_sums, self._connected(), table_of(target, schema), schema, upto)

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` (a few kB of text at most) for ``lane``, durably; what it replaced, ``None`` for nothing."""
        return await self._with_connection(_stamp, lane, stamp)

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; ``None`` where the store knows of none."""
        return await self._with_connection(_stamped, lane)

    @asynccontextmanager
    async def held(self, swaps: Sequence[Swap]) -> AsyncIterator[Exchange]:
        pool, leaving = self._connected(), ExitStack()
        begun: list[asyncio.Future[None]] = []

        def work(holder: Connection) -> None:
            with pool.scan() as connection:
                exchange.exchange(connection, holder, swaps)

        async def do() -> None:
            begun.append(asyncio.ensure_future(self._in_thread(work, holder)))
            await asyncio.shield(begun[-1])

        async with self._free:
            try:
                holder = await self._in_thread(leaving.enter_context, pool.scan())
                await self._in_thread(exchange.hold, holder, swaps)
                yield do
            finally:
                await asyncio.gather(*begun, return_exceptions=True)  # held until it is over, whoever waits for it
                await self._in_thread(leaving.close)

    async def exchanged(self, swaps: Sequence[Swap]) -> bool:
        return await self._with_connection(exchange.exchanged, swaps)

    async def drop(self, targets: Sequence[Target]) -> None:
        await self._with_connection(exchange.drop, [target.place for target in targets])

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        ending = asyncio.ensure_future(asyncio.to_thread(self._threads.shutdown))
        _, waiting = await asyncio.wait({ending}, timeout=_CLOSING)
        if waiting and pool is not None:
            pool.abort()
        await ending
        if pool is not None:
            pool.close()

    async def _expire(self) -> None:
        for target in self._targets.values():
            await self._with_connection(_expire, statements.expire(target.name, target.tombstones_for))
        self._expired_at = self._clock()

    async def _with_connection(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What ``work`` returns, which gets a connection first."""
        pool = self._connected()

        def run() -> Result:
            with pool.connection() as connection:
                return work(connection, *arguments)

        async with self._free:
            return await self._in_thread(run)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _connected(self) -> Pool:
        if self._pool is None:
            raise RuntimeError("the sink is not open")
        return self._pool


def _store(connection: Connection, records: Sequence[Record], packet: int) -> list[Outcome]:
    outcomes = [STALE] * len(records)
    parts = [Written(portion, packet) for portion in portions(records)]
    connection.begin()
    ask(connection, statements.lock(records))
    for part in parts:
        for index in _write(connection, part):
            outcomes[index] = APPLIED
    connection.commit()
    return outcomes


def _write(connection: Connection, part: Written) -> list[int]:
    """Write what is not older than what is stored, behind the locks; where in the batch those records stood."""
    for statement in part.yielding():
        ask(connection, statement)
    graves: dict[bytes, Order] = {}
    for statement in part.graves():
        graves |= {key: (generation, position) for key, generation, position in ask(connection, statement)}
    held = dict(graves)
    for statement in part.newer():
        for *values, generation, position in ask(connection, statement):
            held[_key(part.table, values)] = generation, position  # of a row there is no tombstone
    landing = part.landing(held)
    for statement in part.writes(landing, graves.keys()):
        ask(connection, statement)
    return [part.indices[index] for index in landing]


def _read(connection: Connection, texts: Sequence[bytes], table: Table, schema: TableSchema) -> list[StoredRow]:
    stored = storing(table, schema, value_of, plain=PLAIN)
    return [stored("", fields) for text in texts for fields in ask(connection, text)]


def _scan(pool: Pool, text: str, table: Table, schema: TableSchema) -> Generator[StoredRow]:
    """A single statement sees one moment."""
    stored = storing(table, schema, value_of, plain=PLAIN)
    with pool.scan() as connection:
        for fields in stream(connection, text):
            yield stored("", fields)


def _sums(pool: Pool, table: Table, schema: TableSchema, upto: int) -> StoredSums:
    with pool.scan() as connection:
        for statement in _SNAPSHOT:
            ask(connection, statement)
        found = ask(connection, statements.sums(table, upto))
        buried = ask(connection, statements.buried_beyond(table.target.name, upto))
        ahead = any(int(beyond) for *_, beyond in found)
        rows = ask(connection, statements.beyond(table, upto)) if ahead else ()
    beyond = {("", bytes(key)): int(bucket) for key, bucket in buried}
    beyond |= {("", _key(table, values)): bucket for *values, bucket in rows}
    sums = {bucket: BucketSum(int(count), int(h1), int(h2)) for bucket, count, h1, h2, _ in found if int(count)}
    return StoredSums(sums, beyond)


def _stamped(connection: Connection, lane: str) -> str | None:
    return _only(ask(connection, statements.stamped(lane))) if catalog.has_meta(connection) else None


def _stamp(connection: Connection, lane: str, stamp: str) -> str | None:
    catalog.ensure_meta(connection)
    connection.begin()
    before = _only(ask(connection, statements.stamped(lane, lock=True)))
    ask(connection, statements.stamp(lane, stamp))
    connection.commit()
    return before


def _expire(connection: Connection, statement: bytes) -> None:
    """In portions, so that nobody waits long for what they lock."""
    with connection.cursor() as cursor:
        while cursor.execute(statement) >= statements.EXPIRED:  # type: ignore[call-overload]
            pass


def _only(rows: Sequence[tuple[Any, ...]]) -> str | None:
    return str(rows[0][0]) if rows else None


def _key(table: Table, values: Sequence[Any]) -> bytes:
    """The canonical bytes of a key as MySQL returned it."""
    row = {column.name: value_of(column, value) for column, value in zip(table.key, values, strict=True)}
    return canonical_row(table.key, row)
