#!/usr/bin/env python3
"""A table filled while changes go on, then filled again and swept: ``python -m bench.snapshot [--rows N] [--rate N]``.

Servers of its own are started and stopped. One JSON object on stdout: rows/s of the fill, the memory of capture at 10,
50 and 100 % of it, MySQL's commit latency before and during, and whether what the topic told last of every key is what
MySQL holds. Two million rows take an hour on two cores, most of it for loading and comparing.
"""

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.capture import servers
from bench.capture_worker import topology
from changes.canonical import compiled
from changes.envelope import decode_key, headers_from
from changes.progress import Request, SnapshotState
from streams.capture.capture import Capture
from streams.capture.requests import ask, new_id
from streams.kafka import KafkaUrl, ensure_topics, read_topic
from streams.mysql import MysqlUrl, connect, session
from streams.topics import topic_specs
from streams.view import view_of
from streams.watch import PositionsTail, wait

VERSION, DATABASE, TABLE = "bench", "bench_snapshot", "items"
PORTION = 2000
SHARES = (0.1, 0.5, 1.0)
CREATE = """CREATE TABLE items (
    id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, user_id BIGINT NOT NULL, title VARCHAR(200) NOT NULL, body TEXT,
    price DECIMAL(12,2), details JSON, changed DATETIME(3), seen INT NOT NULL DEFAULT 0)"""
INSERT = """INSERT INTO items (user_id, title, body, price, details, changed) SELECT n %% 977,
    CONCAT('Position ', %s + n), REPEAT(SHA2(n, 256), 2), n * 1.25, JSON_OBJECT('n', n, 'remote', n %% 2 = 0),
    '2026-01-02 03:04:05.678' FROM numbers"""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rate", type=float, default=1000.0, help="changes a second while the table is filled")
    parser.add_argument("--workers", type=int, default=4, help="connections that write")
    parser.add_argument("--before", type=float, default=20.0, help="seconds of writes before the fill begins")
    parser.add_argument("--vanish", type=float, default=0.01, help="share of the rows that vanish before the sweep")
    parser.add_argument("--capture", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.capture:
        capture(json.loads(arguments.capture))
    else:
        with servers(None) as (mysql, kafka):
            print(json.dumps(measured(arguments, mysql, kafka), indent=2))


def capture(task: dict[str, Any]) -> None:
    """Capture in a process of its own, until it is ended."""
    logging.basicConfig(level=logging.INFO)
    mysql, kafka = MysqlUrl(**task["mysql"]), KafkaUrl(**task["kafka"])
    Capture(topology(VERSION, DATABASE, TABLE), VERSION, mysql, kafka, threading.Event()).run()


def measured(arguments: argparse.Namespace, admin: MysqlUrl, kafka: KafkaUrl) -> dict[str, Any]:
    loaded(admin, arguments.rows)
    mysql = MysqlUrl(admin.host, admin.port, admin.user, admin.password, DATABASE)
    ensure_topics(kafka, topic_specs(topology(VERSION, DATABASE, TABLE), VERSION))
    found: dict[str, Any] = {"rows": arguments.rows, "rate": arguments.rate}
    with Writers(mysql, arguments.rate, arguments.workers, arguments.rows) as writers:
        time.sleep(arguments.before)
        found["commit_before_ms"] = quantiles(writers.taken())
        with captured(mysql, kafka) as process:
            found["fill"] = filled(kafka, process, arguments.rows)
            found["commit_during_ms"] = quantiles(writers.taken())
            found["changes_a_second"] = round(writers.rate, 1)
            writers.stop()
            found["compared"] = compared(mysql, kafka)
            gone = vanish(mysql, arguments.vanish)
            say(f"{gone} rows vanished; filling again")
            (offset,) = ask(kafka, VERSION, [Request(new_id(), TABLE, None)])
            found["again"] = filled(kafka, process, arguments.rows, behind=offset) | {"vanished": gone}
            found["compared_again"] = compared(mysql, kafka)
    return found


def loaded(admin: MysqlUrl, rows: int) -> None:
    with session(admin) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {DATABASE}")
        cursor.execute(CREATE)
        cursor.execute("CREATE TABLE numbers (n INT PRIMARY KEY)")
        cursor.execute("INSERT INTO numbers VALUES " + ", ".join(f"({n})" for n in range(PORTION)))
        for name, value in (("sync_binlog", 0), ("innodb_flush_log_at_trx_commit", 0)):
            cursor.execute(f"SET GLOBAL {name} = {value}")
        for first in range(0, rows, PORTION):
            cursor.execute(INSERT, (first,))
            if first % 200_000 == 0:
                say(f"{first} rows are loaded")
        for name in ("sync_binlog", "innodb_flush_log_at_trx_commit"):
            cursor.execute(f"SET GLOBAL {name} = 1")


class Writers:
    """Single-row transactions from several connections; the seconds that each took."""

    def __init__(self, mysql: MysqlUrl, rate: float, workers: int, rows: int) -> None:
        self._mysql, self._rows = mysql, rows
        self._pause = workers / rate
        self._stop = threading.Event()
        self._seconds: list[list[float]] = [[] for _ in range(workers)]
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(workers)]
        self._written = [0] * workers

    def __enter__(self) -> "Writers":
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def rate(self) -> float:
        return sum(self._written) / (time.monotonic() - self._began)

    def taken(self) -> list[float]:
        """The seconds of every transaction since this was last asked."""
        found = [seconds for one in self._seconds for seconds in one]
        self._seconds = [[] for _ in self._seconds]
        return found

    def _run(self, number: int) -> None:
        rng, due = random.Random(number), time.monotonic()
        with connect(self._mysql) as connection, connection.cursor() as cursor:
            while not self._stop.is_set():
                due += self._pause
                time.sleep(max(0.0, due - time.monotonic()))
                kind, key = rng.random(), rng.randrange(1, self._rows)
                began = time.monotonic()
                if kind < 0.6:
                    cursor.execute("UPDATE items SET seen = seen + 1, changed = NOW(3) WHERE id = %s", (key,))
                elif kind < 0.9:
                    cursor.execute("INSERT INTO items (user_id, title) VALUES (%s, 'new')", (key,))
                else:
                    cursor.execute("DELETE FROM items WHERE id = %s", (key,))
                self._seconds[number].append(time.monotonic() - began)
                self._written[number] += 1


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.5), ("p99", 0.99))
        if ordered
    }


@contextmanager
def captured(mysql: MysqlUrl, kafka: KafkaUrl) -> Iterator[subprocess.Popen[bytes]]:
    """Capture in a process of its own."""
    task = json.dumps({"mysql": asdict(mysql), "kafka": asdict(kafka)})
    with tempfile.TemporaryFile() as lines:
        process = subprocess.Popen([sys.executable, "-m", "bench.snapshot", "--capture", task], stderr=lines)
        try:
            yield process
        except EOFError:
            lines.seek(0)
            raise SystemExit(f"capture ended: {lines.read().decode()[-2000:]}") from None
        finally:
            process.terminate()
            process.wait(20)


@dataclass
class Watched:
    """What is seen of a fill: when its first row was read, and capture's memory as it goes."""

    pid: int
    expected: int
    began: float = 0.0
    reading: float = 0.0
    rss: dict[str, float] = field(default_factory=dict)

    def take(self, state: SnapshotState) -> bool:
        """Whether it has ended."""
        now = time.monotonic()
        if state.state != "done" and not self.began:
            self.began = now
        for share in SHARES:
            if state.rows >= share * self.expected * 0.98:
                self.rss.setdefault(f"{share:.0%}", resident(self.pid))
        if state.state != "running" and self.began and not self.reading:
            self.reading = now - self.began
        return bool(self.began) and state.state == "done"


def filled(kafka: KafkaUrl, process: subprocess.Popen[bytes], rows: int, behind: int = -1) -> dict[str, Any]:
    """Follow a fill to its end. Raises `EOFError` where capture ends before."""
    watched, tail, said = Watched(process.pid, rows), PositionsTail(kafka, VERSION), 0.0
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak from here on
    try:
        while True:
            if process.poll() is not None:
                raise EOFError
            tail.poll(0.2)
            state = tail.snapshots.get(TABLE)
            if state is None or tail.snapshots_behind <= behind:
                continue
            if time.monotonic() - said > 10:
                said = time.monotonic()
                say(f"{state.state}: {state.rows} of about {state.estimate} rows, {state.rate:.0f} a second")
            if watched.take(state):
                seconds = time.monotonic() - watched.began
                return {
                    "rows": state.rows,
                    "seconds": round(seconds, 1),
                    "rows_a_second": round(state.rows / max(watched.reading, 0.001)),
                    "sweep_seconds": round(seconds - watched.reading, 1),
                    "swept": state.swept,
                    "rss_mb": watched.rss,
                    "peak_mb": resident(process.pid, "VmHWM"),
                }
    finally:
        tail.close()


def resident(pid: int, line: str = "VmRSS") -> float:
    """Megabytes of a process."""
    for text in Path(f"/proc/{pid}/status").read_text().splitlines():
        if text.startswith(f"{line}:"):
            return round(int(text.split()[1]) / 1024, 1)
    return 0.0


def vanish(mysql: MysqlUrl, share: float) -> int:
    """Delete rows so that no event tells of it; how many."""
    with session(mysql) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        return int(cursor.execute(f"DELETE FROM items WHERE id % {max(1, round(1 / share))} = 0")) if share else 0


def compared(mysql: MysqlUrl, kafka: KafkaUrl) -> dict[str, Any]:
    """What the topic told last of every key, by its hash, beside MySQL's rows."""
    if not wait(mysql, kafka, [], version=VERSION, timeout=600).done:
        raise SystemExit("capture did not catch up")
    with session(mysql) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT MAX(id) FROM items")
        size = int((cursor.fetchone() or (0,))[0]) + 1_000_000
    told, records = array("Q", bytes(8 * size)), 0
    for message in read_topic(kafka, topology(VERSION, DATABASE, TABLE).topic(VERSION, TABLE)):
        key = int(decode_key(bytes(message.key() or b""))["id"] or 0)
        told[key] = 0 if message.value() is None else headers_from(message.headers()).hash
        records += 1
    alive = sum(1 for hash_ in told if hash_)
    rows, differing, total = 0, 0, 0
    with view_of(mysql, DATABASE, TABLE, 0, key=("id",), dropped=frozenset()) as view:
        hash_row = compiled(view.schema.columns)
        for row in view.rows():
            hash_ = hash_row(row)
            rows, total = rows + 1, total + hash_
            differing += told[int(str(row["id"]))] != hash_
    return {
        "records": records,
        "rows": rows,
        "keys_alive": alive,
        "differing": differing,
        "sums_equal": sum(told) == total,
        "equal": rows == alive and not differing and sum(told) == total,
    }


if __name__ == "__main__":
    main()
