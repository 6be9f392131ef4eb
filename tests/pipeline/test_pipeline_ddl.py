"""DDL under traffic, capture killed right behind it: every store ends as MySQL is."""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
import pymysql
import pytest
from line import Line, line

from changes.progress import SnapshotState, internal_topic
from streams.kafka import read_topic
from streams.mysql import MysqlUrl, connect
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TABLE, VERSION = "tr_ddl", "future"
TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: tr_ddl
    key: [id]
    user: user_id
    partitions: 3
    sinks:
      - {sink: redis,    tier: realtime, place: "ddl:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
"""
CREATE = (
    f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, user_id INT NOT NULL, n INT NOT NULL, title VARCHAR(40), amount INT)"
)
FILL = (
    f"INSERT IGNORE INTO {TABLE} (id, user_id, n, title, amount) WITH RECURSIVE s (i) AS"
    " (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 300) SELECT i, i % 5, 0, CONCAT('title ', i), i * 10 FROM s"
)
PASSING = {1146, 1054, 1205, 1213, 1412, 1364, 1526}
"""What a writer meets while its table is renamed, dropped or altered: it tries again."""


class Writer(threading.Thread):
    """Rows come, change and go, for as long as the table is there to take them."""

    def __init__(self, mysql: MysqlUrl) -> None:
        super().__init__(daemon=True)
        self._mysql, self._ended, self._rng = mysql, threading.Event(), random.Random(5)
        self.failed: Exception | None = None
        self.written = 0

    def run(self) -> None:
        with closing(connect(self._mysql)) as connection, connection.cursor() as cursor:
            change = f"INSERT INTO {TABLE} (id, user_id, n) VALUES (%s, %s, 1) ON DUPLICATE KEY UPDATE n = n + 1"
            while not self._ended.wait(0.01):
                id_ = self._rng.randint(1, 600)
                try:
                    if self._rng.random() < 0.2:
                        cursor.execute(f"DELETE FROM {TABLE} WHERE id = %s", (id_,))
                    else:
                        cursor.execute(change, (id_, id_ % 5))
                    self.written += 1
                except pymysql.err.MySQLError as error:
                    if error.args[0] not in PASSING:
                        self.failed = error
                        return

    def stop(self) -> None:
        self._ended.set()
        self.join()
        assert self.failed is None


@dataclass(frozen=True)
class Altered:
    """A line with traffic on its only table."""

    line: Line
    writer: Writer

    def run(self, *statements: str) -> None:
        with closing(connect(self.line.mysql)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def capture(self) -> int:
        """The process that captures now."""
        while (pid := self.line.pipeline.pids().get(f"{VERSION}.capture")) is None:
            time.sleep(0.02)
        return pid

    def killed(self) -> None:
        os.kill(self.capture(), signal.SIGKILL)

    def equal(self) -> int:
        """How many rows are the same in MySQL and in every store; fails where one is not."""
        report = self.line.check()
        assert report.verdict == "equal", report
        assert {result.sink for result in report.results} == {"redis", "postgres", "sqlite"}
        return report.results[0].source_rows

    def stored(self) -> int:
        """How many rows PostgreSQL has."""

        async def count() -> int:
            connection = await asyncpg.connect(self.line.endpoints["postgres"])
            try:
                return int(await connection.fetchval(f"SELECT count(*) FROM tailrace.{TABLE}"))
            finally:
                await connection.close()

        return asyncio.run(count())

    def state(self) -> SnapshotState:
        """What capture saved of the table's fill."""
        found = None
        for message in read_topic(self.line.kafka, internal_topic(VERSION, "checkpoint")):
            if message.key() == f"snapshot:{TABLE}".encode():
                found = msgspec.json.decode(message.value() or b"", type=SnapshotState)
        assert found is not None
        return found

    def records(self) -> Iterator[dict[str, object]]:
        """The rows after each change that the stream told, in no order."""
        topic = self.line.topology.topic(VERSION, TABLE)
        for message in read_topic(self.line.kafka, topic):
            change = msgspec.json.decode(message.value() or b"{}")
            if change.get("op") in {"c", "u"}:
                yield change["after"]


@contextmanager
def altered(servers: Stack, folder: Path) -> Iterator[Altered]:
    endpoints = servers.endpoints()[VERSION]
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    mysql = MysqlUrl.parse(endpoints["mysql"])
    with closing(connect(mysql)) as connection, connection.cursor() as cursor:
        for statement in (f"DROP TABLE IF EXISTS {TABLE}", CREATE, FILL):
            cursor.execute(statement)
    with line(endpoints, folder, rows=20, topics=topics) as running:
        writer = Writer(mysql)
        writer.start()
        try:
            yield Altered(running, writer)
        finally:
            writer.stop()


@pytest.fixture(scope="module")
def busy(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Altered]:
    with altered(servers, tmp_path_factory.mktemp("line")) as running:
        yield running


GHOST = (
    f"CREATE TABLE _{TABLE}_gho LIKE {TABLE}",
    f"ALTER TABLE _{TABLE}_gho ADD COLUMN by_ghost INT NOT NULL DEFAULT 3",
    f"INSERT INTO _{TABLE}_gho (id, user_id, n) SELECT id, user_id, n FROM {TABLE} WHERE id % 2",
    f"RENAME TABLE {TABLE} TO _{TABLE}_del, _{TABLE}_gho TO {TABLE}",
    f"DROP TABLE _{TABLE}_del",
)
PARTED = (
    f"ALTER TABLE {TABLE} PARTITION BY RANGE (id)"
    " (PARTITION a VALUES LESS THAN (200), PARTITION b VALUES LESS THAN MAXVALUE)"
)
# One after the other, each on the table as the one before has left it.
CASES: dict[str, Sequence[str]] = {
    "truncate": (f"TRUNCATE TABLE {TABLE}",),
    "refilled": (f"DELETE FROM {TABLE}", FILL),
    "add a column with a default": (f"ALTER TABLE {TABLE} ADD COLUMN extra VARCHAR(10) NOT NULL DEFAULT 'given'",),
    "drop a column and add it again": (f"ALTER TABLE {TABLE} DROP extra, ADD COLUMN extra VARCHAR(10) DEFAULT 'new'",),
    "rename a column": (f"ALTER TABLE {TABLE} RENAME COLUMN title TO heading",),
    "reorder columns": (f"ALTER TABLE {TABLE} MODIFY amount INT FIRST, MODIFY heading VARCHAR(40) AFTER extra",),
    "a wider type": (f"ALTER TABLE {TABLE} MODIFY amount BIGINT",),
    "another type": (f"ALTER TABLE {TABLE} MODIFY amount VARCHAR(30), MODIFY n BIGINT NOT NULL",),
    "back again": (f"ALTER TABLE {TABLE} MODIFY amount DECIMAL(12,2)",),
    "a generated column": (f"ALTER TABLE {TABLE} ADD COLUMN twice BIGINT AS (n * 2) STORED",),
    "drop columns": (f"ALTER TABLE {TABLE} DROP COLUMN twice, DROP COLUMN extra",),
    "another character set": (f"ALTER TABLE {TABLE} CONVERT TO CHARACTER SET latin1",),
    "swap as gh-ost does": GHOST,
    "truncate a partition": (PARTED, f"ALTER TABLE {TABLE} TRUNCATE PARTITION a"),
    "drop a partition": (f"ALTER TABLE {TABLE} DROP PARTITION a",),
    "drop and make again": (f"DROP TABLE {TABLE}", CREATE, FILL),
}


EVERY_DAY = (
    "truncate",
    "refilled",
    "add a column with a default",
    "another type",
    "swap as gh-ost does",
    "drop and make again",
)
"""A selection that can be run without the others, and leaves the table as it was."""


def equal_behind(case: str, busy: Altered) -> None:
    written = busy.writer.written
    busy.run(*CASES[case])
    busy.killed()
    rows = busy.equal()
    assert busy.writer.written > written
    assert rows > 0
    assert busy.state().state == "done"


@pytest.mark.parametrize("case", EVERY_DAY)
def test_ddl_and_a_kill_behind_it_leave_every_store_equal(busy: Altered, case: str) -> None:
    equal_behind(case, busy)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_all_ddl_and_a_kill_behind_each_leave_every_store_equal(busy: Altered) -> None:
    for case in CASES:
        equal_behind(case, busy)


def test_a_table_that_is_gone_is_known_and_filled_when_it_is_back(busy: Altered) -> None:
    busy.run(f"RENAME TABLE {TABLE} TO away")
    busy.killed()
    busy.line.settle()
    assert busy.state().absent
    assert busy.stored() == 0
    found = busy.line.check()
    assert {(result.verdict, result.reason) for result in found.results} == {("undecided", "MySQL has no such table")}
    busy.run("INSERT INTO away (id, user_id, n) VALUES (1000, 1, 1)", f"RENAME TABLE away TO {TABLE}")
    busy.killed()
    assert busy.equal() > 0
    assert not busy.state().absent


def test_ddl_while_capture_is_down_is_read_by_the_layouts_of_its_time(busy: Altered) -> None:
    """Stopped, not only killed: all of it happens before the first event is read."""
    down = busy.capture()
    os.kill(down, signal.SIGSTOP)
    busy.run(
        f"ALTER TABLE {TABLE} ADD COLUMN extra INT NOT NULL DEFAULT 7",
        f"INSERT INTO {TABLE} (id, user_id, n, title, amount) VALUES (2001, 1, 1, 'a', 1)",
        f"ALTER TABLE {TABLE} DROP COLUMN amount",
        f"INSERT INTO {TABLE} (id, user_id, n, title) VALUES (2002, 2, 1, 'b')",
        f"ALTER TABLE {TABLE} RENAME COLUMN title TO heading",
        f"INSERT INTO {TABLE} (id, user_id, n, heading, extra) VALUES (2003, 3, 1, 'c', 8)",
    )
    os.kill(down, signal.SIGKILL)
    assert busy.equal() > 0
    found = {row["id"]: row for row in busy.records() if int(str(row["id"])) > 2000}
    assert found == {
        2001: {"id": 2001, "user_id": 1, "n": 1, "title": "a", "amount": 1, "extra": 7},
        2002: {"id": 2002, "user_id": 2, "n": 1, "title": "b", "extra": 7},
        2003: {"id": 2003, "user_id": 3, "n": 1, "heading": "c", "extra": 8},
    }
