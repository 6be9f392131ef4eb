"""``tailrace check``: are the stores equal to MySQL?"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.table import Table

from audit.deep import Terms
from audit.deep import check as deep_check
from audit.html import page
from audit.pace import step_aside
from audit.repair import Plan, planned, repair, verdict_behind
from audit.report import LISTED, Report, Verdict
from changes.topology import Topology
from streams.deliver.control import flushing
from streams.kafka import KafkaUrl
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    known_sinks,
    known_tables,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.stack.places import cache_folder

EXIT: Mapping[Verdict, int] = {"equal": OK, "different": INCONSISTENT, "undecided": UNDECIDED}


@click.command()
@topics_option
@version_option
@click.option("--table", "tables", multiple=True, help="Only this table; may be given again.")
@click.option("--sink", "sinks", multiple=True, help="Only this sink; may be given again.")
@click.option("--quick", "depth", flag_value="quick", help="Compare counts and sums; look at rows where they differ.")
@click.option("--deep", "depth", flag_value="deep", default=True, help="Compare every row by value (the default).")
@click.option("--derived/--no-derived", default=True, help="Also what was made of rows: vectors and analyses.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for each lane.")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Of MySQL's time, how much --deep may take for each of the four tables that it reads at a time.",
)
@click.option("--flush", is_flag=True, help="Have slow tiers write now what waits for their time.")
@click.option("--repair", "mend", is_flag=True, help="Have capture tell differing rows anew, and look at them again.")
@click.option("--cap", type=click.IntRange(1), default=1000, show_default=True, help="The most rows to repair.")
@click.option("--dry-run", is_flag=True, help="With --repair: only show what would be asked of capture.")
@click.option(
    "--html",
    "page_to",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Also write the report to this file, as a page.",
)
@json_option
def check(
    topics: Path,
    version: str | None,
    tables: tuple[str, ...],
    sinks: tuple[str, ...],
    depth: Literal["quick", "deep"],
    derived: bool,
    timeout: float,
    share: float,
    flush: bool,
    mend: bool,
    cap: int,
    dry_run: bool,
    page_to: Path | None,
    as_json: bool,
) -> None:
    """Compare every store with MySQL, while writes go on: rows, and what was made of them.

    --quick compares counts and sums of the hashes that stores keep beside values; what was made is also held against
    the rows that it was made from. A value that somebody edited in a store and left its hash alone only --deep sees,
    which reads MySQL and every store whole.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    known_tables(topology, topics, tables)
    known_sinks(topology, chosen, sinks)
    if page_to is not None and not page_to.parent.is_dir():
        raise click.UsageError(f"there is no folder {page_to.parent}")
    personal = {name: declared.columns.personal for name, declared in topology.tables.items()}

    def told(report: Report, plan: Plan | None = None, before: Report | None = None) -> None:
        _print(report, as_json, plan, before)
        if page_to is not None:
            _write(page_to, page(report, personal, before=before))

    step_aside()
    endpoints = endpoints_of(topology, chosen)
    terms = Terms(timeout=timeout, keep=max(cap, LISTED), memory=cache_folder(os.environ) / "audit", share=share)
    with flushing(KafkaUrl.parse(endpoints["kafka"]), chosen, sinks) if flush else nullcontext():
        audited = asyncio.run(
            deep_check(
                topology,
                chosen,
                endpoints,
                tables=tables,
                sinks=sinks,
                derived=derived,
                depth=depth,
                terms=terms,
                tell=say,
            )
        )
        if not mend:
            told(audited.report)
            raise SystemExit(EXIT[audited.report.verdict])
        different = sum(result.different for result in audited.report.results)
        plan = planned(audited.findings, topology.every_target(chosen), different=different, cap=cap)
        if dry_run or not plan.asked:
            told(audited.report, plan)
            raise SystemExit(EXIT[audited.report.verdict])
        after = asyncio.run(repair(topology, chosen, endpoints, plan, sinks=sinks, terms=terms, tell=say))
        verdict = verdict_behind(audited.report, after, plan.left_out)
        told(msgspec.structs.replace(after, verdict=verdict), plan, audited.report)
        raise SystemExit(OK if verdict == "equal" else INCONSISTENT)


def checked(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    *,
    timeout: float = 60.0,
) -> Report:
    """Compare, while writes go on; progress goes to standard error."""
    return asyncio.run(deep_check(topology, version, endpoints, terms=Terms(timeout=timeout), tell=say)).report


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror or "") from error


def _print(report: Report, as_json: bool, plan: Plan | None = None, before: Report | None = None) -> None:
    """The report; with what a repair asks or has asked of capture, and what was found before it."""
    if as_json:
        more: dict[str, object] = {}
        if plan is not None:
            more = {"asked": plan.rows, "left_out": plan.left_out}
        if before is not None:
            more["before"] = before
        print_json(msgspec.to_builtins(report) | msgspec.to_builtins(more))
        return
    if before is not None:
        show(before)
    if plan is not None:
        for table, rows in plan.rows.items():
            say(f"repair: {len(rows)} rows of {table}")
        if plan.left_out:
            say(f"repair: {plan.left_out} differences are left out; raise --cap")
    show(report)


def show(report: Report) -> None:
    """The report for people."""
    table = Table(
        "sink",
        "table",
        "verdict",
        "MySQL",
        "store",
        "different",
        "undecided",
        title=f"{report.version}: {report.verdict}",
    )
    for result in report.results:
        table.add_row(
            result.sink,
            result.table,
            result.verdict + (f": {result.reason}" if result.reason else ""),
            str(result.source_rows),
            str(result.sink_rows),
            str(result.different),
            str(result.undecided),
        )
    console = Console()
    console.print(table)
    for result in report.results:
        for difference in result.differences:
            columns = f" ({', '.join(difference.columns)})" if difference.columns else ""
            console.print(f"{result.sink} {result.table} {difference.key}: {difference.class_}{columns}")
    console.print(f"{report.verdict} at {report.position}, {report.seconds:.1f} s", highlight=False)
