"""Transactions larger than memory: cut at rows, gone on with inside after a kill, and never held as a whole."""

import json
import threading
import time
from pathlib import Path

import pytest
from capturing import captured, kill_inside
from sources import MARIADB, NATIVE, source
from topic_order import bulk_faults, followed
from upheaval import BULK

from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL

pytestmark = pytest.mark.slow

MILLION = 1_000_000
MOST_GROWTH_MB = 192
"""Room for what is read ahead, decoded and on its way to Kafka at once; the transaction has ten times as much."""
ENGINES = [
    pytest.param(MySQL, "python", id="mysql-python"),
    pytest.param(MySQL, "native", id="mysql-native", marks=NATIVE),
    pytest.param(MariaDB, "native", id="mariadb-native", marks=[MARIADB, NATIVE, pytest.mark.long]),
]


@pytest.mark.parametrize(("kind", "engine"), ENGINES)
def test_a_transaction_is_gone_on_with_inside(kind: type[MySQL], engine: str, tmp_path: Path) -> None:
    with source(kind, tmp_path / "servers") as one, captured(one, tmp_path, bulk=60_000, engine=engine) as capture:
        written = kill_inside(capture, one)
        capture.start()
        capture.settle(one)
        bulk = followed(capture.kafka, capture.topics[BULK])
        assert bulk.faults == []
        assert bulk_faults(bulk, one) == []
        assert set(bulk.changes.values()) == {written}


class Memory(threading.Thread):
    """A process's resident memory, looked at until `end`."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="memory", daemon=True)
        self.first = self.most = self._look(pid)
        self._pid, self._ended = pid, threading.Event()

    @staticmethod
    def _look(pid: int) -> float:
        """In MB."""
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the process has no memory")

    def run(self) -> None:
        while not self._ended.wait(0.05):
            self.most = max(self.most, self._look(self._pid))

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", ["python", pytest.param("native", marks=NATIVE)])
def test_a_million_rows_in_one_transaction_pass_in_bounded_memory(engine: str, tmp_path: Path) -> None:
    with source(MySQL, tmp_path / "servers") as one, captured(one, tmp_path, bulk=MILLION, engine=engine) as capture:
        memory = Memory(capture.pid)
        memory.start()
        began = time.monotonic()
        one.run(f"UPDATE {BULK} SET n = n + 1")
        capture.settle(one, timeout=900)
        seconds = time.monotonic() - began
        memory.end()
        bulk = followed(capture.kafka, capture.topics[BULK])
        figures = {"engine": engine, "rows": MILLION, "seconds": round(seconds, 1)}
        print(json.dumps({**figures, "rss_mb": {"before": round(memory.first), "most": round(memory.most)}}))
        assert bulk.faults == []
        assert set(bulk.changes.values()) == {1}
        assert memory.most - memory.first < MOST_GROWTH_MB
