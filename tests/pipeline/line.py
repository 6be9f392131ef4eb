"""The whole line on servers of its own: what the tests of this folder drive and break."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from audit.deep import check
from audit.report import Report
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import enrichment_of, lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import having
from tailrace.example.database import connect, run_script
from tailrace.example.load import load
from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

REPOSITORY = Path(__file__).parents[2]

LEDGER = """
  - table: tr_ledger
    key: [id]
    user: user_id
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
"""


def topics_with_ledger(folder: Path) -> Path:
    """The repository's declaration with the test's ledger added."""
    path = folder / "topics.yaml"
    path.write_text((REPOSITORY / "topics.yaml").read_text() + LEDGER)
    return path


@dataclass
class Line:
    """A running pipeline. ``endpoints`` are the version's."""

    topology: Topology
    endpoints: dict[str, str]
    pipeline: Pipeline
    version: str = "future"
    enriched: bool = False

    @property
    def mysql(self) -> MysqlUrl:
        return MysqlUrl.parse(self.endpoints["mysql"])

    @property
    def kafka(self) -> KafkaUrl:
        return KafkaUrl.parse(self.endpoints["kafka"])

    @contextmanager
    def changing(self, rate: float) -> Iterator[None]:
        """So many changes a second, the ledger's among them, until the block ends."""
        traffic = Traffic(self.endpoints["mysql"], rate=rate, seed=8, ledger=True)
        traffic.start()
        try:
            yield
            traffic.pause()
        finally:
            traffic.stop()

    def settle(self, timeout: float = 120.0) -> str:
        """Wait until everything committed by now is applied; the position."""
        lanes = lanes_of(self.topology, self.version)
        waited = wait(
            self.mysql,
            self.kafka,
            lanes,
            version=self.version,
            timeout=timeout,
            enrichment=enrichment_of(self.topology, self.version) if self.enriched else None,
        )
        assert waited.done, f"not settled: {waited}"
        return waited.position

    def check(self) -> Report:
        self.settle()
        return asyncio.run(check(self.topology, self.version, self.endpoints, derived=self.enriched)).report

    def kill_one(self, rng: Random, servers: Stack | None = None) -> str:
        """SIGKILL a random process of the pipeline, or of ``servers`` too; its name."""
        while not (pids := self.pipeline.pids() | (servers.pids() if servers else {})):
            time.sleep(0.05)
        name = rng.choice(sorted(pids))
        os.kill(pids[name], signal.SIGKILL)
        return name


def prepared(endpoints: dict[str, str], rows: int) -> None:
    """The example's tables with ``rows`` rows, and an empty ledger."""
    load(endpoints["mysql"], rows, 1)
    connection = connect(endpoints["mysql"])
    try:
        run_script(connection, "ledger.sql")
    finally:
        connection.close()


@contextmanager
def line(
    endpoints: dict[str, str],
    folder: Path,
    *,
    rows: int,
    enriched: bool = False,
    topics: Path | None = None,
    workers: int = 1,
    patience: float = 120.0,
) -> Iterator[Line]:
    """A pipeline over filled servers, stopped behind the block; with enrichment only where a test is about it, for it
    takes what the machine has. ``topics`` is declared instead of the repository's tables and the ledger. ``workers``
    share the delivery to each store. ``patience``: seconds for the first fill."""
    prepared(endpoints, rows)
    topics = topics or topics_with_ledger(folder)
    topology = having(read_whole(topics), endpoints)
    roles = ["capture", *(["enrich"] if enriched else []), *["deliver"] * workers]
    pipeline = Pipeline(topology, {"future": endpoints}, topics=topics, roles=roles, log_file=folder / "pipeline.log")
    pipeline.start()
    try:
        running = Line(topology, endpoints, pipeline, enriched=enriched)
        running.settle(patience)
        yield running
    finally:
        pipeline.stop()
