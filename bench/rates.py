"""How many changes a second a line bears: the rate raised step by step, until the lanes no longer keep up.

``python -m bench.rates [--rows N] [--rates 100,200,…] [--seconds N] [--folder DIR]``: one JSON object on stdout. Its
servers are its own; enrichment is left out. For each step: the rate that the writers came to, how long
the lanes then took to have all of it, and the processor time of each process, in cores. ``writers_alone`` is MySQL and
its writers at the last rate with no line behind them: what they leave of the cores is all that a line can have.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.apart import TrafficApart
from bench.proof import TOPICS, loaded, say, settle
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rates", default="100,200,300,400,600,800,1000", help="changes a second, one after the other")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each rate is held")
    parser.add_argument("--workers", type=int, default=4, help="connections that write")
    parser.add_argument("--folder", type=Path, help="keep the servers' data here")
    arguments = parser.parse_args()
    rates = [float(rate) for rate in arguments.rates.split(",")]
    with ExitStack() as leaving:
        folder = arguments.folder or Path(leaving.enter_context(tempfile.TemporaryDirectory(prefix="tailrace-rates-")))
        stack = Stack(folder / "stack", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, rates, folder, stack), indent=2))


def measured(arguments: argparse.Namespace, rates: list[float], folder: Path, stack: Stack) -> dict[str, Any]:
    endpoints = stack.endpoints()["future"]
    topology = having(read_whole(TOPICS), endpoints)
    if not loaded(topology, endpoints):
        load(endpoints["mysql"], arguments.rows, 1)
    line = Pipeline(
        topology, {"future": endpoints}, topics=TOPICS, roles=("capture", "deliver"), log_file=folder / "line.log"
    )
    line.start()
    try:
        settle(topology, endpoints, 3600, derived=False)
        steps = []
        for number, rate in enumerate(rates):
            step = held(arguments, endpoints["mysql"], rate, number, lambda: {**stack.pids(), **line.pids()})
            began = time.monotonic()
            settle(topology, endpoints, 3600, derived=False)
            steps.append(step | {"seconds_to_settle": round(time.monotonic() - began, 1)})
            say(str(steps[-1]))
    finally:
        line.stop()
    alone = held(arguments, endpoints["mysql"], rates[-1], len(rates), stack.pids)
    return {"rows": arguments.rows, "cores": os.cpu_count(), "steps": steps, "writers_alone": alone}


def held(arguments: argparse.Namespace, url: str, rate: float, seed: int, pids: Any) -> dict[str, Any]:
    """One rate held for the time asked for; cores by process, the writers' own among them."""
    before, began = used(pids()), time.monotonic()
    with TrafficApart(url, rate=rate, seed=100 + seed, workers=arguments.workers) as traffic:
        time.sleep(arguments.seconds)
        stats = traffic.stats()
        writers = cpu_seconds(traffic.pid)
        seconds = time.monotonic() - began
        after = used(pids())
    cores = {name: round((after[name] - before.get(name, 0.0)) / seconds, 2) for name in after}
    return {
        "asked": rate,
        "reached": round(stats.rate, 1),
        "commit_p99_ms": stats.commit_p99_ms,
        "cores": {name: one for name, one in cores.items() if one >= 0.01} | {"writers": round(writers / seconds, 2)},
    }


def used(pids: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds by name; the children of a PostgreSQL among its own."""
    return {name: cpu_seconds(pid) + sum(map(cpu_seconds, children(pid))) for name, pid in pids.items()}


def cpu_seconds(pid: int) -> float:
    """0 for a process that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS  # its own, and that of children that have ended


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    sys.exit(main())
