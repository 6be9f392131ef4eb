"""``tailrace reenrich``: have what models make of rows made again."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from changes.topology import Topology
from enrichers.cache import open_cache
from enrichers.registry import SPECS
from enrichers.settings import settings_from
from streams.capture.requests import send
from streams.enrich.again import Due, asked, due, needed
from streams.enrich.derive import plan_of
from streams.enrich.said import Said
from streams.kafka import KafkaUrl
from tailrace.commands.common import json_option, one_version, print_json, say, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.command()
@topics_option
@version_option
@click.argument("table")
@click.option("--enricher", "names", multiple=True, help="Only this one's results; may be given again.")
@click.option("--degraded", is_flag=True, help="Only results that were made by lesser means than declared.")
@click.option("--dry-run", is_flag=True, help="Only say how many rows that concerns, and what it may take.")
@json_option
def reenrich(
    topics: Path,
    version: str | None,
    table: str,
    names: tuple[str, ...],
    degraded: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tell again what is made of a TABLE's rows; models are asked where the cache has no answer.

    Every row that it concerns is read again in the order of the stream, and what is made of it is emitted at that
    position. The estimate counts answers of the endpoint that is declared first.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    known = topology.tables[table].enrich if table in topology.tables else {}
    if not known:
        raise click.UsageError(f"table `{table}` has no enrichers in {topics}")
    for name in names:
        if name not in known:
            raise click.UsageError(f"table `{table}` has no enricher `{name}`: there are {', '.join(known)}")
    found = asyncio.run(_again(topology, chosen, table, names or tuple(known), degraded, dry_run))
    if as_json:
        print_json(
            {"version": chosen, "table": table, "asked": not dry_run, "enrichers": [asdict(one) for one in found]}
        )
        return
    for one in found:
        say(
            f"{table}.{one.enricher}: {one.rows} rows, {one.known} of them cached; "
            f"about {one.tokens} tokens, cost {one.cost:.4f}"
        )


async def _again(
    topology: Topology, version: str, table: str, names: Sequence[str], degraded: bool, dry_run: bool
) -> list[Due]:
    endpoints = endpoints_of(topology, version)
    settings = settings_from(version, topology.prefix(version), os.environ)
    kafka, topic = KafkaUrl.parse(endpoints["kafka"]), topology.topic(version, table)
    cache, said = open_cache(endpoints["redis"], endpoints["postgres"]), Said(endpoints["postgres"])
    found = []
    try:
        for name in names:
            decl = topology.tables[table].enrich[name]
            enricher = SPECS[decl.kind].build(decl, settings)
            plan = plan_of(topology, version, table, name, enricher.output_columns())
            only = await said.degraded(plan.said_as) if degraded else None
            rows = await asyncio.to_thread(needed, plan, enricher, kafka, topic, None if only is None else set(only))
            found.append(await due(plan, rows, cache))
            await enricher.close()
            if not dry_run and found[-1].rows:
                wanted = None if only is None else asked(topology.tables[table].key, only)
                await asyncio.to_thread(send, kafka, version, table, wanted, name)
    finally:
        await cache.close()
        await said.close()
    return found
