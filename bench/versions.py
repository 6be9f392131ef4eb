"""Three versions at once: what it costs two of them that the processes of the third are killed.

``python -m bench.versions [--rows 500] [--rate 20] [--seconds 60] [--kills 20] [--json]``: a table on stdout. Servers
of the profile ``core`` are started for all versions that `topics.yaml` declares, filled and kept in step, each by a
process group of its own, with traffic in each. The others' time from commit to visible and the records that wait for
their lanes are measured three times: twice while nothing happens, which shows what is noise, and while processes of the
third are killed. At the end each version is compared with its own MySQL. What models make of rows is left out: on a
small machine it would be what is measured.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from audit.deep import check
from bench.apart import TrafficApart
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import GroupOffsets, PositionsTail, behind, lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.load import load
from tailrace.latency import SLOWEST, measure
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = Path(__file__).parents[1] / "topics.yaml"
WINDOWS = ("quiet", "quiet again", "kills")
Urls = Mapping[str, str]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def declared(kinds: Sequence[str]) -> Topology:
    """What the stores of the profile get, without lanes that gather changes for an hour."""
    topology = having(read_whole(TOPICS), kinds)
    return topology.without({one.sink for one in topology.targets(topology.versions[0]) if one.tier.flush > SLOWEST})


def probed(version: str, urls: dict[str, str], seconds: float) -> dict[str, Any]:
    """In a process of its own, so that two versions' probes do not wait for each other's interpreter lock."""
    return measure(declared(list(urls)), version, urls, rate=0, seconds=seconds, derived=False)


class Waiting(threading.Thread):
    """How many records wait for a version's lanes, twice a second."""

    def __init__(self, topology: Topology, version: str, urls: Urls) -> None:
        super().__init__(daemon=True)
        self._lanes = lanes_of(topology, version)
        self._version, self._kafka = version, KafkaUrl.parse(urls["kafka"])
        self._ending = threading.Event()
        self.seen: list[int] = []

    def run(self) -> None:
        groups = GroupOffsets(self._kafka)
        with closing(PositionsTail(self._kafka, self._version)) as tail:
            while not self._ending.wait(0.5):
                while tail.poll(0.0):
                    pass
                if tail.last is not None:
                    self.seen.append(sum(behind(lane, tail.ends, groups.of(lane, tail.ends)) for lane in self._lanes))

    def end(self) -> list[int]:
        self._ending.set()
        self.join()
        return sorted(self.seen)


def killed(pipeline: Pipeline, kills: int, seconds: float, rng: random.Random) -> list[str]:
    """SIGKILL ``kills`` processes at random moments within ``seconds``; their names."""
    moments = sorted(rng.uniform(0, seconds) for _ in range(kills))
    began, names = time.monotonic(), []
    for moment in moments:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        while not (pids := pipeline.pids()):
            time.sleep(0.05)
        names.append(rng.choice(sorted(pids)))
        os.kill(pids[names[-1]], signal.SIGKILL)
    return names


@contextmanager
def watched(
    topology: Topology, endpoints: Mapping[str, Urls], others: Sequence[str], seconds: float
) -> Iterator[dict[str, Any]]:
    """The others' figures, by version, over ``seconds`` from the block's beginning on; there behind its end."""
    found: dict[str, Any] = {}
    waiting = {version: Waiting(topology, version, endpoints[version]) for version in others}
    with multiprocessing.get_context("spawn").Pool(len(others)) as pool:
        asked = {one: pool.apply_async(probed, (one, dict(endpoints[one]), seconds)) for one in others}
        for one in waiting.values():
            one.start()
        yield found
        stores = {version: answer.get()["stores"] for version, answer in asked.items()}
    for version in others:
        seen = waiting[version].end()
        found[version] = {
            "stores": stores[version],
            "waiting_p50": statistics.median(seen),
            "waiting_p99": seen[int(len(seen) * 0.99)],
        }


def settle(topology: Topology, version: str, urls: Urls) -> None:
    mysql, kafka = MysqlUrl.parse(urls["mysql"]), KafkaUrl.parse(urls["kafka"])
    waited = wait(mysql, kafka, lanes_of(topology, version), version=version, timeout=600)
    if not waited.done:
        raise SystemExit(f"{version} is not settled: {waited}")


@contextmanager
def running(
    topology: Topology, endpoints: Mapping[str, Urls], rows: int, folder: Path
) -> Iterator[dict[str, Pipeline]]:
    """A process group a version, each settled before the next begins."""
    with ExitStack() as leaving:
        lines = {}
        for version, urls in endpoints.items():
            load(urls["mysql"], rows, 1)
            log = folder / f"{version}.log"
            line = Pipeline(topology, {version: urls}, topics=TOPICS, roles=("capture", "deliver"), log_file=log)
            line.start()
            leaving.callback(line.stop)
            settle(topology, version, urls)
            say(f"{version} is filled by {', '.join(sorted(line.pids()))}")
            lines[version] = line
        yield lines


def measured(arguments: argparse.Namespace, folder: Path, endpoints: Mapping[str, Urls]) -> dict[str, Any]:
    versions = list(endpoints)
    topology = declared(list(endpoints[versions[0]]))
    victim, others = versions[-1], versions[:-1]
    found: dict[str, Any] = {"rows": arguments.rows, "rate": arguments.rate, "victim": victim}
    rng = random.Random(arguments.seed)
    with running(topology, endpoints, arguments.rows, folder) as lines:
        with ExitStack() as traffic:
            for number, urls in enumerate(endpoints.values()):
                traffic.enter_context(TrafficApart(urls["mysql"], rate=arguments.rate, seed=number))
            for name in WINDOWS:
                with watched(topology, endpoints, others, arguments.seconds) as found[name]:
                    if name == WINDOWS[-1]:
                        found["killed"] = killed(lines[victim], arguments.kills, arguments.seconds, rng)
                say(f"{name}: {found[name]}")
            found["load"] = round(os.getloadavg()[0], 1)
        found["restarts"] = {v: sum(worker.deaths for worker in line.workers) for v, line in lines.items()}
        found["verdicts"] = {}
        for version, urls in endpoints.items():
            settle(topology, version, urls)
            report = asyncio.run(check(topology, version, urls, derived=False)).report
            found["verdicts"][version] = report.verdict
            say(f"{version} is {report.verdict}")
    return found


def table(found: Mapping[str, Any]) -> str:
    """Milliseconds from commit to visible: p50 / p99, and records waiting: p50 / p99."""
    first = found[WINDOWS[0]]
    lines = [f"{'version':12}{'store':10}" + "".join(f"{name:>22}" for name in WINDOWS)]
    for version in first:
        for store in first[version]["stores"]:
            cells = [found[name][version]["stores"][store] for name in WINDOWS]
            shown = "".join(f"{one['p50_ms']:>12.1f} / {one['p99_ms']:>7.1f}" for one in cells)
            lines.append(f"{version:12}{store:10}{shown}")
        cells = [found[name][version] for name in WINDOWS]
        shown = "".join(f"{one['waiting_p50']:>12.0f} / {one['waiting_p99']:>7.0f}" for one in cells)
        lines.append(f"{version:12}{'waiting':10}{shown}")
    lines.append(f"killed in {found['victim']}: {len(found['killed'])} processes; restarts: {found['restarts']}")
    lines.append(f"load average {found['load']}, {found['rate']:g} changes a second asked for in each")
    lines.append(f"at the end: {', '.join(f'{v} {verdict}' for v, verdict in found['verdicts'].items())}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0, help="changes a second in each version")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the three windows")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-versions-") as folder, ExitStack() as leaving:
        os.environ["TAILRACE_HOME"] = f"{folder}/home"
        versions = read_whole(TOPICS).versions
        stack = Stack(Path(folder) / "stack", versions=versions, report=say)
        leaving.callback(stack.down)
        stack.up()
        found = measured(arguments, Path(folder), stack.endpoints())
    print(json.dumps(found, indent=2) if arguments.json else table(found))


if __name__ == "__main__":
    main()
