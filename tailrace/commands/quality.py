"""``tailrace quality``: how good are the data, and do they meet their targets?"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from audit.deep import Terms
from audit.deep import check as deep_check
from audit.quality import Counted, Measure, Part, Quality, Standing, judged, worst
from audit.qualityscan import scan
from audit.qualitystores import LaneTold, of_audit, of_lanes, unaudited
from changes.errors import Transient
from changes.target import Target
from changes.tier import seconds
from changes.topology import Topology
from streams.mysql import MysqlUrl
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    known_tables,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.commands.status import status_of
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.health import own_report
from tailrace.places import home
from tailrace.reports import Reports
from tailrace.stack.places import cache_folder

EXIT: Mapping[Standing, int] = {"met": OK, "missed": INCONSISTENT, "undecided": UNDECIDED, "empty": UNDECIDED}

_KEPT = 100_000
"""Differences of each target that are told apart; what is beyond is undecided."""


@click.command()
@topics_option
@version_option
@click.option("--table", "tables", multiple=True, help="Only this table; may be given again.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for each lane.")
@click.option("--limit", type=Duration(), default="60s", show_default=True, help="MySQL's time for each table.")
@json_option
def quality(
    topics: Path, version: str | None, tables: tuple[str, ...], timeout: float, limit: float, as_json: bool
) -> None:
    """Measure coverage, completeness, consistency, format, freshness and logic, and hold them against their targets.

    Exit code 3 where a target is missed, 4 where something could not be measured.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    known_tables(topology, topics, tables)
    found = measured(topology, chosen, tables or tuple(topology.tables), timeout=timeout, limit=limit)
    if as_json:
        print_json(found)
    else:
        show(found)
    raise SystemExit(EXIT[found.verdict])


def measured(topology: Topology, version: str, tables: Sequence[str], *, timeout: float, limit: float) -> Quality:
    """Measure a version; progress goes to standard error.

    Raises `Transient` where MySQL cannot be reached; of what else is away nothing is known.
    """
    began = time.monotonic()
    endpoints = endpoints_of(topology, version)
    targets = [target for target in topology.every_target(version) if target.source in tables]
    counted = scan(MysqlUrl.parse(endpoints["mysql"]), topology, version, tables, limit=limit, tell=say)
    counted += _of_stores(topology, version, endpoints, targets, tables, timeout)
    targeted = topology.declared.quality
    counted += of_lanes(_lanes(topology, version, targets), seconds(targeted.age))
    measures = judged(counted, targeted)
    verdict = worst(measure.verdict for measure in measures)
    return Quality(verdict, version, round(time.monotonic() - began, 3), measures)


def _of_stores(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    targets: Sequence[Target],
    tables: Sequence[str],
    timeout: float,
) -> list[Counted]:
    """What a quick audit finds."""
    terms = Terms(timeout=timeout, keep=_KEPT, memory=cache_folder(os.environ) / "audit")
    try:
        audited = asyncio.run(
            deep_check(topology, version, endpoints, tables=tables, depth="quick", terms=terms, tell=say)
        )
    except Transient as error:
        say(f"no audit: {error}")
        return list(unaudited(targets, str(error)))
    personal = {name: declared.columns.personal for name, declared in topology.tables.items()}
    return list(of_audit(audited, targets, personal))


def _lanes(topology: Topology, version: str, targets: Sequence[Target]) -> list[LaneTold]:
    """Of the lanes that serve these targets, what they and their offsets say."""
    reports = Reports(home(), version).fresh()
    behind = {(lane["sink"], lane["tier"]): lane["lag_s"] for lane in status_of(topology, version)["lanes"]}
    found: list[LaneTold] = []
    for sink, tier in dict.fromkeys((target.sink, target.tier) for target in targets):
        own = own_report(sink, tier.name, reports) or {}
        found.append(LaneTold(sink, tier, own.get("timed"), own.get("fresh"), behind.get((sink, tier.name))))
    return found


def show(found: Quality) -> None:
    """For people: the measures, then each part that is not as it should be."""
    table = Table(
        "measure", "verdict", "share", "target", "good", "of", title=f"{found.version}: targets {found.verdict}"
    )
    for measure in found.measures:
        table.add_row(
            measure.measure,
            measure.verdict,
            _percent(measure.share),
            f"{measure.target:.1%}",
            f"{measure.good:,}",
            f"{measure.total:,}",
        )
    console = Console()
    console.print(table)
    for measure in found.measures:
        for part in measure.parts:
            if part.verdict in {"missed", "undecided"}:
                console.print(_line(measure, part), highlight=False)
    console.print(f"{found.verdict}, {found.seconds:.1f} s", highlight=False)


def _line(measure: Measure, part: Part) -> str:
    where = " ".join(word for word in (part.table, part.part) if word)
    counts = "" if part.total is None else f" ({part.good:,} of {part.total:,})"
    told = f"{measure.measure} {where}: {part.verdict}, {_percent(part.share)}{counts}"
    if part.reason:
        told += f", {part.reason}"
    if part.examples:
        told += ", such as " + ", ".join(str(dict(key)) for key in part.examples)
    return escape(told)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2%}"
