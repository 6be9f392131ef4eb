"""Rows of up to 64 MB: what fits passes, what does not is parked with its key, neighbours go on in bounded memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from confluent_kafka import KafkaException

from changes.errors import TailraceError
from changes.progress import internal_topic
from streams.capture.emit import LARGEST_MESSAGE
from streams.capture.engine import native_module
from streams.kafka import KafkaUrl, read_topic
from streams.mysql import MysqlUrl, session

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = (1, 8, 20, 64)
KINDS = {"body": "REPEAT('a', {})", "word": "REPEAT('é', {} DIV 2)", "doc": "JSON_ARRAY(REPEAT('a', {}))"}
SECONDS = 600

BASE_MB = 200
"""What capture takes beside large rows: Python, the producer's queue, batches."""
TIMES = 12
"""How many times its own size a row may take: an update's event holds it twice, its images and its text again."""


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


@contextmanager
def capture(engine: str, version: str, urls: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    words = [
        sys.executable,
        str(Path(__file__).with_name("capture_alone.py")),
        version,
        version,
        urls["mysql"],
        urls["kafka"],
    ]
    environ = {**os.environ, "TAILRACE_ENGINE": engine, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def told(kafka: KafkaUrl, version: str) -> list[tuple[int, str, int]]:
    """Of each change in its topic: key, operation, bytes. Nothing while there is no topic."""
    try:
        found = list(read_topic(kafka, f"{version}.{version}.t"))
    except (TailraceError, KafkaException):
        return []
    keys = [json.loads(message.key() or b"{}")["id"] for message in found]
    values = [message.value() for message in found]
    return [
        (key, json.loads(value)["op"], len(value)) for key, value in zip(keys, values, strict=True) if value is not None
    ]


def wait_for(kafka: KafkaUrl, version: str, key: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while not any(found == key for found, _, _ in told(kafka, version)):
        assert process.poll() is None, "capture ended"
        assert time.monotonic() < deadline, f"row {key} was not told"
        time.sleep(0.5)


def peak_mb(process: "subprocess.Popen[bytes]") -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10


def parked(kafka: KafkaUrl, version: str) -> list[int]:
    return [json.loads(message.key() or b"{}")["id"] for message in read_topic(kafka, internal_topic(version, "dlq"))]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", ["native", "python"])
def test_large_rows_pass_or_are_parked_in_bounded_memory(stack: Running, engine: str) -> None:
    if engine == "native" and native_module({}) is None:
        pytest.skip("no native reader here: it is built where `cargo` is")
    version, urls = f"large{engine}", stack.admin["future"]
    mysql, kafka = MysqlUrl.parse(urls["mysql"]), KafkaUrl.parse(urls["kafka"])
    with session(mysql) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {version} CHARACTER SET utf8mb4")
        cursor.execute(f"CREATE TABLE {version}.t (id INT PRIMARY KEY, body LONGBLOB, word LONGTEXT, doc JSON, n INT)")
        with capture(engine, version, urls) as process:
            cursor.execute(f"INSERT INTO {version}.t (id) VALUES (0)")
            wait_for(kafka, version, 0, process)
            large = write(cursor, version)
            cursor.execute(f"INSERT INTO {version}.t (id) VALUES (1000000)")
            wait_for(kafka, version, 1_000_000, process)
            peak = peak_mb(process)
        cursor.execute(f"DROP DATABASE {version}")
    changes = told(kafka, version)
    print(f"{engine}: {peak} MB")
    assert peak < BASE_MB + TIMES * max(MEGABYTES)
    for id_, megabytes in large.items():
        ops = [op for key, op, _ in changes if key == id_]
        fits = megabytes << 20 < LARGEST_MESSAGE // 2
        assert ops == (["c", "u", "d"] if fits else ["d"]), (id_, megabytes)
        assert parked(kafka, version).count(id_) == (0 if fits else 2)
    neighbours = [key for key, op, _ in changes if op == "c" and key not in large]
    assert neighbours == [*(id_ + 1 for id_ in large), 1_000_000]
    assert all(size <= LARGEST_MESSAGE for _, _, size in changes)


def write(cursor: Any, version: str) -> dict[int, int]:
    """Large rows, each with a neighbour, changed and deleted: their ids, and how many megabytes they have."""
    large = {}
    for nth, megabytes in enumerate(MEGABYTES):
        for at, (column, made) in enumerate(KINDS.items()):
            id_ = 1000 * (nth + 1) + 10 * at
            large[id_] = megabytes
            value = made.format(megabytes << 20)
            cursor.execute(f"INSERT INTO {version}.t (id, {column}) VALUES ({id_}, {value}), ({id_ + 1}, NULL)")
            cursor.execute(f"UPDATE {version}.t SET n = 1 WHERE id = {id_}")
            cursor.execute(f"DELETE FROM {version}.t WHERE id = {id_}")
    return large
