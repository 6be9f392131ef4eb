"""``tailrace trace``: one row's way through everything."""

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from audit.trace import Trace
from audit.trace import trace as trace_row
from tailrace.commands.common import json_option, known_tables, one_version, print_json, topics_option, version_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.command()
@topics_option
@version_option
@click.argument("table")
@click.argument("key")
@json_option
def trace(topics: Path, version: str | None, table: str, key: str, as_json: bool) -> None:
    """Show what MySQL, the topic and every store hold of one row. KEY is `7`, `id=7` or JSON."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    known_tables(topology, topics, [table])
    found = asyncio.run(trace_row(topology, chosen, endpoints_of(topology, chosen), table, key))
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Trace) -> None:
    table = Table("where", "position", "hash", "equal", "age", title=f"{found.table} {found.key}")
    table.add_row("MySQL", found.source.position, found.source.row_hash or "no such row", "", "")
    topic = found.topic
    where = topic.name if topic.offset is None else f"{topic.name} [{topic.partition}] {topic.offset}"
    table.add_row(where, topic.position or "", "deleted" if topic.deleted else topic.row_hash or "nothing", "", "")
    for made in found.enrichments:
        table.add_row(made.enricher, made.position or "", made.row_hash or "", "yes" if made.current else "no", "")
    for store in found.stores:
        equal = store.reason if store.equal is None else "yes" if store.equal else "no"
        age = "" if store.age_ms is None else f"{store.age_ms} ms"
        table.add_row(
            f"{store.sink} {store.table} {store.place}", store.position or "", store.row_hash or "no row", equal, age
        )
    Console().print(table)
