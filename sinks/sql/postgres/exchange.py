"""Exchanging tables under one name: in the transaction that holds the locks of all writers of the live ones.

A view that applications read stays the view that it is wherever its columns allow it, with all that was granted on it
and made of it; it reads the new table from then on.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers and marks for bound values

from collections.abc import Sequence

from asyncpg.pool import PoolConnectionProxy

from changes.errors import Misconfigured
from sinks.contract import Swap
from sinks.sql.locks import every_lock
from sinks.sql.postgres import catalog, ddl
from sinks.sql.postgres.ddl import base_of as base
from sinks.sql.table import quote

_LOCK_TIMEOUT = "5s"
"""How long readers of a table are waited for; those that come meanwhile wait behind us."""

_GRANTS = (
    "SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type, a.is_grantable"
    " FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner"
)


def hold(swaps: Sequence[Swap]) -> str:
    """What begins a transaction for as long as which nobody else writes to the live places."""
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; {_locks([swap.live.name for swap in swaps])}"


def _locks(targets: Sequence[str]) -> str:
    pairs = ", ".join(f"({target}, {part})" for target, part in every_lock(targets))
    return f"SELECT pg_advisory_xact_lock(l.target, l.part) FROM (VALUES {pairs}) AS l (target, part)"


async def exchanged(connection: PoolConnectionProxy, swaps: Sequence[Swap]) -> bool:
    places = [base(swap.kept.place) for swap in swaps]
    return all([await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", place) for place in places])


async def exchange(connection: PoolConnectionProxy, swaps: Sequence[Swap]) -> None:
    """Within the transaction of `hold`; nothing where it was done before."""
    if await exchanged(connection, swaps):
        return
    await connection.execute(_locks([swap.shadow.name for swap in swaps]))
    await catalog.alone(connection)
    await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
    for swap in swaps:
        await _exchange(connection, swap.live.place, swap.shadow.place, swap.kept.place)


async def _exchange(connection: PoolConnectionProxy, live: str, shadow: str, kept: str) -> None:
    await _check_security(connection, live, shadow)
    view = await catalog.columns(connection, ddl.view_of(live))
    shown = await catalog.columns(connection, ddl.view_of(shadow))
    granted, granted_view = [await _grants(connection, name) for name in (base(live), ddl.view_of(live))]
    await _rename(connection, live, kept)
    await _rename(connection, shadow, live)
    await connection.execute(f"DROP VIEW {ddl.view_of(shadow)}")
    if list(shown.items())[: len(view)] != list(view.items()):
        await connection.execute(f"DROP VIEW IF EXISTS {ddl.view_of(live)}")
    await connection.execute(ddl.create_view(live, list(shown)))
    for name, grants in ((base(live), granted), (ddl.view_of(live), granted_view)):
        for grantee, privilege, passed_on in grants:
            more = " WITH GRANT OPTION" if passed_on else ""
            await connection.execute(f"GRANT {privilege} ON {name} TO {grantee}{more}")
    await connection.execute(f"DELETE FROM {ddl.SIDE_TABLE} WHERE target = $1", live)
    await connection.execute(f"UPDATE {ddl.SIDE_TABLE} SET target = $1 WHERE target = $2", live, shadow)


async def _check_security(connection: PoolConnectionProxy, live: str, shadow: str) -> None:
    """What a reader may not see, he may not see behind it either."""
    lacking = await catalog.policies(connection, base(live)) - await catalog.policies(connection, base(shadow))
    if lacking:
        raise Misconfigured(
            f"PostgreSQL: {base(live)} has policies that {base(shadow)} has not: {', '.join(sorted(lacking))}."
            " Make them there too, or drop them"
        )
    if await catalog.secured(connection, base(live)) and not await catalog.secured(connection, base(shadow)):
        raise Misconfigured(
            f"PostgreSQL: {base(live)} has row-level security and {base(shadow)} has not: ALTER TABLE {base(shadow)}"
            f" ENABLE ROW LEVEL SECURITY, or ALTER TABLE {base(live)} DISABLE ROW LEVEL SECURITY"
        )


async def _rename(connection: PoolConnectionProxy, place: str, to: str) -> None:
    """A table, and the indexes that are known by its name."""
    there = await catalog.indexes(connection, base(place))
    named = [
        (ddl.index_name(place, column, kind), ddl.index_name(to, column, kind))
        for column in await catalog.columns(connection, base(place))
        for kind in ("hnsw", "user")
    ]
    await connection.execute(f"ALTER TABLE {base(place)} RENAME TO {quote(to)}")
    for old, new in named:
        if old in there:
            await connection.execute(f"ALTER INDEX {ddl.SCHEMA}.{quote(old)} RENAME TO {quote(new)}")


async def _grants(connection: PoolConnectionProxy, relation: str) -> list[tuple[str, str, bool]]:
    """What others than its owner may do, as a statement names them."""
    found = await connection.fetch(_GRANTS, relation)
    return [(grantee, privilege, passed_on) for grantee, privilege, passed_on in found]


async def drop(connection: PoolConnectionProxy, places: Sequence[str]) -> None:
    for place in places:
        await connection.execute(f"DROP VIEW IF EXISTS {ddl.view_of(place)}")
        await connection.execute(f"DROP TABLE IF EXISTS {base(place)}")
        if await connection.fetchval("SELECT to_regclass($1)", ddl.SIDE_TABLE) is not None:
            await connection.execute(f"DELETE FROM {ddl.SIDE_TABLE} WHERE target = $1", place)
