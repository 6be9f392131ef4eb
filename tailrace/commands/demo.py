"""``tailrace demo``: the whole thing on sample data."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec
from rich.live import Live

from audit.report import Report
from changes.errors import TailraceError, Transient
from changes.topology import Topology
from enrichers.settings import settings_from
from streams.deliver.control import flushing
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl, session
from streams.watch import Waited, enrichment_of, lanes_of
from streams.watch import wait as wait_for
from tailrace.arrivals import Made, made, told
from tailrace.commands import scenes
from tailrace.commands.check import EXIT, checked, show
from tailrace.commands.common import json_option, one_version, print_json, say, topics_option
from tailrace.commands.search import embedded, nearest, vector_of
from tailrace.commands.status import status_of
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.example.traffic import Traffic
from tailrace.logs import set_up
from tailrace.pipeline import Pipeline
from tailrace.stack.places import stack_folder
from tailrace.stack.stack import Stack
from tailrace.stack.supervise import supervise

ONCE_SECONDS = 10.0
STALLED_SECONDS = 300.0

KIND, VECTOR, BEST = "jobs", "title", 3
QUERY = "writes manuals"
SHOWN = ("id", "title", "location", "experience_required")


@click.command()
@topics_option
@click.option("--version", "-V", "version", default=None, help="Which version; the first if not given.")
@click.option("--once", is_flag=True, help="End by itself: some traffic, then the check.")
@click.option("--profile", type=click.Choice(["core", "full"]), default="core", show_default=True)
@click.option("--rows", type=click.IntRange(10, 10_000_000), default=2000, show_default=True, help="Sample rows.")
@click.option("--rate", type=click.FloatRange(min=1), default=50.0, show_default=True, help="Changes a second.")
@click.option("--seed", default=1, show_default=True, help="Of the sample data and the traffic.")
@json_option
def demo(
    topics: Path, version: str | None, once: bool, profile: str, rows: int, rate: float, seed: int, as_json: bool
) -> None:
    """Start the servers, fill MySQL with a recruiting platform, and keep every store in step with it."""
    began = time.monotonic()
    set_up("tailrace")
    logging.getLogger().setLevel(logging.WARNING)
    topology = read_whole(topics)
    version = one_version(topology, version or topology.versions[0])
    folder = stack_folder("demo", os.environ)
    stack = Stack(folder, versions=(version,), profile=profile, report=lambda line: say(f"stack: {line}"))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        endpoints = stack.up()
        topology = having(topology, endpoints[version])
        watcher = threading.Thread(target=supervise, args=(stack, lambda line: say(f"stack: {line}"), stop))
        watcher.start()
        try:
            mine = endpoints[version]
            shown = _demonstrate(topology, version, topics, mine, folder, once=once, rows=rows, rate=rate, seed=seed)
        finally:
            stop.set()
            watcher.join()
    except KeyboardInterrupt:
        say("stopped")
        raise SystemExit(130) from None
    finally:
        stack.down()
    if as_json:
        print_json(
            {
                "verdict": shown.report.verdict,
                "seconds": round(time.monotonic() - began, 3),
                "made": shown.made,
                "search": {"text": QUERY, "kind": KIND, "vector": VECTOR, "found": shown.found},
                "check": msgspec.to_builtins(shown.report),
            }
        )
    else:
        show(shown.report)
    raise SystemExit(EXIT[shown.report.verdict])


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the demonstration as Ctrl-C does: everything is stopped cleanly."""
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Shown:
    """What was made of rows, what a search found, and how the stores compare."""

    made: Made
    found: list[dict[str, Any]]
    report: Report


def _demonstrate(
    topology: Topology,
    version: str,
    topics: Path,
    mine: Mapping[str, str],
    folder: Path,
    *,
    once: bool,
    rows: int,
    rate: float,
    seed: int,
) -> Shown:
    with session(MysqlUrl.parse(mine["mysql"])):  # a server given by the environment may refuse us: say so plainly
        pass
    say(f"filling MySQL with {rows} sample rows…")
    loaded = load(mine["mysql"], rows, seed)
    say("the sample data are there already" if loaded.skipped else f"{loaded.rows} rows in {loaded.seconds:.1f} s")
    pipeline = Pipeline(topology, {version: mine}, topics=topics, log_file=folder / "pipeline.log")
    pipeline.start()
    traffic: Traffic | None = None
    try:
        # Nobody who looks on waits for a tier's hour to be over.
        flushed = partial(flushing, KafkaUrl.parse(mine["kafka"]), version, [])
        with flushed():
            _first_fill(topology, version, mine)
        counted = _Counted(topology, version, mine["postgres"])
        say(f"every store has every row, and {told(counted())} made of them")
        say(f"now {rate:g} changes a second go into MySQL (log: {folder}/pipeline.log)")
        traffic = Traffic(mine["mysql"], rate=rate, seed=seed)
        traffic.start()
        _look_on(topology, version, counted, rate, ONCE_SECONDS if once else None)
        found = _search(topology, version, mine["postgres"])
        stats = traffic.stats()
        say(
            f"{stats.changes} changes in {stats.transactions} transactions, {stats.rollbacks} rolled back; "
            "checking every row of every store while they go on…"
        )
        with flushed():
            return Shown(counted(), found, checked(topology, version, mine))
    finally:
        if traffic is not None:
            traffic.stop()
        pipeline.stop()


def _first_fill(topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
    say("capture reads every table, the lanes fill the stores, models read what is new…")
    console = scenes.console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        progress = _Progress(topology, version, endpoints["postgres"], live)
        before: Waited | None = None
        while True:
            waited = wait_for(
                MysqlUrl.parse(endpoints["mysql"]),
                KafkaUrl.parse(endpoints["kafka"]),
                lanes_of(topology, version),
                version=version,
                timeout=STALLED_SECONDS,
                enrichment=enrichment_of(topology, version),
                progress=progress,
            )
            if waited.done:
                return
            if waited == before:
                raise Transient(f"the stores are not filled, and in {STALLED_SECONDS:.0f} s nothing moved")
            before = waited


class _Progress:
    """Shows how far the first fill is: once a second on a terminal, else a line every five."""

    def __init__(self, topology: Topology, version: str, postgres: str, live: Live) -> None:
        self._counted = _Counted(topology, version, postgres)
        self._live = live
        self._began = time.monotonic()
        self._next = self._began + 1
        self._said = ""

    def __call__(self, state: Waited) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        if self._live.console.is_terminal:
            self._next = now + 1
            self._live.update(scenes.filling(state, self._counted(), now - self._began), refresh=True)
            return
        self._next = now + 5
        line = f"  {scenes.left(state)}; {told(self._counted())}"
        if line != self._said:
            self._said = line
            say(line)


class _Counted:
    """What has been made by now; while PostgreSQL does not answer, what it was."""

    def __init__(self, topology: Topology, version: str, postgres: str) -> None:
        self._topology, self._version, self._postgres = topology, version, postgres
        self._last: Made = {}

    def __call__(self) -> Made:
        with suppress(Transient):  # which the lanes tell of
            self._last = asyncio.run(made(self._postgres, self._topology, self._version))
        return self._last


def _look_on(topology: Topology, version: str, counted: _Counted, rate: float, seconds: float | None) -> None:
    """Show lanes and results until Ctrl-C, or for ``seconds``."""
    end = None if seconds is None else time.monotonic() + seconds
    console = scenes.console()
    try:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while end is None or time.monotonic() < end:
                found: dict[str, Any] = status_of(topology, version)
                if console.is_terminal:
                    live.update(scenes.traffic(found, counted(), rate), refresh=True)
                time.sleep(1.0)
    except KeyboardInterrupt:
        if seconds is not None:
            raise
        say("Ctrl-C: one check, then everything is stopped")


def _search(topology: Topology, version: str, postgres: str) -> list[dict[str, Any]]:
    """The rows nearest to `QUERY`, shown; none where this declaration has no such vectors."""
    try:
        where = embedded(topology, version, KIND)
        if VECTOR not in where.names:
            return []
        settings = settings_from(version, topology.prefix(version), os.environ)
        wanted = asyncio.run(vector_of(QUERY, where.decl, settings))
        found = asyncio.run(nearest(postgres, where, wanted, vector=VECTOR, limit=BEST))
    except TailraceError as error:
        say(f"no search: {error}")
        return []
    say(f"nearest to “{QUERY}” among {KIND}:")
    for one in found:
        row = one["row"]
        say(f"  {one['similarity']:.2f}  " + " · ".join(str(row[name]) for name in SHOWN if row.get(name) is not None))
    return found
