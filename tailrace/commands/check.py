"""``tailrace check``: are the stores equal to MySQL?"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from audit.deep import Terms
from audit.deep import check as deep_check
from audit.report import Report, Verdict
from changes.topology import Topology
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    known_sinks,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of

EXIT: Mapping[Verdict, int] = {"equal": OK, "different": INCONSISTENT, "undecided": UNDECIDED}


@click.command()
@topics_option
@version_option
@click.option("--table", "tables", multiple=True, help="Only this table; may be given again.")
@click.option("--sink", "sinks", multiple=True, help="Only this sink; may be given again.")
@click.option("--deep", is_flag=True, default=True, help="Compare every row by value (the only depth yet).")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for the lanes.")
@json_option
def check(
    topics: Path,
    version: str | None,
    tables: tuple[str, ...],
    sinks: tuple[str, ...],
    deep: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Compare every row of every store with MySQL, while writes go on."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    for table in tables:
        if table not in topology.tables:
            raise click.UsageError(f"table `{table}` is not declared in {topics}")
    known_sinks(topology, chosen, sinks)
    report = checked(topology, chosen, endpoints_of(topology, chosen), tables=tables, sinks=sinks, timeout=timeout)
    if as_json:
        print_json(report)
    else:
        show(report)
    raise SystemExit(EXIT[report.verdict])


def checked(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    *,
    tables: tuple[str, ...] = (),
    sinks: tuple[str, ...] = (),
    timeout: float = 60.0,
) -> Report:
    """Compare, while writes go on; progress goes to standard error."""
    terms = Terms(timeout=timeout)
    return asyncio.run(
        deep_check(topology, version, endpoints, tables=tables, sinks=sinks, terms=terms, tell=say)
    ).report


def show(report: Report) -> None:
    """The report for people."""
    table = Table(
        "sink", "table", "verdict", "MySQL", "store", "different", title=f"{report.version}: {report.verdict}"
    )
    for result in report.results:
        table.add_row(
            result.sink,
            result.table,
            result.verdict + (f": {result.reason}" if result.reason else ""),
            str(result.source_rows),
            str(result.sink_rows),
            str(result.different),
        )
    console = Console()
    console.print(table)
    for result in report.results:
        for difference in result.differences:
            columns = f" ({', '.join(difference.columns)})" if difference.columns else ""
            console.print(f"{result.sink} {result.table} {difference.key}: {difference.class_}{columns}")
    console.print(f"{report.verdict} at {report.position}, {report.seconds:.1f} s", highlight=False)
