"""What models and rules have made of rows by now: how many results each table has in PostgreSQL."""

from collections.abc import Mapping, Sequence

import asyncpg

from changes.errors import Transient
from changes.target import Target
from changes.topology import Topology
from changes.topology.model import EmbedDecl
from sinks.sql.postgres.ddl import SCHEMA
from sinks.sql.postgres.errors import classify
from sinks.sql.table import quote

KINDS = ("vectors", "analyses")

Made = Mapping[str, Mapping[str, int]]
"""By table and by kind, of `KINDS`, how many rows have a result; kinds that are not declared are left out."""


async def made(url: str, topology: Topology, version: str) -> Made:
    """Raises `Transient` where PostgreSQL cannot be reached."""
    targets = [target for target in topology.derived_targets(version) if target.sink == "postgres"]
    try:
        connection = await asyncpg.connect(url)
        try:
            counts = [await _count(connection, target) for target in targets]
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "XX000", str(error)) from error
    except (OSError, TimeoutError) as error:
        raise Transient(f"PostgreSQL: {str(error) or type(error).__name__}") from error
    return _by_table(topology, targets, counts)


async def _count(connection: "asyncpg.Connection[asyncpg.Record]", target: Target) -> int:
    """None where the table has not been made yet."""
    base = f"{SCHEMA}.{quote(target.place)}"
    if await connection.fetchval("SELECT to_regclass($1)", base) is None:
        return 0
    return int(await connection.fetchval(f"SELECT count(*) FROM {base}"))  # noqa: S608 - the name is quoted


def _by_table(topology: Topology, targets: Sequence[Target], counts: Sequence[int]) -> Made:
    found: dict[str, dict[str, int]] = {}
    for target, count in zip(targets, counts, strict=True):
        decl = topology.tables[target.source].enrich[target.of or ""]
        kind = KINDS[0] if isinstance(decl, EmbedDecl) else KINDS[1]
        found.setdefault(target.source, {})[kind] = count
    return found


def told(made: Made) -> str:
    """The sums in words: ``320 vectors and 900 analyses``."""
    sums = {kind: sum(one.get(kind, 0) for one in made.values()) for kind in KINDS}
    return " and ".join(f"{count} {kind}" for kind, count in sums.items())
