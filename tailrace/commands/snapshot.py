"""``tailrace snapshot``: have tables, or some of their rows, read again and told anew."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from changes.errors import Misconfigured
from changes.progress import ASKED, Request, SnapshotState
from changes.topology import Topology
from streams.asking import Planned, planned
from streams.capture.requests import ask, new_id
from streams.fills import Fill, in_words, published, unfinished, wait_for
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from tailrace.commands.common import (
    FAILURE,
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
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of

Act = Literal["pause", "resume", "stop", "status"]


@click.command()
@topics_option
@version_option
@click.argument("tables", nargs=-1)
@click.option("--where", default="", help="Only rows that fit this SQL predicate; no row is deleted then.")
@click.option("--keys", multiple=True, help="Only these keys, with commas between; a composite key by itself.")
@click.option("--keys-file", type=click.File(), help="The same from a file, a key on each line.")
@click.option("--pause", "act", flag_value="pause", help="Have the tables' fills wait; all tables' if none is named.")
@click.option("--resume", "act", flag_value="resume", help="Have them go on where they stand.")
@click.option("--stop", "act", flag_value="stop", help="End what was asked for where it stands.")
@click.option("--status", "act", flag_value="status", help="Say how far fills are.")
@click.option("--wait", "waits", is_flag=True, help="Return once it is done.")
@click.option("--timeout", type=Duration(), default=None, help="With --wait: how long to wait; else until it is done.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read.")
@json_option
def snapshot(
    topics: Path,
    version: str | None,
    tables: tuple[str, ...],
    where: str,
    keys: tuple[str, ...],
    keys_file: TextIO | None,
    act: Act | None,
    waits: bool,
    timeout: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read TABLES again beside the stream and tell their rows anew, in stream order; several take turns.

    Behind a whole table, rows that its topic holds and MySQL does not are told as deletes. With --keys so are those of
    the keys. Exit code 4 where --wait runs out of time.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    known_tables(topology, topics, tables)
    endpoints = endpoints_of(topology, chosen)
    kafka = KafkaUrl.parse(endpoints["kafka"])
    if act:
        fills = _steered(kafka, chosen, tables or tuple(topology.tables), act)
        if as_json:
            print_json({"version": chosen, "fills": [asdict(fill) for fill in fills]})
        else:
            say("\n".join(map(in_words, fills)) or "no fill is under way")
        return
    if not tables:
        raise click.UsageError("name the tables to read, or one of --status, --pause, --resume, --stop")
    listed = _keys(topology, tables, keys, keys_file)
    if where and listed:
        raise click.UsageError("--where and --keys exclude each other")
    try:
        plans = planned(topology, chosen, MysqlUrl.parse(endpoints["mysql"]), tables, where=where, keys=listed)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    done = not dry_run and _asked(kafka, chosen, plans, waits=waits, timeout=timeout)
    if as_json:
        print_json({"version": chosen, "asked": not dry_run, "done": done, "tables": [_shown(plan) for plan in plans]})
    else:
        for plan in plans:
            say(_in_words(plan, dry_run=dry_run, done=done))
    raise SystemExit(UNDECIDED if waits and not dry_run and not done else OK)


def _asked(kafka: KafkaUrl, version: str, plans: Sequence[Planned], *, waits: bool, timeout: float | None) -> bool:
    """Ask capture for it all; whether it is known to be done."""
    requests = [request for plan in plans for request in plan.requests]
    last = max(ask(kafka, version, requests))
    if not waits:
        return False
    with _bars() as show:
        return wait_for(kafka, version, last, {name_of(one) for one in requests}, timeout=timeout, progress=show)


def name_of(request: Request) -> str:
    """The name of the fill that a request begins; that of its table, where it is answered at once."""
    return SnapshotState(request.table, "running", id=request.id if request.where else "").name


def _keys(topology: Topology, tables: Sequence[str], keys: Sequence[str], keys_file: TextIO | None) -> list[list[str]]:
    """The keys as typed, a text for each of their columns."""
    if not keys and keys_file is None:
        return []
    if len(tables) != 1:
        raise click.UsageError("--keys are of one table")
    typed = list(csv.reader(keys, skipinitialspace=True))
    if len(topology.tables[tables[0]].key) == 1:
        typed = [[text] for row in typed for text in row]
    typed += [row for row in csv.reader(keys_file or (), skipinitialspace=True) if row]
    if not typed:
        raise click.UsageError("there are no keys in it")
    return typed


def _open(kafka: KafkaUrl, version: str, tables: Sequence[str]) -> list[SnapshotState]:
    """The tables' fills that are not done."""
    states = published(kafka, version)
    if states is None:
        raise Misconfigured("capture has not said how far it is (does it run? `tailrace status`)")
    return [state for state in states.values() if state.state != "done" and state.table in tables]


def _steered(kafka: KafkaUrl, version: str, tables: Sequence[str], act: Act) -> list[Fill]:
    """Pause, resume or stop the tables' fills, and wait until capture has; those that are not done then."""
    open_ = _open(kafka, version, tables)
    if act == "status":
        return unfinished(open_)
    if act == "stop":
        _refuse_needed(open_)
    requests = [Request(new_id(), table, None, act=act) for table in dict.fromkeys(state.table for state in open_)]
    if requests:
        wait_for(kafka, version, max(ask(kafka, version, requests)), (), timeout=30.0)
    return unfinished(_open(kafka, version, tables))


def _refuse_needed(states: Sequence[SnapshotState]) -> None:
    needed = {state.table: state.reason or "it is the first" for state in states if state.reason != ASKED}
    if needed:
        named = ", ".join(f"`{table}` ({reason})" for table, reason in needed.items())
        say(f"stores would be wrong without the fill of {named}: it can be paused, not stopped")
        raise SystemExit(FAILURE)


def _shown(plan: Planned) -> dict[str, Any]:
    return {
        "table": plan.table,
        "rows": plan.rows,
        "exact": plan.exact,
        "requests": [request.id for request in plan.requests],
    }


def _in_words(plan: Planned, *, dry_run: bool, done: bool) -> str:
    word = "would be read" if dry_run else "are told anew" if done else "were asked for"
    return f"{plan.table}: {'' if plan.exact else 'about '}{plan.rows} rows {word}"


@contextmanager
def _bars() -> Iterator[Callable[[Sequence[Fill]], None]]:
    """A bar a fill on standard error, while there is a terminal."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bars: dict[tuple[str, str], TaskID] = {}

        def show(fills: Sequence[Fill]) -> None:
            for fill in fills:
                name = (fill.table, fill.where)
                if name not in bars:
                    bars[name] = progress.add_task("")
                progress.update(bars[name], total=fill.estimate, completed=fill.rows, description=in_words(fill))

        yield show
