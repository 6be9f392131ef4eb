"""``tailrace conservation``: what became of every record."""

import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from streams.deliver.conservation import Balance, conserved
from streams.kafka import KafkaUrl
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    json_option,
    known_sinks,
    one_version,
    print_json,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of

COLUMNS = (
    "captured",
    "applied",
    "collapsed",
    "stale",
    "filtered",
    "parked",
    "expired",
    "in_flight",
    "repeated",
    "remainder",
)


@click.command()
@topics_option
@version_option
@click.option("--sink", "sinks", multiple=True, help="Only this sink; may be given again.")
@click.option("--table", "tables", multiple=True, help="Only this table; may be given again.")
@json_option
def conservation(
    topics: Path, version: str | None, sinks: tuple[str, ...], tables: tuple[str, ...], as_json: bool
) -> None:
    """Count the records of every topic and hold them against what lanes say became of them, since a day at most.

    Exit code 3 where something is left over: records that no lane delivered, refused or left out.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    wanted = known_sinks(topology, chosen, sinks)
    targets = [
        target
        for target in topology.every_target(chosen)
        if (not wanted or target.sink in wanted) and (not tables or target.source in tables)
    ]
    kafka = KafkaUrl.parse(endpoints_of(topology, chosen)["kafka"])
    found = conserved(topology, chosen, kafka, targets, round(time.time() * 1000))
    if as_json:
        print_json({"version": chosen, "balances": [asdict(one) for one in found]})
    else:
        Console().print(_table(chosen, found))
    raise SystemExit(INCONSISTENT if any(one.remainder for one in found) else OK)


def _table(version: str, found: list[Balance]) -> Table:
    table = Table("sink", "target", *COLUMNS, title=f"{version}: what became of every record")
    for one in found:
        told = asdict(one)
        table.add_row(one.sink, one.target, *(str(told[name]) for name in COLUMNS))
    return table
