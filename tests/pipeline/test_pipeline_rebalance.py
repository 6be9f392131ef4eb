"""Workers that share a lane, come and go: each partition is somebody's, and every store ends as it must."""

import signal
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from confluent_kafka.admin import AdminClient
from line import Line, line

from streams.watch import lanes_of
from tailrace.example.traffic import Traffic
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

RATE = 200.0
TURNS = 6
PAUSE_SECONDS = (0.5, 3.0)
SHARED_SECONDS = 60.0


def partitions_of(running: Line, group: str) -> list[int]:
    """How many partitions each member of a lane's group has."""
    admin = AdminClient(running.kafka.config())
    (answer,) = admin.describe_consumer_groups([group]).values()
    return sorted(len(member.assignment.topic_partitions) for member in answer.result().members)


def shared(running: Line, workers: int) -> None:
    """Waits until every lane has its members and each of them a part of the work."""
    deadline = time.monotonic() + SHARED_SECONDS
    for lane in lanes_of(running.topology, running.version):
        while len(found := partitions_of(running, lane.group)) != workers or not found[0]:
            assert time.monotonic() < deadline, f"{lane.group} is shared as {found}"
            time.sleep(0.2)


def one_goes(running: Line, rng: Random) -> None:
    """One worker is killed or asked to end; it comes back by itself."""
    delivering: list[subprocess.Popen[bytes]] = [
        worker.process
        for worker in running.pipeline.workers
        if worker.arguments[0] == "deliver" and worker.process is not None and worker.process.poll() is None
    ]
    rng.choice(delivering).send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_that_come_and_go_share_the_work_and_lose_nothing(servers: Stack, tmp_path: Path, workers: int) -> None:
    rng = Random(workers)
    with line(servers.endpoints()["future"], tmp_path, rows=500, workers=workers) as running:
        shared(running, workers)
        traffic = Traffic(running.endpoints["mysql"], rate=RATE, seed=workers, ledger=True)
        traffic.start()
        try:
            for _ in range(TURNS):
                time.sleep(rng.uniform(*PAUSE_SECONDS))
                one_goes(running, rng)
            report = running.check()
        finally:
            traffic.stop()
        assert report.verdict == "equal"
        shared(running, workers)
