"""Looking up which indexes and constraints a database has, and making those that the tables need."""

from collections.abc import Sequence

from neo4j import AsyncSession
from neo4j.exceptions import Neo4jError

from sinks.neo4j import statements
from sinks.neo4j.errors import THERE
from sinks.sql.table import Table

_ONLINE_S = 600


async def ensure(session: AsyncSession, tables: Sequence[Table]) -> None:
    """Make what is missing, and wait until it can be used. Nothing is ever dropped.

    Two processes may both find something missing; the one that comes second is told that it is there.
    """
    there = {record[0] for record in await (await session.run(statements.NAMES)).fetch(1 << 20)}
    wanted = dict(statements.SETUP)
    for table in tables:
        wanted |= statements.setup(table)
    missing = {name: what for name, what in wanted.items() if name not in there}
    for name, what in missing.items():
        try:
            await (await session.run(statements.create(name, what))).consume()
        except Neo4jError as error:
            if error.code not in THERE:
                raise
    if missing:
        await (await session.run(statements.AWAIT, {"seconds": _ONLINE_S})).consume()


async def types(session: AsyncSession, table: Table) -> list[str]:
    """The types of all relationships that rows of a table have made or may make from now on: those of an earlier
    declaration go when their row is next written."""
    name, declared = table.target.name, list(statements.types_of(table))
    found = await (await session.run(statements.TYPES, {"target": name})).values()
    known = list(found[0][0]) if found else []
    if not set(declared) <= set(known):
        result = await session.run(statements.ADD_TYPES, {"target": name, "types": declared})
        ((known,),) = await result.values()
    return known
