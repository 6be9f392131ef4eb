"""Every record's fate is known whatever is killed, and a slow tier writes when it is due or asked."""

import os
import signal
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from enriched import in_mysql, in_postgres
from moved import move
from parts import Parts, parts_of

from streams.watch import GroupOffsets, lanes_of, wait
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tiers:
  realtime: {flush: 5ms, rows: 500, fresh: 100ms}
  hourly:   {flush: 1h, rows: 5000, fresh: 61m}
tables:
  - table: tr_ledger
    key: [id]
    user: user_id
    partitions: 2
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}", keep: mirror}
      - {sink: redis,    tier: realtime, place: "again:{id}", keep: mirror}
      - {sink: postgres, tier: hourly}
"""
ROWS = 200


@pytest.fixture(scope="module")
def parts(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_of(servers.endpoints()["future"], tmp_path_factory.mktemp("delivery"), TOPICS, rows=10) as parts:
        rows = [(number, number % 5 + 1) for number in range(1, ROWS + 1)]
        in_mysql(parts.line, "INSERT INTO tr_ledger VALUES (%s, 1, 'a', %s, NOW())", many=rows)
        yield parts


def stored(parts: Parts) -> int:
    (found,) = in_postgres(parts.line, "SELECT to_regclass('tailrace.tr_ledger') IS NOT NULL")
    if not found[0]:
        return 0
    (found,) = in_postgres(parts.line, "SELECT count(*) FROM tailrace.tr_ledger")
    return int(found[0])


def balances(parts: Parts, code: int = 0) -> dict[tuple[str, str], dict[str, Any]]:
    found = parts.command("conservation", "--json", code=code)["balances"]
    return {(one["sink"], one["target"]): one for one in found}


def test_an_hourly_lane_writes_nothing_until_it_is_asked_and_then_everything(parts: Parts) -> None:
    assert parts.command("wait", "--json", "--sink", "redis", "--timeout", "120s")["done"]
    assert not parts.command("wait", "--json", "--timeout", "3s", code=4)["done"]
    assert stored(parts) == 0
    in_mysql(parts.line, "UPDATE tr_ledger SET n = n + 1 WHERE id = 1")  # what a fill tells is of no time
    waited = parts.command("wait", "--json", "--flush", "--timeout", "120s")
    assert (waited["done"], waited["waiting"]) == (True, {})
    assert stored(parts) == ROWS
    time.sleep(1.5)  # lanes report every second
    lanes = {lane["sink"]: lane for lane in parts.command("status", "--json")["future"]["lanes"]}
    assert 3_500_000 < lanes["postgres"]["due_ms"] - time.time() * 1000 < 3_600_000
    assert lanes["redis"]["due_ms"] is None
    assert lanes["redis"]["fresh_share"] is not None
    assert parts.command("check", "--json", "--flush")["verdict"] == "equal"


def test_every_record_is_accounted_for_though_delivery_is_killed(parts: Parts) -> None:
    rng = Random(5)
    for number in range(30):
        in_mysql(parts.line, f"UPDATE tr_ledger SET n = n + 1, user_id = {number % 4 + 1} WHERE id <= 100")
        in_mysql(parts.line, f"DELETE FROM tr_ledger WHERE id = {200 - number}")
        if number in (5, 14, 22):
            for pid in parts.delivering["redis"].pids().values():
                os.kill(pid, signal.SIGKILL)
        time.sleep(rng.uniform(0.0, 0.2))
    assert parts.command("wait", "--json", "--flush", "--timeout", "120s")["done"]
    found = balances(parts)
    records = found["postgres", "tr_ledger"]["captured"]
    assert records >= ROWS + 30 * 100 + 2 * 30
    assert set(found) == {("redis", "ledger:{id}"), ("redis", "again:{id}"), ("postgres", "tr_ledger")}
    for one in found.values():
        assert (one["captured"], one["remainder"], one["in_flight"], one["unaccounted"]) == (records, 0, 0, 0)
        assert one["applied"] + one["collapsed"] == records - 30
        assert (one["filtered"], one["parked"], one["stale"]) == (30, 0, 0)
    assert found["postgres", "tr_ledger"]["collapsed"] > 1000, "an hour's changes of a row are written once"


def test_records_that_a_group_was_moved_over_are_what_remains(parts: Parts) -> None:
    (lane,) = lanes_of(parts.line.topology, "future", ["redis"])
    with parts.without("redis"):
        in_mysql(parts.line, "UPDATE tr_ledger SET n = n + 1 WHERE id <= 3")
        wait(parts.line.mysql, parts.line.kafka, [], version="future", timeout=60)
        ends = GroupOffsets(parts.line.kafka).ends_of(lane.topics)
        to = [TopicPartition(topic, number, end) for (topic, number), end in ends.items()]
        move(AdminClient(parts.line.kafka.config()), lane.group, to)
    parts.until_logged("ERROR", "were passed and not delivered")
    parts.command("wait", "--json", "--sink", "redis", "--timeout", "60s")
    in_mysql(parts.line, "UPDATE tr_ledger SET n = n + 1 WHERE id = 50")
    parts.command("wait", "--json", "--sink", "redis", "--timeout", "60s")
    time.sleep(2)
    found = balances(parts, code=3)
    assert found["redis", "ledger:{id}"]["remainder"] == found["redis", "again:{id}"]["remainder"] == 3
    assert found["postgres", "tr_ledger"]["remainder"] == 0
    (status,) = [one for one in parts.command("status", "--json")["future"]["lanes"] if one["sink"] == "redis"]
    assert status["skipped"] == 3
