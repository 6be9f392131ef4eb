"""One PostgreSQL database as enrichment uses it: a small pool, opened when first needed, and errors as ours."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from changes.errors import Misconfigured, TailraceError, Transient

_DDL_LOCK = 0x7461696C72616365  # "tailrace" in ASCII: the PostgreSQL sink's, which makes the same schema
_MISCONFIGURED = ("28", "3D", "3F", "42")  # refused, no such database, schema or table, or not allowed
_SCHEMA = "CREATE SCHEMA IF NOT EXISTS tailrace"


class Database:
    """``setup`` is run once, one process at a time, before the first statement. Statements that nobody else may see
    half of are one statement each: there are no transactions here."""

    def __init__(self, url: str, setup: Sequence[str], *, connections: int = 2, timeout: float = 30.0) -> None:
        self._url = url
        self._setup = (_SCHEMA, *setup)
        self._connections = connections
        self._timeout = timeout
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Raises `Transient` where nothing is known about the outcome, `Misconfigured` where we are refused."""
        async with _translated():
            pool = await self._opened()
            found: list[asyncpg.Record] = await pool.fetch(statement, *arguments)
            return found

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), timeout=5.0)
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                pool = await self._connect()
                try:
                    async with pool.acquire() as connection, connection.transaction():
                        await connection.execute("SELECT pg_advisory_xact_lock($1)", _DDL_LOCK)
                        for statement in self._setup:
                            await connection.execute(statement)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
            return self._pool

    async def _connect(self) -> asyncpg.Pool:
        try:
            return await asyncpg.create_pool(
                self._url,
                min_size=1,  # so that a URL that cannot be read is told here
                max_size=self._connections,
                command_timeout=self._timeout,
                timeout=10.0,
                server_settings={"application_name": "tailrace", "search_path": "pg_catalog", "timezone": "UTC"},
                reset=_nothing,
            )
        except ValueError:  # its text may hold a part of the password
            raise Misconfigured(
                "PostgreSQL: the URL cannot be read: it looks like `postgresql://user:password@host:port/database`"
            ) from None


async def _nothing(connection: asyncpg.Connection) -> None:
    """No statement here changes its session; resetting a connection would cost a round trip each time."""


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _classified(error) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        raise Transient(f"PostgreSQL: {str(error) or type(error).__name__}") from error


def _classified(error: asyncpg.PostgresError) -> TailraceError:
    state = error.sqlstate or "XX000"
    kind = Misconfigured if state.startswith(_MISCONFIGURED) else Transient
    return kind(f"PostgreSQL: {error} (SQLSTATE {state})")
