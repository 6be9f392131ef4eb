"""How fast stores are filled again from their topics: ``python -m bench.replay [--rows N] [--sinks redis,postgres,…]``.

Servers of its own are started and stopped: those of the profile ``core``, with ``--full`` all ten stores. The example's
tables are loaded and delivered, then each store gets a replay of all its row topics by itself while nobody writes, over
what it holds, and another at the same time as the others. One JSON object on stdout: records, rows and MB a second.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from changes.topology import Topology
from sinks.registry import SPECS
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.replay.asked import Replay, Since
from streams.replay.replaying import Replaying
from streams.watch import lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = Path(__file__).parents[1] / "topics.yaml"
VERSION = "future"
SLOWEST = 60.0


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--full", action="store_true", help="all ten stores")
    parser.add_argument("--sinks", default="", help="only these, with commas between")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-replay-") as folder, ExitStack() as leaving:
        stack = Stack(Path(folder) / "stack", profile="full" if arguments.full else "core", report=say)
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, Path(folder), stack.endpoints()[VERSION]), indent=2))


def measured(arguments: argparse.Namespace, folder: Path, endpoints: dict[str, str]) -> dict[str, Any]:
    """Lanes that gather changes for an hour are left out: they would have to be waited for."""
    topology = having(read_whole(TOPICS), endpoints)
    left_out = {target.sink for target in topology.every_target(VERSION) if target.tier.flush > SLOWEST}
    topology = topology.without(left_out)
    if arguments.sinks:
        topology = topology.without(set(topology.sinks) - set(arguments.sinks.split(",")))
    load(endpoints["mysql"], arguments.rows, 1)
    with delivered(topology, endpoints, folder):
        say("all is delivered; replaying one store after the other")
        alone = [one for sink in topology.sinks for one in asyncio.run(replayed(topology, endpoints, [sink]))]
        say("replaying all at once")
        together = asyncio.run(replayed(topology, endpoints, topology.sinks))
    return {"rows": arguments.rows, "alone": list(map(figures, alone)), "together": list(map(figures, together))}


@contextmanager
def delivered(topology: Topology, endpoints: dict[str, str], folder: Path) -> Iterator[None]:
    line = Pipeline(
        topology, {VERSION: endpoints}, topics=TOPICS, roles=["capture", "deliver"], log_file=folder / "line.log"
    )
    line.start()
    try:
        mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
        waited = wait(mysql, kafka, lanes_of(topology, VERSION), version=VERSION, timeout=3600)
        if not waited.done:
            raise SystemExit(f"the stores were not filled in an hour: {waited}")
        yield
    finally:
        line.stop()


async def replayed(topology: Topology, endpoints: dict[str, str], sinks: Sequence[str]) -> list[Replay]:
    replaying = await asyncio.to_thread(Replaying, topology, VERSION, endpoints)
    targets = {sink: [one for one in topology.targets(VERSION) if one.sink == sink] for sink in sinks}
    plans = await asyncio.to_thread(replaying.planned, targets, Since(), rate=0.0, by_lane=False)
    claimed = await asyncio.to_thread(replaying.claimed, plans, anew=False)
    ended = await asyncio.gather(*[replaying.run(one, asyncio.Event(), lambda _: None) for one in claimed])
    for one in ended:
        say(f"{one.sink}: {one.records} records, {one.speed:.0f} a second")
    return list(ended)


def figures(one: Replay) -> dict[str, Any]:
    share = one.bytes / one.records if one.records else 0.0
    return {
        "sink": one.sink,
        "way": one.way,
        "guarded": SPECS[one.sink].guarded,
        "records": one.records,
        "records_a_second": round(one.speed),
        "mb_a_second": round(one.speed * share / 1e6, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
