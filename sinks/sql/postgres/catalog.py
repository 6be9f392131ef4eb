"""Looking up what a database holds, and bringing it to what the tables need."""

from collections.abc import Sequence

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from changes.errors import Misconfigured
from sinks.sql.postgres import ddl, readers
from sinks.sql.table import Table, quote

_DDL_LOCK = 0x7461696C72616365  # "tailrace" in ASCII: one process at a time creates and widens
_OLDEST = 150000  # views that run with their reader's rights came with PostgreSQL 15

_COLUMNS = (
    "SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
    " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)
_KEY = (
    "SELECT a.attname FROM pg_index AS i CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)"
    " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number"
    " WHERE i.indrelid = to_regclass($1) AND i.indisprimary ORDER BY k.place"
)
_SAFE = "SELECT 'security_invoker=true' = ANY (reloptions) FROM pg_class WHERE oid = to_regclass($1)"
_SECURED = "SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass($1)"
_INDEXES = (
    "SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass($1)"
)
_VECTORS = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
_POLICIES = "SELECT polname FROM pg_policy WHERE polrelid = to_regclass($1)"
_READERS = "SELECT true FROM pg_roles WHERE rolname = $1"
_MAY_READ = (
    "SELECT has_schema_privilege($1, $2, 'USAGE') AND has_table_privilege($1, $3, 'SELECT')"
    " AND has_table_privilege($1, $4, 'SELECT')"
)


async def ensure(connection: PoolConnectionProxy, tables: Sequence[Table]) -> None:
    """Create or widen what ``tables`` need, in one transaction that only one process runs at a time."""
    if connection.get_server_version().major * 10000 < _OLDEST:
        raise Misconfigured(f"PostgreSQL {connection.get_server_version().major} is too old: 15 or newer is needed")
    async with connection.transaction():
        await alone(connection)
        if await connection.fetchval("SELECT to_regclass($1)", ddl.SIDE_TABLE) is None:
            for statement in ddl.SETUP:
                await connection.execute(statement)
        elif "gen" not in await columns(connection, ddl.SIDE_TABLE):
            await connection.execute(ddl.WIDEN_SETUP)
        for table in tables:
            for statement in ddl.plan(table, await _find(connection, table)):
                await connection.execute(statement)
        if (role := await _readers(connection)) is not None:
            for table in tables:
                await _grant(connection, table, role)


async def alone(connection: PoolConnectionProxy) -> None:
    """Until the transaction ends, nobody else creates, widens or exchanges."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _DDL_LOCK)


async def has_meta(connection: PoolConnectionProxy) -> bool:
    """Whether the database keeps stamps."""
    return await connection.fetchval("SELECT to_regclass($1)", ddl.META_TABLE) is not None


async def ensure_meta(connection: PoolConnectionProxy) -> None:
    """Create the table of stamps where there is none."""
    if await has_meta(connection):
        return
    async with connection.transaction():
        await alone(connection)
        for statement in ddl.META_SETUP:
            await connection.execute(statement)


async def _find(connection: PoolConnectionProxy, table: Table) -> ddl.Found:
    base, view = ddl.base(table), ddl.view(table)
    return ddl.Found(
        columns=await columns(connection, base),
        key=tuple(name for (name,) in await connection.fetch(_KEY, base)),
        view=tuple(await columns(connection, view)),
        safe=bool(await connection.fetchval(_SAFE, view)),
        secured=await secured(connection, base),
        policies=tuple(sorted(await policies(connection, base))),
        indexes=tuple(sorted(await indexes(connection, base))),
        vectors=await connection.fetchval(_VECTORS),
    )


async def columns(connection: PoolConnectionProxy, relation: str) -> dict[str, str]:
    """The columns of a table or view with their types, in their order; none where it does not exist."""
    return {found["name"]: found["type"] for found in await connection.fetch(_COLUMNS, relation)}


async def secured(connection: PoolConnectionProxy, relation: str) -> bool:
    """Whether readers see some rows only."""
    return bool(await connection.fetchval(_SECURED, relation))


async def policies(connection: PoolConnectionProxy, relation: str) -> set[str]:
    return {name for (name,) in await connection.fetch(_POLICIES, relation)}


async def indexes(connection: PoolConnectionProxy, relation: str) -> set[str]:
    return {name for (name,) in await connection.fetch(_INDEXES, relation)}


async def _readers(connection: PoolConnectionProxy) -> str | None:
    """The role `readers`, made where we may make roles, and ourselves in it: `tailrace search` reads as nobody more.

    ``None`` where it is missing and we may not: whoever may, creates it.
    """
    name = readers(await connection.fetchval("SELECT current_database()"))
    if await connection.fetchval(_READERS, name):
        return name
    try:
        async with connection.transaction():
            await connection.execute(f"CREATE ROLE {quote(name)} NOLOGIN")
            await connection.execute(f"GRANT {quote(name)} TO CURRENT_USER")
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReservedNameError):
        return None
    return name


async def _grant(connection: PoolConnectionProxy, table: Table, role: str) -> None:
    if await connection.fetchval(_MAY_READ, role, ddl.SCHEMA, ddl.base(table), ddl.view(table)):
        return
    await connection.execute(f"GRANT USAGE ON SCHEMA {ddl.SCHEMA} TO {quote(role)}")
    await connection.execute(f"GRANT SELECT ON {ddl.base(table)}, {ddl.view(table)} TO {quote(role)}")
