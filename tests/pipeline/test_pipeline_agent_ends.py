"""The agent tells of records that nobody accounts for, and ends when it is told to, whatever hangs."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from asked import Asked, Hook, hooked
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from enriched import in_mysql
from moved import move
from parts import Parts, parts_of

from streams.deliver.account import Counts
from streams.deliver.stamps import to_text, told_from
from streams.kafka import KafkaUrl
from tailrace.pipeline import AUDIT, Pipeline
from tailrace.places import home
from tailrace.reports import Reports
from tailrace.stack import Stack

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_, audit: {quick: 1s, deep: 1h}}
tables:
  - table: tr_ledger
    key: [id]
    user: user_id
    partitions: 2
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}", keep: mirror}
      - {sink: redis,    tier: realtime, place: "again:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
"""
ROWS = 2000
GROUP = "future.redis.realtime"


@dataclass
class Watched(Asked):
    parts: Parts
    servers: Stack
    hook: Hook

    def start(self) -> Pipeline:
        """An agent, once it answers."""
        line = self.parts.line
        agent = Pipeline(
            line.topology,
            {line.version: line.endpoints},
            topics=self.parts.topics,
            roles=[AUDIT],
            log_file=self.parts.log,
        )
        agent.start()
        return agent

    @contextmanager
    def stopped(self, server: str) -> Iterator[None]:
        """A server that takes what comes and answers nothing."""
        pid = self.servers.pids()[server]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def audits(self) -> list[dict[str, Any]]:
        return [one for one in self.get("/audits", limit="1000") if one["verdict"]]

    def ended(self, agent: Pipeline) -> None:
        """It ends by itself: none that `Pipeline.stop` has to kill does so with 0."""
        (worker,) = agent.workers
        assert worker.process is not None
        agent.stop()
        assert worker.process.returncode == 0
        assert not self.socket.exists()


@pytest.fixture(scope="module")
def watched(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    endpoints = servers.endpoints()["future"]
    folder = tmp_path_factory.mktemp("ends")
    with (
        hooked() as hook,
        pytest.MonkeyPatch.context() as patch,
        parts_of(endpoints, folder, TOPICS, rows=10) as parts,
    ):
        patch.setenv("FUTURE_ALERT_WEBHOOK", hook.url)
        rows = [(number, number % 5 + 1) for number in range(1, ROWS + 1)]
        in_mysql(parts.line, "INSERT INTO tr_ledger VALUES (%s, 1, 'a', %s, NOW())", many=rows)
        parts.line.settle()
        yield Watched(Reports(home(), "future").socket, parts, servers, hook)


def told_of(admin: AdminClient, topics: list[str]) -> list[TopicPartition]:
    """What the lane to Redis has committed, with its metadata."""
    wanted = [TopicPartition(topic, number) for topic in topics for number in range(2)]
    return (
        admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, wanted)])[GROUP]
        .result(30)
        .topic_partitions
    )


def less(part: TopicPartition, records: int) -> TopicPartition:
    """The commit, as if so many records of one target had been counted by nobody."""
    told = told_from(part.metadata)
    assert told is not None
    assert told.account is not None
    counts = dict(told.account.counts)
    counts["ledger:{id}"] += Counts(applied=-records)
    changed = msgspec.structs.replace(told, account=msgspec.structs.replace(told.account, counts=counts))
    return TopicPartition(part.topic, part.partition, part.offset, metadata=to_text(changed))


def test_records_that_nobody_accounts_for_are_an_incident_until_somebody_does(watched: Watched) -> None:
    agent = watched.start()
    try:
        watched.until(lambda: watched.get("/state")["conservation"])
        targets = {(one["sink"], one["target"]): one for one in watched.get("/state")["conservation"]}
        assert set(targets) == {("redis", "ledger:{id}"), ("redis", "again:{id}"), ("postgres", "tr_ledger")}
        ((captured, remainder, without),) = {
            (one["captured"], one["remainder"], one["without"]) for one in targets.values()
        }
        assert (captured >= ROWS, remainder, without) == (True, 0, 0)
        watched.until(lambda: {one["state"] for one in watched.get("/state")["stores"]} == {"equal"})
        admin = AdminClient(KafkaUrl.parse(watched.parts.line.endpoints["kafka"]).config())
        with watched.parts.without("redis"):
            right = told_of(admin, ["future.jobfirst_future.tr_ledger"])
            move(admin, GROUP, [less(right[0], 3)])
            incident = watched.incident("redis")
            told = {name: incident[name] for name in ("table", "class", "rows", "keys", "depth")}
            assert told == {
                "table": "tr_ledger", "class": "unaccounted", "rows": 3, "keys": [], "depth": "accounts",
            }  # fmt: skip
            remainders = {one["target"]: one["remainder"] for one in watched.get("/state")["conservation"]}
            assert remainders == {"ledger:{id}": 3, "again:{id}": 0, "tr_ledger": 0}
            assert (watched.store("redis")["unaccounted"], watched.store("postgres")["unaccounted"]) == (3, 0)
            text, here = watched.text("/metrics"), 'sink="redis",table="tr_ledger"'
            for sample in (
                f'tailrace_conservation_remainder{{{here},target="ledger:{{id}}",version="future"}} 3.0',
                'tailrace_store_unaccounted{sink="redis",version="future"} 3.0',
                f'tailrace_incident_rows{{class="unaccounted",{here},version="future"}} 3.0',
            ):
                assert sample in text
            asked = watched.post("/audits", {"depth": "deep", "sinks": ["redis", "postgres"]})["id"]
            assert watched.done(asked)["verdict"] == "equal"
            assert watched.incident("redis")["id"] == incident["id"], "an audit of rows closed what it does not see"
            move(admin, GROUP, [TopicPartition(right[0].topic, 0, right[0].offset, metadata=right[0].metadata)])
            watched.until(lambda: not watched.get("/state")["incidents"])
        (closed,) = [one for one in watched.get("/incidents") if one["class"] == "unaccounted"]
        assert (closed["id"], closed["rows"]) == (incident["id"], 3)
        watched.until(lambda: len(watched.hook.alerts) >= 2)
        assert [one["text"] for one in watched.hook.alerts] == [
            "future: 3 records of tr_ledger in redis are not accounted for",
            "future: the accounts of tr_ledger in redis add up again",
        ]
    finally:
        agent.stop()


@pytest.mark.parametrize("hanging", ["", "future.redis", "future.postgres", "future.mysql", "kafka"])
def test_an_agent_that_is_told_to_end_waits_for_no_server_and_forgets_nothing(watched: Watched, hanging: str) -> None:
    agent = watched.start()
    before = watched.until(watched.audits)
    with watched.stopped(hanging) if hanging else nothing():
        watched.post("/audits", {"depth": "deep"})
        watched.until(lambda: watched.get("/state")["running"])
        known = watched.audits()
        watched.ended(agent)
    again = watched.start()
    try:
        kept = {one["id"]: one for one in watched.until(watched.audits)}
        assert len(before) <= len(known)
        assert [kept.get(one["id"]) for one in known] == known
        assert watched.get(f"/audits/{known[0]['id']}")["report"] is not None
    finally:
        again.stop()


def test_an_agent_that_has_not_begun_ends_too(watched: Watched) -> None:
    with watched.stopped("kafka"):
        agent = watched.start()
        (worker,) = agent.workers
        report = watched.socket.parent / "agent.json"
        watched.until(
            lambda: worker.process is not None and json.loads(report.read_text())["pid"] == worker.process.pid
        )
        assert json.loads(report.read_text())["state"] == "starting"
        watched.ended(agent)


@contextmanager
def nothing() -> Iterator[None]:
    yield
