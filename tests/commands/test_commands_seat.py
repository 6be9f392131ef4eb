"""Workers that share a lane each have a name, and what they say is told as one."""

import re
import subprocess
import sys
import time
from pathlib import Path

from tailrace.health import own_report
from tailrace.seat import VARIABLE, Seat

HOLD = """
import sys, time
from pathlib import Path
from tailrace.seat import Seat
print(Seat(Path(sys.argv[1]), "deliver-redis").number, flush=True)
time.sleep(600)
"""


def test_each_worker_of_a_machine_has_a_number_and_comes_back_under_it(tmp_path: Path) -> None:
    first = Seat(tmp_path, "deliver-redis")
    with Seat(tmp_path, "deliver-redis") as second, Seat(tmp_path, "deliver-postgres") as other:
        assert (first.number, second.number, other.number) == (0, 1, 0)
        first.leave()
        with Seat(tmp_path, "deliver-redis") as again:
            assert again.name == first.name != second.name


def test_a_number_is_free_once_its_process_was_killed(tmp_path: Path) -> None:
    held = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == "0\n"
        with Seat(tmp_path, "deliver-redis") as seat:
            assert seat.number == 1
    finally:
        held.kill()
        held.communicate()
    with Seat(tmp_path, "deliver-redis") as seat:
        assert seat.number == 0


def test_a_name_is_what_kafka_takes_and_may_be_given(tmp_path: Path) -> None:
    with Seat(tmp_path, "a", {}) as seat:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}\.0", seat.name)
    with Seat(tmp_path, "a", {VARIABLE: "east one/1"}) as seat:
        assert seat.name == "east-one-1.0"


def told(**more: object) -> dict[str, object]:
    counts = dict.fromkeys(
        ("applied", "stale", "parked", "collapsed", "filtered", "rewound", "repeated", "skipped", "timed", "fresh"), 1
    )
    lane = {"sink": "redis", "tier": "quick", "state": "running", "reason": "", "newest_ms": None, "due_ms": None}
    return {"lanes": [lane | counts | {"freshness_ms": [1.0]} | more]}


def test_workers_of_a_lane_are_told_as_one_that_is_as_well_as_its_worst() -> None:
    now = time.time() * 1000
    reports = {
        "deliver-redis.0": told(newest_ms=now, due_ms=7.0),
        "deliver-redis.1": told(state="waiting", reason="the store is away", applied=5, freshness_ms=[2.0]),
        "deliver-postgres.0": {"lanes": [{"sink": "postgres", "tier": "quick"}]},
    }
    found = own_report("redis", "quick", reports)
    assert found is not None
    assert (found["state"], found["reason"], found["applied"]) == ("waiting", "the store is away", 6)
    assert (found["newest_ms"], found["due_ms"], found["freshness_ms"]) == (now, 7.0, [1.0, 2.0])
    assert own_report("redis", "slow", reports) is None
