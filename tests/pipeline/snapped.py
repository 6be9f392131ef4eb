"""A line of two tables of its own, with rows that change behind the binlog's back, and its topics read back."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from line import Line

from changes.progress import Request
from streams.capture.requests import ask, new_id
from streams.fills import published, wait_for
from streams.kafka import read_topic
from streams.mysql import Connection, MysqlUrl, connect
from streams.watch import wait
from tailrace.declared import read_topology
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: sn_items
    key: [owner, name]
    partitions: 4
    user: owner
    sinks:
      - {sink: redis,    tier: realtime, place: "item:{owner}:{name}", keep: mirror}
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
  - table: sn_notes
    key: [id]
    partitions: 2
    sinks:
      - {sink: postgres, tier: realtime}
"""
CREATED = (
    "CREATE TABLE sn_items (owner BIGINT UNSIGNED, name VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, n BIGINT, amount"
    " DECIMAL(20,2), PRIMARY KEY (owner, name))",
    "CREATE TABLE sn_notes (id VARBINARY(8) PRIMARY KEY, text TEXT, at DATETIME(3))",
)
TABLES = ("sn_items", "sn_notes")


@dataclass
class Snapped:
    """``silent`` is a connection whose changes are in no binlog."""

    line: Line
    topics: Path
    silent: Connection
    loud: Connection

    def execute(self, statement: str, *arguments: Any, silent: bool = False) -> int:
        with (self.silent if silent else self.loud).cursor() as cursor:
            return int(cursor.execute(statement, arguments))

    def ask(self, table: str, **more: Any) -> tuple[int, str]:
        """Ask for a fill; the request's offset and the fill's name."""
        request = Request(new_id(), table, None, **more)
        (offset,) = ask(self.line.kafka, self.line.version, [request])
        return offset, f"{table}/{request.id}" if request.where else table

    def ask_paused(self, table: str) -> None:
        """Ask for a fill that pauses before its first chunk; it is paused when this returns."""
        requests = [Request(new_id(), table, None), Request(new_id(), table, None, act="pause")]
        last = max(ask(self.line.kafka, self.line.version, requests))
        assert wait_for(self.line.kafka, self.line.version, last, (), timeout=30.0)

    def filled(self, asked: tuple[int, str], timeout: float = 120.0) -> None:
        assert wait_for(self.line.kafka, self.line.version, asked[0], {asked[1]}, timeout=timeout)

    def caught_up(self) -> None:
        """Wait until capture has told everything committed by now."""
        assert wait(self.line.mysql, self.line.kafka, [], version=self.line.version, timeout=120.0).done

    def told(self, table: str) -> list[tuple[bytes, dict[str, Any] | None]]:
        """Every committed record of a table's topic, each partition in order: key and value."""
        topic = self.line.topology.topic(self.line.version, table)
        return [
            (bytes(message.key() or b""), None if (value := message.value()) is None else msgspec.json.decode(value))
            for message in read_topic(self.line.kafka, topic)
        ]

    def alive(self, table: str) -> dict[bytes, dict[str, Any]]:
        """The last row told of every key, deleted ones left out."""
        last = dict(self.told(table))
        return {key: value["after"] for key, value in last.items() if value is not None}

    def truth(self, table: str) -> dict[bytes, dict[str, Any]]:
        """MySQL's rows in the form of the topic."""
        columns = {
            "sn_items": "owner, name, n, CAST(amount AS CHAR)",
            "sn_notes": "REPLACE(TO_BASE64(id), '\\n', ''), text, DATE_FORMAT(at, '%Y-%m-%dT%H:%i:%s.%f')",
        }[table]
        rows = {}
        with self.loud.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM {table}")
            for values in cursor.fetchall():
                if table == "sn_items":
                    row = dict(zip(("owner", "name", "n", "amount"), values, strict=True))
                    key: dict[str, Any] = {"owner": row["owner"], "name": row["name"]}
                else:
                    row = dict(zip(("id", "text", "at"), values, strict=True))
                    row["at"] = None if row["at"] is None else f"{row['at'][:23]}Z"
                    key = {"id": row["id"]}
                rows[msgspec.json.encode(key)] = row
        return rows

    def states(self) -> dict[str, Any]:
        return published(self.line.kafka, self.line.version, timeout=10.0) or {}

    def kill_capture(self) -> None:
        while (pid := self.line.pipeline.pids().get("future.capture")) is None:
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def snapped(
    servers: Stack, folder: Path, *, items: int = 0, roles: tuple[str, ...] = ("capture",)
) -> Iterator[Snapped]:
    """Both tables, ``items`` rows in the first, and a pipeline that has filled them."""
    endpoints = servers.endpoints()["future"]
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    topology = read_topology(topics)
    root = MysqlUrl.parse(servers.admin()["future"]["mysql"])
    ours = MysqlUrl.parse(endpoints["mysql"])
    silent = connect(MysqlUrl(root.host, root.port, root.user, root.password, ours.database))
    loud = connect(ours)
    pipeline = Pipeline(topology, {"future": endpoints}, topics=topics, roles=roles, log_file=folder / "pipeline.log")
    with silent, loud:
        with silent.cursor() as cursor:
            cursor.execute("SET sql_log_bin = 0, sql_mode = ''")
        one = Snapped(Line(topology, endpoints, pipeline), topics, silent, loud)
        for statement in (*(f"DROP TABLE IF EXISTS {table}" for table in TABLES), *CREATED):
            one.execute(statement)
        for first in range(0, items, 1000):
            one.execute(
                "INSERT INTO sn_items VALUES "
                + ", ".join(f"({n % 7}, 'item {n}', 0, {n}.25)" for n in range(first, min(items, first + 1000)))
            )
        pipeline.start()
        try:
            one.filled((-1, "sn_items"))
            one.filled((-1, "sn_notes"))
            yield one
        finally:
            pipeline.stop()


@dataclass
class Writer:
    """Writes rows of both tables that silent changes leave alone: names and ids with a ``w`` in front."""

    mysql: MysqlUrl
    seed: int
    rate: float = 200.0
    written: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Writer":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        rng = random.Random(self.seed)
        with connect(self.mysql) as connection, connection.cursor() as cursor:
            while not self._stop.wait(1 / self.rate):
                self.written += 1
                owner, number = rng.randrange(7), rng.randrange(300)
                if rng.random() < 0.3:
                    cursor.execute("DELETE FROM sn_items WHERE owner = %s AND name = %s", (owner, f"w{number}"))
                    cursor.execute("DELETE FROM sn_notes WHERE id = %s", (f"w{number}".encode(),))
                else:
                    cursor.execute(
                        "REPLACE INTO sn_items VALUES (%s, %s, %s, 1.5)", (owner, f"w{number}", self.written)
                    )
                    cursor.execute("REPLACE INTO sn_notes VALUES (%s, 'text', NOW(3))", (f"w{number}".encode(),))


@contextmanager
def restarted(line: Snapped) -> Iterator[None]:
    """The same line with a pipeline anew, its own having been stopped."""
    one = line.line
    pipeline = Pipeline(
        one.topology,
        {one.version: one.endpoints},
        topics=line.topics,
        roles=("capture", "deliver"),
        log_file=line.topics.parent / "pipeline.log",
    )
    one.pipeline = pipeline
    pipeline.start()
    try:
        yield
    finally:
        pipeline.stop()
