"""``tailrace search``: rows by meaning, from the vectors in PostgreSQL, as somebody who may see only what is theirs."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import click

from changes.errors import Misconfigured, Transient
from changes.target import Target
from changes.topology import Topology
from changes.topology.model import EmbedDecl
from enrichers.contract import Input
from enrichers.inputs import read
from enrichers.registry import SPECS
from enrichers.settings import Settings, settings_from
from sinks.sql.postgres import readers
from sinks.sql.postgres.errors import classify
from sinks.sql.table import quote
from tailrace.commands.common import json_option, one_version, print_json, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of

_QUERY = "query"

_VECTORS = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'vector'"
_THOROUGH = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $1, true)"
    " FROM pg_extension WHERE extname = 'vector' AND string_to_array(extversion, '.')::integer[] >= '{0,8}'"
)
"""An index by distance knows nothing of whose rows they are: where too few of the nearest may be seen, go on."""
_BREADTH = 100


@dataclass(frozen=True)
class Searched:
    """The vectors of a table and its rows in PostgreSQL, how the vectors are made, and the columns of the rows that are
    not shown unasked."""

    vectors: Target
    rows: Target
    personal: tuple[str, ...]
    decl: EmbedDecl

    @property
    def names(self) -> tuple[str, ...]:
        """Of the vectors."""
        return tuple(self.decl.vectors)


@click.command()
@topics_option
@version_option
@click.argument("text")
@click.option("--kind", required=True, help="The table whose rows to find, such as `jobs`.")
@click.option("--vector", default=None, help="Which of its named vectors; the last declared if not given.")
@click.option("--user", type=int, default=None, help="As whom: rows that belong to a user are found by that user only.")
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--personal", is_flag=True, help="Show columns that are declared personal too.")
@json_option
def search(
    topics: Path,
    version: str | None,
    text: str,
    kind: str,
    vector: str | None,
    user: int | None,
    limit: int,
    personal: bool,
    as_json: bool,
) -> None:
    """Find the rows of a table whose vectors are nearest to TEXT, by cosine distance.

    Reads as the applications' role, under row-level security.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    where = embedded(topology, chosen, kind)
    if vector is not None and vector not in where.names:
        raise click.UsageError(f"`{kind}` has no vector `{vector}`: there are {', '.join(where.names)}")
    if where.vectors.user is not None and user is None:
        raise click.UsageError(f"rows of `{kind}` belong to users: say as whom with --user")
    settings = settings_from(chosen, topology.prefix(chosen), os.environ)
    url = endpoints_of(topology, chosen)["postgres"]

    async def run() -> list[dict[str, Any]]:
        wanted = await vector_of(text, where.decl, settings)
        return await nearest(url, where, wanted, vector=vector, user=user, limit=limit, personal=personal)

    found = asyncio.run(run())
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(shown(one))


def shown(one: dict[str, Any], width: int = 160) -> str:
    """A result as a line."""
    row = ", ".join(f"{column}: {value}" for column, value in one["row"].items() if value is not None)
    return f"{one['similarity']:.3f}  {row[:width]}"


def embedded(topology: Topology, version: str, table: str) -> Searched:
    """Where the vectors and the rows of a table are. Raises `Misconfigured` where they are not in PostgreSQL."""
    rows = {target.table: target for target in topology.targets(version) if target.sink == "postgres"}
    vectors = {
        target.source: (target, decl)
        for target in topology.derived_targets(version)
        if target.sink == "postgres" and target.source in rows
        for decl in (topology.tables[target.source].enrich.get(target.of or ""),)
        if isinstance(decl, EmbedDecl)
    }
    if table not in vectors:
        known = ", ".join(sorted(vectors)) or "none"
        raise Misconfigured(f"no rows of `{table}` with vectors go to PostgreSQL: there are some of {known}")
    target, decl = vectors[table]
    personal = tuple(topology.tables[table].columns.personal)
    return Searched(target, rows[table], personal, decl)


async def nearest(
    url: str,
    where: Searched,
    wanted: Sequence[float],
    *,
    vector: str | None = None,
    user: int | None = None,
    limit: int = 5,
    personal: bool = False,
) -> list[dict[str, Any]]:
    """The rows that ``user``, or anybody where there is none, may see, nearest first, with their cosine similarity
    (-1 to 1).

    Raises `Misconfigured` where PostgreSQL does not let us read as its applications do, `Transient` where it is away.
    """
    async with reading(url, user, limit) as connection:
        await connection.set_type_codec("jsonb", encoder=str, decoder=json.loads, schema="pg_catalog")
        text = query(where, vector or where.names[-1], await connection.fetchval(_VECTORS))
        hidden = [] if personal else list(where.personal)
        found = await connection.fetch(text, "[" + ",".join(map(repr, wanted)) + "]", limit, hidden)
    return [{"similarity": round(1 - one["distance"], 6), "row": dict(one["row"])} for one in found]


@asynccontextmanager
async def reading(url: str, user: int | None, limit: int) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A read-only transaction as the applications' role, on behalf of a user, or of nobody."""
    connection = None
    try:
        connection = await asyncpg.connect(url)
        async with connection.transaction(readonly=True):
            await connection.execute(_THOROUGH, str(max(_BREADTH, 2 * limit)))
            await _take_role(connection)
            mine = "" if user is None else str(user)
            await connection.execute("SELECT set_config('app.current_user_id', $1, true)", mine)
            yield connection
    except asyncpg.PostgresError as error:
        raise classify(error.sqlstate or "XX000", str(error)) from error
    except OSError as error:
        raise Transient(f"PostgreSQL: {str(error) or type(error).__name__}") from error
    finally:
        if connection is not None:
            await connection.close()


async def _take_role(connection: "asyncpg.Connection[Any]") -> None:
    database, me = await connection.fetchrow("SELECT current_database(), current_user") or ("", "")
    role = readers(database)
    try:
        await connection.execute(f"SET LOCAL ROLE {quote(role)}")
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise Misconfigured(
            f"PostgreSQL: `search` reads as the role `{role}`, and may not: let a superuser run"
            f" CREATE ROLE {quote(role)} NOLOGIN; GRANT {quote(role)} TO {quote(me)};"
            " and start `tailrace run` anew, which lets the role read"
        ) from error


def query(where: Searched, vector: str, schema: str) -> str:
    """Binds the vector's text, how many rows, and the columns to leave out.

    Twice as many vectors as rows are taken: for a moment a vector may be there without its row. Of a row's chunks the
    nearest counts. ``schema`` is that of the extension.
    """
    near = f"d.{quote(vector)} OPERATOR({schema}.<=>) $1::text::{schema}.vector"
    names = [quote(name) for name in where.rows.key]
    own = ", ".join(names)
    keys, same = ", ".join(f"d.{name}" for name in names), " AND ".join(f"r.{name} = n.{name}" for name in names)
    return (
        f"SELECT to_jsonb(r) - $3::text[] AS row, n.distance"  # noqa: S608 - names are quoted
        f" FROM (SELECT {own}, min(d.distance) AS distance FROM (SELECT {keys}, {near} AS distance"
        f" FROM public.{quote(where.vectors.place)} d"
        f" WHERE d.{quote(vector)} IS NOT NULL ORDER BY {near} LIMIT 2 * $2::integer) d GROUP BY {own}) n"
        f" JOIN public.{quote(where.rows.place)} r ON {same} ORDER BY n.distance LIMIT $2::integer"
    )


async def vector_of(text: str, decl: EmbedDecl, settings: Settings) -> list[float]:
    """The text's vector, by the model of ``decl``. Raises `Misconfigured` for an empty text, and where the model's
    endpoint gives none."""
    query = EmbedDecl(kind="embed", model=decl.model, dims=decl.dims, vectors={_QUERY: [_QUERY]})
    enricher = SPECS["embed"].build(query, settings)
    try:
        input_: Input = read([_QUERY], {_QUERY: text})
        (output,) = await enricher.run([input_])
    finally:
        await enricher.close()
    numbers = output.columns[_QUERY]
    if output.degraded:
        raise Misconfigured(f"the endpoint of `{decl.model}` gives no vector of the text now")
    if not isinstance(numbers, list):
        raise Misconfigured("there is nothing to search for in an empty text")
    return numbers
