"""PostgreSQL: every row of every table that the user may read, in any schema."""

import asyncpg

from audit.search.found import Found
from audit.search.needles import Needles
from changes.errors import Misconfigured, Transient
from sinks.sql.postgres.errors import classify
from sinks.sql.table import quote

_PAGE = 500
_TABLES = (
    "SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid)"
    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " ORDER BY 1, 2"
)


async def find(url: str, needles: Needles) -> Found:
    """Raises `Transient` or `Misconfigured`. A table is read as its rows' text, in which bytes are hexadecimal."""
    found = Found("postgres", needles)
    try:
        connection = await asyncpg.connect(
            url, timeout=10.0, command_timeout=300.0, server_settings={"application_name": "tailrace"}
        )
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured("PostgreSQL: the URL cannot be read") from error
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "XX000", str(error)) from error
    except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise Transient(f"PostgreSQL: {error or type(error).__name__}") from error
    try:
        for schema, table, readable in await connection.fetch(_TABLES):
            name = f"{schema}.{table}"
            if readable:
                await _table(connection, f"{quote(schema)}.{quote(table)}", name, found)
            else:
                found.leave(f"`{name}` may not be read whole")
    except asyncpg.UndefinedTableError:
        raise Transient("PostgreSQL: a table was dropped while it was looked through") from None
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "XX000", str(error)) from error
    except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise Transient(f"PostgreSQL: {error or type(error).__name__}") from error
    finally:
        connection.terminate()
    return found.end()


async def _table(connection: asyncpg.Connection, quoted: str, name: str, found: Found) -> None:
    query = f"SELECT t.ctid::text, t::text FROM {quoted} AS t"  # noqa: S608 - names are quoted
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for place, text in connection.cursor(query, prefetch=_PAGE):
            found.look(f"{name} {place}", text.encode())
