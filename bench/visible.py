"""From commit to visible in each of ten stores, rows and what is made of them, all lanes running.

``python -m bench.visible [--rows N] [--rate 100] [--seconds 60] [--hourly 2s]``: one JSON object on stdout. The tiers
gather for as long as `topics.yaml` says, but for the hourly one, which nobody waits for: that gathers for ``--hourly``,
so that what its lane adds to the hour is measured.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.proof import TOPICS, say, settle
from tailrace.declared import read_whole
from tailrace.example.load import load
from tailrace.latency import measure
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0, help="other changes a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hourly", default="2s", help="for how long the hourly tier gathers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-visible-") as name, ExitStack() as leaving:
        folder = Path(name)
        stack = Stack(folder / "stack", profile="full", report=say)
        leaving.callback(stack.down)
        stack.up()
        topics = folder / "topics.yaml"
        topics.write_text(sooner(TOPICS.read_text(), arguments.hourly))
        topology = read_whole(topics)
        endpoints = stack.endpoints()["future"]
        load(endpoints["mysql"], arguments.rows, 1)
        line = Pipeline(topology, {"future": endpoints}, topics=topics, log_file=folder / "line.log")
        line.start()
        leaving.callback(line.stop)
        settle(topology, endpoints, 3600, derived=True)
        say("every store is filled")
        load_before = os.getloadavg()[0]
        found = measure(topology, "future", endpoints, rate=arguments.rate, seconds=arguments.seconds)
        told = {"rows": arguments.rows, "hourly": arguments.hourly, "load": [load_before, os.getloadavg()[0]]}
        print(json.dumps(told | found, indent=2))


def sooner(declared: str, flush: str) -> str:
    """The declaration with an hourly tier that gathers for ``flush``."""
    changed, count = re.subn(r"(hourly:\s*\{flush: )\w+", rf"\g<1>{flush}", declared)
    if count != 1:
        sys.exit("bench.visible: there is no tier `hourly: {flush: …` in the declaration")
    return changed


if __name__ == "__main__":
    main()
