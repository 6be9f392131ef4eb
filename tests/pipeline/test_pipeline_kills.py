"""Whatever is killed, whenever: every store ends as MySQL's history dictates, and the topics tell it once."""

import json
import threading
import time
from pathlib import Path
from random import Random

import pytest
from ledger_topic import faults, told
from line import Line, line, topics_with_ledger
from running import own_environ

from tailrace.example.database import connect
from tailrace.example.traffic import Traffic, read_truth
from tailrace.stack import Stack
from tailrace.stack.supervise import supervise

RATE = 300.0
PAUSE_SECONDS = (0.3, 2.0)


def killed_and_compared(
    running: Line, kills: int, seed: int, servers: Stack | None = None, rate: float = RATE
) -> dict[str, object]:
    """Traffic with random kills among it, of ``servers`` too where given; what was found afterwards."""
    rng = Random(seed)
    traffic = Traffic(running.endpoints["mysql"], rate=rate, seed=seed, ledger=True, workers=2)
    traffic.start()
    names = []
    try:
        for _ in range(kills):
            time.sleep(rng.uniform(*PAUSE_SECONDS))
            names.append(running.kill_one(rng, servers))
        time.sleep(1.0)
        traffic.pause()
        stats = traffic.stats()
    finally:
        traffic.stop()
    running.settle(timeout=600.0)
    report = running.check()
    connection = connect(running.endpoints["mysql"])
    try:
        truth = list(read_truth(connection))
    finally:
        connection.close()
    keys = told(running.kafka, running.topology.topic(running.version, "tr_ledger"))
    return {
        "kills": {name: names.count(name) for name in sorted(set(names))},
        "changes": stats.changes,
        "rate": round(stats.rate, 1),
        "verdict": report.verdict,
        "rows": sum(result.compared for result in report.results),
        "different": sum(result.different for result in report.results),
        "ledger_keys": len(keys),
        "ledger_changes": sum(one.changes for one in keys.values()),
        "ledger_faults": faults(keys, truth),
    }


def assert_right(found: dict[str, object]) -> None:
    print(json.dumps(found))
    assert found["ledger_faults"] == []
    assert found["verdict"] == "equal"
    assert found["ledger_changes"], "the ledger was never written"


@pytest.mark.slow
def test_a_few_kills_under_traffic_leave_every_store_equal(servers: Stack, tmp_path: Path) -> None:
    with line(servers.endpoints()["future"], tmp_path, rows=1000) as running:
        assert_right(killed_and_compared(running, kills=6, seed=7))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_fifty_kills_under_traffic_leave_every_store_equal(servers: Stack, tmp_path: Path) -> None:
    with line(servers.endpoints()["future"], tmp_path, rows=5000) as running:
        assert_right(killed_and_compared(running, kills=50, seed=20250913))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thirty_kills_of_servers_too_leave_every_store_equal(servers: Stack, tmp_path: Path) -> None:
    stop = threading.Event()
    watcher = threading.Thread(target=supervise, args=(servers, print, stop))
    with line(servers.endpoints()["future"], tmp_path, rows=2000) as running:
        watcher.start()
        try:
            assert_right(killed_and_compared(running, kills=30, seed=11, servers=servers))
        finally:
            stop.set()
            watcher.join()


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_thirty_kills_among_ten_stores_leave_every_one_equal(tmp_path: Path) -> None:
    servers, stop = Stack(tmp_path / "stack", profile="full", environ=own_environ(), report=print), threading.Event()
    watcher = threading.Thread(target=supervise, args=(servers, print, stop))
    topics = topics_with_ledger(tmp_path)
    topics.write_text(topics.read_text().replace("flush: 1h", "flush: 2s"))
    try:
        servers.up()
        with line(servers.endpoints()["future"], tmp_path, rows=500, topics=topics, patience=600.0) as running:
            watcher.start()
            try:
                assert_right(killed_and_compared(running, kills=30, seed=13, servers=servers, rate=RATE / 3))
            finally:
                stop.set()
                watcher.join()
    finally:
        servers.down()
