"""``tailrace demo``: the whole thing on sample data."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.live import Live

from audit.report import Report
from changes.errors import Transient
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, session
from streams.watch import Waited, enrichment_of, lanes_of
from streams.watch import wait as wait_for
from tailrace.commands.check import EXIT, checked, show
from tailrace.commands.common import BAD_CONFIGURATION, json_option, print_json, say, topics_option
from tailrace.commands.status import status_of, table_of
from tailrace.declared import read_topology
from tailrace.example.load import load
from tailrace.example.traffic import Traffic
from tailrace.logs import set_up
from tailrace.pipeline import Pipeline
from tailrace.stack.places import stack_folder
from tailrace.stack.stack import Stack
from tailrace.stack.supervise import supervise

ONCE_SECONDS = 10.0
FILL_SECONDS = 600.0


@click.command()
@topics_option
@click.option("--once", is_flag=True, help="End by itself: some traffic, then the check.")
@click.option("--profile", type=click.Choice(["core", "full"]), default="core", show_default=True)
@click.option("--rows", type=click.IntRange(10, 10_000_000), default=2000, show_default=True, help="Sample rows.")
@click.option("--rate", type=click.FloatRange(min=1), default=50.0, show_default=True, help="Changes a second.")
@click.option("--seed", default=1, show_default=True, help="Of the sample data and the traffic.")
@json_option
def demo(topics: Path, once: bool, profile: str, rows: int, rate: float, seed: int, as_json: bool) -> None:
    """Start the servers, fill MySQL with a recruiting platform, and keep every store in step with it."""
    if profile == "full":
        say("error: `--profile full` is not in this release: only `core` is")
        raise SystemExit(BAD_CONFIGURATION)
    began = time.monotonic()
    set_up("tailrace")
    logging.getLogger().setLevel(logging.WARNING)
    topology = read_topology(topics)
    folder = stack_folder("demo", os.environ)
    stack = Stack(folder, versions=topology.versions, report=lambda line: say(f"stack: {line}"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        endpoints = stack.up()
        watcher = threading.Thread(target=supervise, args=(stack, lambda line: say(f"stack: {line}"), stop))
        watcher.start()
        try:
            report = _demonstrate(topology, topics, endpoints, folder, once=once, rows=rows, rate=rate, seed=seed)
        finally:
            stop.set()
            watcher.join()
    except KeyboardInterrupt:
        say("stopped")
        raise SystemExit(130) from None
    finally:
        stack.down()
    if as_json:
        check = msgspec.to_builtins(report)
        print_json({"verdict": report.verdict, "seconds": round(time.monotonic() - began, 3), "check": check})
    else:
        show(report)
    raise SystemExit(EXIT[report.verdict])


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the demonstration as Ctrl-C does: everything is stopped cleanly."""
    raise KeyboardInterrupt


def _demonstrate(
    topology: Topology,
    topics: Path,
    endpoints: Mapping[str, Mapping[str, str]],
    folder: Path,
    *,
    once: bool,
    rows: int,
    rate: float,
    seed: int,
) -> Report:
    version = topology.versions[0]
    mine = endpoints[version]
    with session(MysqlUrl.parse(mine["mysql"])):  # a server given by the environment may refuse us: say so plainly
        pass
    say(f"filling MySQL with {rows} sample rows…")
    loaded = load(mine["mysql"], rows, seed)
    say("the sample data are there already" if loaded.skipped else f"{loaded.rows} rows in {loaded.seconds:.1f} s")
    pipeline = Pipeline(topology, endpoints, topics=topics, log_file=folder / "pipeline.log")
    pipeline.start()
    traffic: Traffic | None = None
    try:
        _first_fill(topology, version, mine)
        say(f"every store has every row; now {rate:g} changes a second go into MySQL (log: {folder}/pipeline.log)")
        traffic = Traffic(mine["mysql"], rate=rate, seed=seed)
        traffic.start()
        _look_on(topology, version, ONCE_SECONDS if once else None)
        stats = traffic.stats()
        say(
            f"{stats.changes} changes in {stats.transactions} transactions, {stats.rollbacks} rolled back; "
            "checking every row of every store while they go on…"
        )
        return checked(topology, version, mine)
    finally:
        if traffic is not None:
            traffic.stop()
        pipeline.stop()


def _first_fill(topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
    say("capture reads every table, the lanes fill the stores…")
    waited = wait_for(
        MysqlUrl.parse(endpoints["mysql"]),
        KafkaUrl.parse(endpoints["kafka"]),
        lanes_of(topology, version),
        version=version,
        timeout=FILL_SECONDS,
        enrichment=enrichment_of(topology, version),
        progress=_Progress(),
    )
    if not waited.done:
        raise Transient(f"the stores were not filled within {FILL_SECONDS:.0f} s")


class _Progress:
    """Says how far the first fill is, once a second at most."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 2
        self._said = ""

    def __call__(self, state: Waited) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 1
        line = (
            f"{len(state.filling)} tables to read"
            if state.filling
            else ", ".join(f"{lane}: {count} records to go" for lane, count in state.waiting.items())
        )
        if line and line != self._said:
            self._said = line
            say(f"  {line}")


def _look_on(topology: Topology, version: str, seconds: float | None) -> None:
    """Show the lanes until Ctrl-C, or for ``seconds``."""
    end = None if seconds is None else time.monotonic() + seconds
    console = Console(stderr=True)
    try:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while end is None or time.monotonic() < end:
                found: dict[str, Any] = status_of(topology, version)
                if console.is_terminal:
                    live.update(table_of(version, found), refresh=True)
                time.sleep(1.0)
    except KeyboardInterrupt:
        if seconds is not None:
            raise
        say("Ctrl-C: one check, then everything is stopped")
