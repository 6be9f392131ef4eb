"""``tailrace search``: rows by meaning, from the vectors in PostgreSQL."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import asyncpg
import click

from changes.errors import Misconfigured
from changes.target import Target
from changes.topology import Topology
from changes.topology.model import EmbedDecl
from enrichers.contract import Input
from enrichers.inputs import read
from enrichers.registry import SPECS
from enrichers.settings import Settings, settings_from
from tailrace.commands.common import json_option, one_version, print_json, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of

_QUERY = "query"


@click.command()
@topics_option
@version_option
@click.argument("text")
@click.option("--kind", required=True, help="The table whose rows to find, such as `jobs`.")
@click.option("--vector", default=None, help="Which of its named vectors; the last declared if not given.")
@click.option("--user", type=int, default=None, help="As whom: rows that belong to a user are found by that user only.")
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True)
@json_option
def search(
    topics: Path,
    version: str | None,
    text: str,
    kind: str,
    vector: str | None,
    user: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Find the rows of a table whose vectors are nearest to TEXT, by cosine distance."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    target, decl = embedded(topology, chosen, kind)
    name = vector or list(decl.vectors)[-1]
    if name not in decl.vectors:
        raise click.UsageError(f"`{kind}` has no vector `{name}`: there are {', '.join(decl.vectors)}")
    if target.user is not None and user is None:
        raise click.UsageError(f"rows of `{kind}` belong to users: say as whom with --user")
    settings = settings_from(chosen, topology.prefix(chosen), os.environ)
    url = endpoints_of(topology, chosen)["postgres"]
    found = asyncio.run(nearest(url, settings, target, name, text, user=user, limit=limit))
    if as_json:
        print_json(found)
        return
    for one in found:
        row = ", ".join(f"{column}: {value}" for column, value in one["row"].items() if value is not None)
        click.echo(f"{one['similarity']:.3f}  {row[:160]}")


def embedded(topology: Topology, version: str, table: str) -> tuple[Target, EmbedDecl]:
    """Where the vectors of a table are in PostgreSQL. Raises `Misconfigured` where there are none."""
    for target in topology.derived_targets(version):
        decl = topology.tables[target.source].enrich.get(target.of or "")
        if target.source == table and target.sink == "postgres" and isinstance(decl, EmbedDecl):
            return target, decl
    known = sorted({t.source for t in topology.derived_targets(version) if t.sink == "postgres"})
    raise Misconfigured(f"no vectors of `{table}` go to PostgreSQL: there are some of {', '.join(known)}")


async def nearest(
    url: str, settings: Settings, target: Target, vector: str, text: str, *, user: int | None, limit: int
) -> list[dict[str, Any]]:
    """The rows, nearest first, with their cosine similarity (-1 to 1)."""
    wanted = await _vector_of(text, settings)
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(readonly=True):
            await connection.execute(
                "SELECT set_config('app.current_user_id', $1, true)", "" if user is None else str(user)
            )
            return [
                {"similarity": round(1 - row["distance"], 6), "row": dict(row["row"])}
                for row in await _query(connection, target, vector, wanted, user, limit)
            ]
    finally:
        await connection.close()


async def _query(
    connection: "asyncpg.Connection[Any]", target: Target, vector: str, wanted: str, user: int | None, limit: int
) -> list[Any]:
    await connection.set_type_codec("jsonb", encoder=str, decoder=json.loads, schema="pg_catalog")
    keys = " AND ".join(f"r.{_quoted(name)} = d.{_quoted(name)}" for name in target.key)
    mine = "" if target.user is None else f" AND d.{_quoted(target.user)} = {int(user or 0)}"
    sql = (
        f"SELECT to_jsonb(r) AS row, d.{_quoted(vector)} <=> $1::vector AS distance"  # noqa: S608 - names are quoted
        f" FROM public.{_quoted(target.place)} d JOIN public.{_quoted(target.source)} r ON {keys}"
        f" WHERE d.{_quoted(vector)} IS NOT NULL{mine}"
        f" ORDER BY d.{_quoted(vector)} <=> $1::vector LIMIT $2"
    )
    return list(await connection.fetch(sql, wanted, limit))


async def _vector_of(text: str, settings: Settings) -> str:
    """The text's vector as pgvector reads it."""
    enricher = SPECS["embed"].build(EmbedDecl(kind="embed", vectors={_QUERY: [_QUERY]}), settings)
    try:
        input_: Input = read([_QUERY], {_QUERY: text})
        (output,) = await enricher.run([input_])
    finally:
        await enricher.close()
    numbers = output.columns[_QUERY]
    if not isinstance(numbers, list):
        raise Misconfigured("there is nothing to search for in an empty text")
    return "[" + ",".join(repr(number) for number in numbers) + "]"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
