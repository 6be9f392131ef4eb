"""Two captures of one version: how soon the second goes on when the first is killed for good, or hangs.

``python -m bench.standby [--rounds 5] [--rate 300]``: one JSON object on stdout. In each round the capture at work is
ended by SIGKILL, and in the next stopped by SIGSTOP, as a machine that hangs; the other is standing by. What was ended
comes back afterwards and stands by in its turn. Told are the seconds from the signal to the first positions of the
other, and to a transaction in Kafka that was committed behind the signal. At the end the ledger's topic is read back
committed: every change once and in order, or it is named.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.apart import TrafficApart
from streams.kafka import KafkaUrl, read_topic
from streams.mysql import MysqlUrl
from streams.watch import PositionsTail, committed_ordinal, wait
from tailrace.declared import read_topology
from tailrace.endpoints import environment
from tailrace.example.database import connect, run_script
from tailrace.example.load import load
from tailrace.example.traffic import read_truth
from tailrace.reports import Reports
from tailrace.stack import Stack

VERSION = "future"
TOPICS = """
versions:
  future: {database: jobfirst_future}
tables:
  - {table: tr_ledger, key: [id], sinks: [{sink: redis, tier: realtime, place: "ledger:{id}"}]}
"""
PATIENCE = 120.0
KILLED, HANGS = "killed", "hangs"
SIGNALS = {KILLED: signal.SIGKILL, HANGS: signal.SIGSTOP}


class Process:
    """A capture with a home of its own, as on a machine of its own."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self._home = home
        self._env = env | {"TAILRACE_HOME": str(home)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._home.parent / f"{self._home.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tailrace.worker", "capture", VERSION],
                stdin=subprocess.PIPE,
                stderr=log,
                env=self._env,
            )

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)

    def reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def await_state(self, state: str) -> None:
        """What its worker says of itself, once a second."""
        deadline = time.monotonic() + PATIENCE
        while Reports(self._home, VERSION).fresh().get("capture", {}).get("state") != state:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._home.name} is never {state}")
            time.sleep(0.05)


@contextmanager
def two(folder: Path, env: dict[str, str]) -> Iterator[list[Process]]:
    """The one at work, and the one that stands by."""
    found = [Process(folder / name, env) for name in ("first", "second")]
    try:
        found[0].start()
        found[0].await_state("running")
        time.sleep(3)
        found[1].start()
        found[1].await_state("standing by")
        yield found
    finally:
        for one in found:
            one.send(signal.SIGKILL)
            one.reap()


def change_of_hands(kafka: KafkaUrl, mysql: MysqlUrl, works: Process, how: str) -> dict[str, Any]:
    """End the capture that works; the seconds until the other publishes, and until it tells what is new."""
    with closing(PositionsTail(kafka, VERSION)) as tail:
        while tail.last is None or tail.last.at_ms < time.time() * 1000 - 500:
            tail.poll(0.1)
        began, since = time.monotonic(), time.time() * 1000
        works.send(SIGNALS[how])
        ordinal = committed_ordinal(mysql)
        first: float | None = None
        while True:
            tail.poll(0.02)
            passed = time.monotonic() - began
            if tail.last is not None and tail.last.at_ms > since + 500:  # not a last one of the capture that was ended
                first = first or passed
                if tail.last.ordinal > ordinal:
                    return {"how": how, "positions_s": round(first, 2), "new_change_s": round(passed, 2)}
            if passed > PATIENCE:
                raise SystemExit("the standby never goes on")


def faults(kafka: KafkaUrl, topic: str, mysql: str) -> list[str]:
    """Keys whose changes in the topic are not MySQL's, each once and in order."""
    told: dict[int, list[int]] = defaultdict(list)
    changes: dict[int, int] = defaultdict(int)
    for message in read_topic(kafka, topic):
        if (value := message.value()) is None:
            continue
        change = msgspec.json.decode(value)
        if change["op"] != "r":
            changes[(change["after"] or change["before"])["id"]] += 1
            if change["op"] != "d":
                told[change["after"]["id"]].append(change["after"]["n"])
    with closing(connect(mysql)) as connection:
        truth = {entry.id: entry for entry in read_truth(connection)}
    return [
        f"key {key}: told {told[key]}, {changes[key]} changes; MySQL made {entry.changes}, the last is {entry.n}"
        for key, entry in truth.items()
        if told[key] != list(range(1, entry.n + 1)) or changes[key] != entry.changes
    ]


def measured(arguments: argparse.Namespace, folder: Path, urls: dict[str, str]) -> dict[str, Any]:
    (folder / "topics.yaml").write_text(TOPICS)
    topology = read_topology(folder / "topics.yaml")
    env = environment(topology, VERSION, urls) | {"TAILRACE_TOPICS": str(folder / "topics.yaml")}
    mysql, kafka = MysqlUrl.parse(urls["mysql"]), KafkaUrl.parse(urls["kafka"])
    load(urls["mysql"], 200, 1)
    with closing(connect(urls["mysql"])) as connection:
        run_script(connection, "ledger.sql")
    rounds = []
    with two(folder, env) as captures:
        works, stands = captures
        with TrafficApart(urls["mysql"], rate=arguments.rate, seed=11, ledger=True, workers=2) as traffic:
            for number in range(2 * arguments.rounds):
                how = (KILLED, HANGS)[number % 2]
                rounds.append(change_of_hands(kafka, mysql, works, how))
                print(rounds[-1], file=sys.stderr, flush=True)
                if how == KILLED:
                    works.reap()
                    works.start()
                else:
                    works.send(signal.SIGCONT)
                works.await_state("standing by")
                works, stands = stands, works
                time.sleep(2)
            written = traffic.stats()
        waited = wait(mysql, kafka, [], version=VERSION, timeout=PATIENCE)
        if not waited.done:
            raise SystemExit(f"not settled: {waited}")
        wrong = faults(kafka, topology.topic(VERSION, "tr_ledger"), urls["mysql"])
    return {
        "rate": round(written.rate, 1),
        "transactions": written.transactions,
        "load": round(os.getloadavg()[0], 1),
        **{how: _of([one for one in rounds if one["how"] == how]) for how in SIGNALS},
        "lost_or_twice": wrong,
    }


def _of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        what: {
            "median": round(statistics.median(one[what] for one in rounds), 2),
            "max": max(one[what] for one in rounds),
        }
        for what in ("positions_s", "new_change_s")
    } | {"rounds": len(rounds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    parser.add_argument("--rate", type=float, default=300.0, help="changes a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-standby-") as folder, ExitStack() as leaving:
        nobody = {"FUTURE_POSTGRES_URL": "postgresql://127.0.0.1:1/none", "FUTURE_REDIS_URL": "redis://127.0.0.1:1/0"}
        stack = Stack(
            Path(folder) / "stack", environ=os.environ | nobody, report=lambda line: print(line, file=sys.stderr)
        )
        leaving.callback(stack.down)
        stack.up()
        print(json.dumps(measured(arguments, Path(folder), stack.endpoints()[VERSION]), indent=2))


if __name__ == "__main__":
    main()
