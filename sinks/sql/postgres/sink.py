"""The PostgreSQL sink's I/O, over asyncpg."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import Key, key_of
from changes.record import APPLIED, STALE, BucketSum, Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from sinks.contract import Exchange, Swap
from sinks.fold import fold
from sinks.isolate import isolate
from sinks.sql.postgres import catalog, exchange, statements
from sinks.sql.postgres.ddl import EXPIRE, STAMP, STAMPED
from sinks.sql.postgres.errors import classify
from sinks.sql.postgres.types import is_wide, value_of
from sinks.sql.stored import storing
from sinks.sql.table import portions, table_of

_SETTINGS = {
    "application_name": "tailrace",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "search_path": "pg_catalog",
    # A plan made for a portion of ten rows would join one of five thousand by nested loops.
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "lock_timeout": "20s",
    # A process that is stopped in mid-transaction must not hold its locks for ever.
    "idle_in_transaction_session_timeout": "60s",
}
_EXPIRE_EVERY = 3600.0
_PAGE = 1000
_LONGEST = 3600.0


class PostgresSink:
    """Any number of targets in one database, over at most ``connections`` connections.

    A batch is one transaction; only where a record is refused it is split into several. ``clock`` gives seconds
    and never goes back; tombstones that have outlived their target's ``tombstones_for`` go at `open` and hourly.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 4,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._connections = connections
        self._timeout = timeout
        self._clock = clock
        self._pool: asyncpg.Pool | None = None
        self._targets: dict[str, Target] = {}
        self._expired_at = 0.0

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        planned = [table_of(target, schema) for target, schema in tables]
        with _translated():
            if self._pool is None:
                self._pool = await self._connect()
            async with self._pool.acquire() as connection:
                await catalog.ensure(connection, planned)
        self._targets.update({table.target.name: table.target for table in planned})
        await self._expire()

    async def _connect(self) -> asyncpg.Pool:
        try:
            return await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                command_timeout=self._timeout,
                max_cacheable_statement_size=0,
                timeout=10.0,
                server_settings=_SETTINGS,
                init=_durable,
                reset=_nothing,
            )
        except ValueError as error:  # its text may hold a part of the password
            raise Misconfigured(
                "PostgreSQL: the URL cannot be read: it looks like `postgresql://user:password@host:port/database`"
            ) from error

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._clock() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._isolate)

    async def _isolate(self, records: Sequence[Record]) -> list[Outcome]:
        try:
            return await isolate(records, self._attempt)
        except Transient:
            # Whatever befell one connection, such as a firewall that forgot it, may have befallen the others.
            await self._connected().expire_connections()
            raise

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows in one transaction; raises `Rejected` where it was rolled back."""
        outcomes = [STALE] * len(records)
        with _translated():
            async with (
                self._connected().acquire() as connection,
                _begun(connection, statements.begin(records)),
            ):
                for portion in portions(records):
                    texts = statements.statements_of(portion.table)
                    if over := portion.over:
                        await connection.execute(texts.forget, *statements.forget_arguments(portion.table, over))
                    if portion.upserts:
                        landed = await connection.fetchval(texts.upsert, *statements.upsert_arguments(portion))
                        ordinals: Sequence[int] = range(1, len(portion.upserts) + 1)
                        if landed < len(portion.upserts):
                            arguments = statements.landed_arguments(portion)
                            ordinals = [found for (found,) in await connection.fetch(texts.landed, *arguments)]
                        for ordinal in ordinals:
                            outcomes[portion.upserted[ordinal - 1]] = APPLIED
                    if portion.deletes:
                        arguments = statements.delete_arguments(portion)
                        for (ordinal,) in await connection.fetch(texts.delete, *arguments):
                            outcomes[portion.deleted[ordinal - 1]] = APPLIED
        return outcomes

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        table = table_of(target, schema)
        found: list[StoredRow | None] = [None] * len(wanted)
        stored = storing(table, schema, value_of, is_wide)
        arguments = statements.key_arguments(table, [key for _, key in wanted])
        with _translated():
            async with self._connected().acquire() as connection:
                for ordinal, *fields in await connection.fetch(statements.statements_of(table).read, *arguments):
                    found[ordinal - 1] = stored("", fields)
        return found

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        table = table_of(target, schema)
        texts, stored = statements.statements_of(table), storing(table, schema, value_of, is_wide)
        text, arguments = (texts.scan, ()) if buckets is None else (texts.some, (list(buckets),))
        with _translated():
            async with (
                self._connected().acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                # Whoever compares rows may take its time between two of them.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                cursor = await connection.cursor(text, *arguments)
                while page := await cursor.fetch(_PAGE):
                    for fields in page:
                        yield stored("", tuple(fields))

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        table = table_of(target, schema)
        texts = statements.statements_of(table)
        with _translated():
            async with (
                self._connected().acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                # As long as a large table takes.
                found = await connection.fetch(texts.sums, upto, timeout=_LONGEST)
                buried = await connection.fetch(statements.BURIED_BEYOND, target.name, upto, timeout=_LONGEST)
                # A row that this transaction sees stays where it is for as long as it lasts.
                places = [place for *_, beyond in found for place in beyond or ()]
                rows = await connection.fetch(texts.beyond, places, timeout=_LONGEST) if places else []
        beyond = {("", bytes(key)): int(bucket) for key, bucket in buried}
        for *values, bucket in rows:
            key = {column.name: value_of(column, value) for column, value in zip(table.key, values, strict=True)}
            beyond["", key_of(schema, key).canonical] = bucket
        sums = {bucket: BucketSum(count, int(h1), int(h2)) for bucket, count, h1, h2, _ in found if count}
        return StoredSums(sums, beyond)

    async def stamp(self, lane: str, stamp: str) -> str | None:
        with _translated():
            async with self._connected().acquire() as connection:
                await catalog.ensure_meta(connection)
                replaced: str | None = await connection.fetchval(STAMP, lane, stamp)
                return replaced

    async def stamped(self, lane: str) -> str | None:
        with _translated():
            async with self._connected().acquire() as connection:
                if not await catalog.has_meta(connection):
                    return None
                found: str | None = await connection.fetchval(STAMPED, lane)
                return found

    @asynccontextmanager
    async def held(self, swaps: Sequence[Swap]) -> AsyncIterator[Exchange]:
        with _translated():
            async with (
                self._connected().acquire() as connection,
                _begun(connection, exchange.hold(swaps)),
            ):
                yield lambda: exchange.exchange(connection, swaps)

    async def exchanged(self, swaps: Sequence[Swap]) -> bool:
        with _translated():
            async with self._connected().acquire() as connection:
                return await exchange.exchanged(connection, swaps)

    async def drop(self, targets: Sequence[Target]) -> None:
        with _translated():
            async with self._connected().acquire() as connection, connection.transaction():
                await catalog.alone(connection)
                await exchange.drop(connection, [target.place for target in targets])

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), timeout=5.0)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    async def _expire(self) -> None:
        with _translated():
            async with self._connected().acquire() as connection:
                for target in self._targets.values():
                    await connection.execute(EXPIRE, target.name, float(target.tombstones_for))
        self._expired_at = self._clock()

    def _connected(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the sink is not open")
        return self._pool


@contextmanager
def _translated() -> Iterator[None]:
    """asyncpg's errors as ours; no message holds the connection's URL."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "XX000", str(error)) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
            # What the driver cannot write as the type that its column wants.
            raise Rejected(f"PostgreSQL: {error}") from error
        raise Transient(f"PostgreSQL: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def _begun(connection: asyncpg.pool.PoolConnectionProxy, begin: str) -> AsyncIterator[None]:
    """A transaction begun by the statements of ``begin``, which go to the server at once; rolled back unless all
    went well."""
    committed = False
    try:
        await connection.execute(begin)
        yield
        await connection.execute("COMMIT")
        committed = True
    except TimeoutError:  # it may never answer again, and a rollback would wait for as long once more
        connection.terminate()
        raise
    finally:
        if not committed and not connection.is_closed():
            await connection.execute("ROLLBACK")


async def _durable(connection: asyncpg.Connection) -> None:
    """A commit that was answered is on disk, whatever the server's default; a stricter one is left alone."""
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


async def _nothing(connection: asyncpg.Connection) -> None:
    """All that is set here lives as long as a transaction; resetting a connection would cost a round trip."""
