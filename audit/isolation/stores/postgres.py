"""PostgreSQL: the vector store and AI identity."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search
from changes.errors import Transient
from sinks.sql.postgres.errors import classify

_SCHEMA = "tailrace_canary"
_SECONDS = 10.0
_TOLD = 1000
_AWAY = (OSError, TimeoutError, asyncpg.InterfaceError)

T = TypeVar("T")


def enter(url: str) -> Answer:
    try:
        _run(url, _nothing)
    except asyncpg.InvalidAuthorizationSpecificationError as error:  # a wrong password is one of these
        return Answer("refused", str(error))
    except (asyncpg.InsufficientPrivilegeError, asyncpg.InvalidCatalogNameError) as error:
        return Answer("barred", str(error))
    except (*_AWAY, asyncpg.PostgresError) as error:
        return Answer("unknown", str(error) or type(error).__name__)
    return INSIDE


def plant(url: str, token: str) -> None:
    async def planted(connection: asyncpg.Connection) -> None:
        await connection.execute(
            f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA};"
            f"CREATE TABLE IF NOT EXISTS {_SCHEMA}.canary (token text PRIMARY KEY)"
        )
        await connection.execute(f"INSERT INTO {_SCHEMA}.canary VALUES ($1)", token)  # noqa: S608

    _translated(url, planted)


def remove(url: str) -> None:
    async def removed(connection: asyncpg.Connection) -> None:
        await connection.execute("SET client_min_messages TO warning")
        await connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")

    _translated(url, removed)


def search(url: str, tokens: Sequence[str]) -> Found:
    """Every table of the database, as text; the server compares, and refuses to leave rows out in silence."""
    seen = Search(tokens)

    async def searched(connection: asyncpg.Connection) -> None:
        await connection.execute("SET row_security TO off")
        tables = await connection.fetch(
            "SELECT n.nspname AS schema, c.relname AS name, format('%I.%I', n.nspname, c.relname) AS quoted"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm')"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%'"
        )
        for table in tables:
            where = f"table `{table['schema']}.{table['name']}`"
            # bytes are written in hexadecimal digits
            query = (
                f"SELECT t::text AS row FROM {table['quoted']} t"  # noqa: S608
                f" WHERE strpos(t::text, $1) > 0 OR strpos(t::text, $2) > 0 LIMIT {_TOLD}"
            )
            try:
                seen.count(await connection.fetchval(f"SELECT count(*) FROM {table['quoted']}"))  # noqa: S608
                rows = await connection.fetch(query, seen.needle, seen.needle.encode().hex())
            except asyncpg.InsufficientPrivilegeError as error:
                seen.leave(f"{where}: {error}")
                continue
            for row in rows:
                in_bytes = [token for token in tokens if token.encode().hex() in row["row"]]
                seen.see(where, row["row"], in_bytes, counted=False)

    _translated(url, searched)
    return seen.found()


async def _nothing(_: asyncpg.Connection) -> None:
    """To have been let in is all."""


def _translated(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    try:
        return _run(url, work)
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "", str(error)) from error
    except _AWAY as error:
        raise Transient(f"PostgreSQL: {error or type(error).__name__}") from error


def _run(url: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """In a loop of its own: whoever calls is a thread without one."""

    async def run() -> T:
        connection = await asyncpg.connect(url, timeout=_SECONDS)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=_SECONDS)

    return asyncio.run(run())
