"""Capture killed at random moments: the topics, read back committed, hold every change once and in order.

`make fault ARGS="-k capture_kills"` kills 200 times; ``--kills 20`` another number of times.
"""

import json
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from capturing import CaptureProcess, captured
from sources import MARIADB, NATIVE, VERSION, Source, source
from topic_order import bulk_faults, followed, ledger_faults
from upheaval import BULK, Upheaval

from streams.watch import PositionsTail
from tailrace.example.traffic import Traffic
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

pytestmark = pytest.mark.slow

WHILE_STARTING = 0.15
STARTING_SECONDS = (0.1, 2.0)
WORKING_SECONDS = (0.0, 3.0)
RATE = 150.0
ENGINES = ["python", pytest.param("native", marks=NATIVE)]
FEW = [
    pytest.param(MySQL, "python", id="mysql-python", marks=pytest.mark.long),
    pytest.param(MySQL, "native", id="mysql-native", marks=NATIVE),
    pytest.param(MariaDB, "native", id="mariadb-native", marks=[MARIADB, NATIVE]),
]


def await_moment(tail: PositionsTail, rng: Random) -> None:
    """Return at a moment to kill capture, which has just been started: mostly at work, now and then before that."""
    if rng.random() < WHILE_STARTING:
        time.sleep(rng.uniform(*STARTING_SECONDS))
        return
    since = time.time() * 1000
    deadline = time.monotonic() + 120
    while tail.last is None or tail.last.at_ms < since:
        assert time.monotonic() < deadline, "capture does not begin"
        tail.poll(0.05)
    time.sleep(rng.uniform(*WORKING_SECONDS))


def under_way(tail: PositionsTail, since: float) -> str:
    """What capture was last seen at, ``since`` a moment of this machine's clock, in milliseconds."""
    while tail.poll(0):
        pass
    last = tail.last
    if last is None or last.at_ms < since:
        return "starting"
    if last.partial:
        return "large transaction"
    return "snapshot" if any(state.state == "running" for state in tail.snapshots.values()) else "stream"


def killed(capture: CaptureProcess, one: Source, kills: int, seed: int) -> dict[str, object]:
    """Kill capture ``kills`` times while its tables are written, altered and told anew; what happened meanwhile."""
    rng = Random(seed)
    traffic = Traffic(one.endpoint, rate=RATE, seed=seed, ledger=True, workers=2)
    upheaval = Upheaval(one, capture.kafka, seed)
    tail = PositionsTail(capture.kafka, VERSION)
    moments: Counter[str] = Counter()
    began = time.monotonic()
    traffic.start()
    upheaval.start()
    try:
        for _ in range(kills):
            since = time.time() * 1000
            await_moment(tail, rng)
            moments[under_way(tail, since)] += 1
            capture.kill()
            capture.start()
    finally:
        upheaval.end()
        traffic.stop()
        tail.close()
    capture.settle(one, timeout=600)
    return {
        "kills": dict(moments),
        "seconds": round(time.monotonic() - began),
        "upheaval": dict(upheaval.done),
        "transactions": traffic.stats().transactions,
    }


def assert_every_change_once_and_in_order(capture: CaptureProcess, one: Source, done: dict[str, object]) -> None:
    ledger, bulk = followed(capture.kafka, capture.topics["tr_ledger"]), followed(capture.kafka, capture.topics[BULK])
    errors = [line for line in capture.log().splitlines() if "ERROR" in line]
    figures = {"told": {"ledger": dict(ledger.ops), "bulk": dict(bulk.ops)}, "engine": capture.engine}
    print(json.dumps({**done, **figures}))
    assert ledger.faults == []
    assert bulk.faults == []
    assert ledger_faults(ledger, one) == []
    assert bulk_faults(bulk, one) == []
    assert errors == []
    assert ledger.ops["u"], "the ledger was never written"
    assert bulk.ops["u"], "there was no large transaction"


@pytest.mark.parametrize(("kind", "engine"), FEW)
def test_a_few_kills_of_capture_lose_nothing_and_tell_nothing_twice(
    kind: type[MySQL], engine: str, tmp_path: Path
) -> None:
    with source(kind, tmp_path / "servers") as one, captured(one, tmp_path, bulk=20_000, engine=engine) as capture:
        assert_every_change_once_and_in_order(capture, one, killed(capture, one, kills=5, seed=7))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("engine", ENGINES)
def test_many_kills_of_capture_lose_nothing_and_tell_nothing_twice(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    with source(MySQL, tmp_path / "servers") as one, captured(one, tmp_path, bulk=50_000, engine=engine) as capture:
        assert_every_change_once_and_in_order(capture, one, killed(capture, one, kills=kills, seed=20261121))
