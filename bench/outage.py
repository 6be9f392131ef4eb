"""What a store that is down costs the others: latencies of all other stores before and while it is.

``python -m bench.outage [--stores postgres,elasticsearch,neo4j] [--seconds 60] [--rate 100] [--rows N]``: one JSON
object on stdout. All ten stores are started, filled and kept in step; each store named is stopped in its turn while
changes go on, and started again. Only rows are looked at: what is made of them waits while PostgreSQL is down, which
keeps what enrichment has said.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.proof import TOPICS, say, settle
from sinks.registry import SPECS
from tailrace.declared import read_whole
from tailrace.example.load import load
from tailrace.latency import SLOWEST, measure
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=100.0, help="changes a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a store is down")
    parser.add_argument("--stores", default="postgres,elasticsearch,neo4j")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-outage-") as folder, ExitStack() as leaving:
        stack = Stack(Path(folder) / "stack", profile="full", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, Path(folder), stack), indent=2))


def measured(arguments: argparse.Namespace, folder: Path, stack: Stack) -> dict[str, Any]:
    """Lanes that gather changes for an hour are left out: nothing of theirs could be seen."""
    topology = read_whole(TOPICS)
    slow = {target.sink for target in topology.every_target("future") if target.tier.flush > SLOWEST}
    topology = topology.without(slow)
    endpoints = stack.endpoints()["future"]
    load(endpoints["mysql"], arguments.rows, 1)
    line = Pipeline(topology, {"future": endpoints}, topics=TOPICS, log_file=folder / "line.log")
    line.start()
    found: dict[str, Any] = {"rows": arguments.rows, "rate": arguments.rate, "seconds": arguments.seconds}
    try:
        settle(topology, endpoints, 3600, derived=True)
        for store in arguments.stores.split(","):
            others = topology.without({store})
            before = measure(others, "future", endpoints, rate=arguments.rate, seconds=arguments.seconds, derived=False)
            server = f"future.{SPECS[store].endpoint}"
            stack.stop_server(server)
            say(f"{store} is down")
            during = measure(others, "future", endpoints, rate=arguments.rate, seconds=arguments.seconds, derived=False)
            stack.start_server(server)
            began = time.monotonic()
            settle(topology, endpoints, 3600, derived=True)
            found[store] = {"before": before, "while_down": during, "caught_up_s": round(time.monotonic() - began, 1)}
            say(f"{store} has caught up after {found[store]['caught_up_s']} s")
    finally:
        line.stop()
    return found


if __name__ == "__main__":
    sys.exit(main())
