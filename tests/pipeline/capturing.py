"""Capture alone, in a process of its own, on servers that the test has: what is killed, cut off and moved."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from line import prepared
from sources import VERSION, Source, kafka_for
from upheaval import BULK, make_bulk

from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.watch import PositionsTail, committed_ordinal, wait
from tailrace.declared import read_topology
from tailrace.endpoints import environment

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: tr_ledger
    key: [id]
    sinks: [{sink: redis, tier: realtime, place: "ledger:{id}", keep: mirror}]
  - table: tr_bulk
    key: [id]
    partitions: 4
    sinks: [{sink: redis, tier: realtime, place: "bulk:{id}", keep: mirror}]
"""


@dataclass
class CaptureProcess:
    """Capture as `tailrace run` starts it, but nobody starts it again when it dies."""

    topology: Topology
    mysql: str
    kafka_url: str
    folder: Path
    engine: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def kafka(self) -> KafkaUrl:
        return KafkaUrl.parse(self.kafka_url)

    @property
    def topics(self) -> dict[str, str]:
        """By table."""
        return {table: self.topology.topic(VERSION, table) for table in self.topology.tables}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """What it has said so far, in all its lives."""
        return (self.folder / "capture.log").read_text()

    def environment(self) -> dict[str, str]:
        """Capture's, and that of commands for it."""
        urls = {"mysql": self.mysql, "kafka": self.kafka_url, "postgres": "-", "redis": "-", "sqlite": "-"}
        own = {"TAILRACE_TOPICS": str(self.folder / "topics.yaml"), "TAILRACE_HOME": str(self.folder / "home")}
        engine = {"TAILRACE_ENGINE": self.engine} if self.engine else {}
        return environment(self.topology, VERSION, urls) | own | engine

    def start(self) -> None:
        with (self.folder / "capture.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tailrace.worker", "capture", VERSION],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self.environment(),
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Return once it is gone; nothing to do where it does not run."""
        if self._process is not None and self._process.stdin is not None:
            os.kill(self._process.pid, number)
            self._process.wait()
            self._process.stdin.close()
            self._process = None

    def settle(self, source: Source, timeout: float = 120.0) -> str:
        """Wait until all that ``source`` has committed by now is in Kafka; the position."""
        waited = wait(source.url, self.kafka, [], version=VERSION, timeout=timeout)
        assert waited.done, f"not settled: {waited}; the log ends with {self.log()[-2000:]}"
        return waited.position


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll a condition of another process."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def kill_inside(capture: CaptureProcess, one: Source) -> int:
    """Kill capture once a part of a large transaction is in Kafka, and not all; how many were written for that."""
    for tries in range(1, 11):
        tail = PositionsTail(capture.kafka, VERSION)
        try:
            one.run(f"UPDATE {BULK} SET n = n + 1")
            _await_part(tail, committed_ordinal(one.url))
            capture.kill()
            time.sleep(0.5)
            while tail.poll(0.1):
                pass
            if tail.last is not None and tail.last.partial:
                return tries
        finally:
            tail.close()
        capture.start()
        capture.settle(one)
    raise AssertionError("capture was always quicker")


def _await_part(tail: PositionsTail, ordinal: int) -> None:
    """Return once a part of a transaction is in Kafka, or all up to ``ordinal``."""
    deadline = time.monotonic() + 60
    while tail.last is None or not (tail.last.partial or tail.last.ordinal >= ordinal):
        assert time.monotonic() < deadline, "capture does not go on"
        tail.poll(0.01)


@contextmanager
def captured(one: Source, folder: Path, *, bulk: int, engine: str = "", mysql: str = "") -> Iterator[CaptureProcess]:
    """Capture of the ledger and of a table of ``bulk`` rows for large transactions, from before their first change;
    ``mysql`` is the URL that it is given, where that is not the server's own."""
    (folder / "topics.yaml").write_text(TOPICS)
    prepared({"mysql": one.endpoint}, 50)
    make_bulk(one, bulk)
    with kafka_for(folder / "kafka") as kafka:
        capture = CaptureProcess(read_topology(folder / "topics.yaml"), mysql or one.endpoint, kafka, folder, engine)
        capture.start()
        try:
            capture.settle(one, timeout=600)
            yield capture
        finally:
            capture.kill(signal.SIGTERM)
