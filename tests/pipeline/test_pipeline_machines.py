"""`tailrace run` on two machines, as processes with homes and names of their own: they share the work, and what one of
them was doing the other does when it is gone."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from line import prepared

from audit.deep import check
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import lanes_of, wait
from tailrace.declared import read_whole
from tailrace.endpoints import environment
from tailrace.example.traffic import Traffic
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

VERSION = "future"
TOPICS = """
versions:
  future: {database: jobfirst_future}
tables:
  - table: tr_ledger
    key: [id]
    partitions: 4
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}"}
      - {sink: postgres, tier: realtime}
"""
SHARED_SECONDS = 60.0


@contextmanager
def machine(name: str, only: str, env: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`tailrace run` as if alone on a machine; killed behind the block, its workers end by themselves."""
    own = {"TAILRACE_HOME": str(folder / name), "TAILRACE_WORKER": name}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", "run", "--version", VERSION, "--only", only],
            env=env | own,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def shares(kafka: KafkaUrl, group: str) -> dict[str, int]:
    """How many partitions each member of a lane's group has, by the name of its machine."""
    admin = AdminClient(kafka.config())  # answers come only for as long as it lives
    (answer,) = admin.describe_consumer_groups([group]).values()
    return {
        str(member.group_instance_id).removeprefix(f"{group}.").partition(".")[0]: len(
            member.assignment.topic_partitions
        )
        for member in answer.result().members
    }


def await_shares(kafka: KafkaUrl, groups: list[str], wanted: dict[str, int]) -> None:
    deadline = time.monotonic() + SHARED_SECONDS
    for group in groups:
        while (found := shares(kafka, group)) != wanted:
            assert time.monotonic() < deadline, f"{group} is shared as {found}"
            time.sleep(0.2)


def test_two_machines_share_the_lanes_and_one_does_all_when_the_other_is_gone(servers: Stack, tmp_path: Path) -> None:
    endpoints = servers.endpoints()[VERSION]
    prepared(endpoints, 50)
    topics = tmp_path / "topics.yaml"
    topics.write_text(TOPICS)
    topology = read_whole(topics)
    env = environment(topology, VERSION, endpoints) | {"TAILRACE_TOPICS": str(topics)}
    mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
    lanes = lanes_of(topology, VERSION)
    groups = [lane.group for lane in lanes]
    with machine("one", "capture,deliver", env, tmp_path):
        assert wait(mysql, kafka, lanes, version=VERSION, timeout=120).done
        traffic = Traffic(endpoints["mysql"], rate=150, seed=3, ledger=True)
        traffic.start()
        try:
            with machine("two", "deliver", env, tmp_path) as two:
                await_shares(kafka, groups, {"one": 2, "two": 2})
                os.kill(two.pid, signal.SIGKILL)
                two.wait()
                await_shares(kafka, groups, {"one": 4})
        finally:
            traffic.stop()
        assert wait(mysql, kafka, lanes, version=VERSION, timeout=120).done
        report = asyncio.run(check(topology, VERSION, endpoints, derived=False)).report
    assert report.verdict == "equal"
    assert {result.source_rows > 0 for result in report.results} == {True}
