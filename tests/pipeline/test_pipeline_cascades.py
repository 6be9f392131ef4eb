"""Foreign keys that MariaDB follows in secret, emulated: every store ends as MariaDB is."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from line import Line, line

from streams.mysql import MysqlUrl, connect
from tailrace.stack import Stack

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: tr_parent
    key: [id]
    sinks: [{sink: postgres, tier: realtime}, {sink: redis, tier: realtime, place: "parent:{id}", keep: mirror}]
  - table: tr_child
    key: [id]
    cascades: emulate
    sinks: [{sink: postgres, tier: realtime}, {sink: redis, tier: realtime, place: "child:{id}", keep: mirror}]
  - table: tr_grandchild
    key: [id]
    cascades: emulate
    sinks: [{sink: postgres, tier: realtime}]
"""
SETUP = (
    "DROP TABLE IF EXISTS tr_grandchild, tr_child, tr_parent",
    "CREATE TABLE tr_parent (id INT PRIMARY KEY, name VARCHAR(20))",
    "CREATE TABLE tr_child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES tr_parent (id)"
    " ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE tr_grandchild (id INT PRIMARY KEY, child INT, FOREIGN KEY (child) REFERENCES tr_child (id)"
    " ON DELETE SET NULL)",
    "INSERT INTO tr_parent SELECT seq, 'x' FROM seq_1_to_50",
    "INSERT INTO tr_child SELECT seq, 1 + seq % 50 FROM seq_1_to_500",
    "INSERT INTO tr_grandchild SELECT seq, 1 + seq % 500 FROM seq_1_to_1000",
)


class Maria(Protocol):
    """The server that the session shares."""

    def endpoint(self, version: str) -> str: ...


def execute(url: str, *statements: str) -> None:
    with closing(connect(MysqlUrl.parse(url))) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def endpoints(mariadb: Maria, tmp_path: Path) -> Iterator[dict[str, str]]:
    environ = {"HOME": str(Path.home()), "FUTURE_MYSQL_URL": mariadb.endpoint("future")}
    servers = Stack(tmp_path / "stack", environ=environ, report=print)
    servers.up()
    try:
        yield servers.endpoints()["future"]
    finally:
        servers.down()


def compared(running: Line) -> dict[str, int]:
    """How many rows of each table are the same everywhere; fails where one is not."""
    report = running.check()
    assert report.verdict == "equal", report
    return {result.table: result.source_rows for result in report.results}


def test_children_follow_their_parents_in_secret_and_every_store_follows_them(
    endpoints: dict[str, str], tmp_path: Path
) -> None:
    execute(endpoints["mysql"], *SETUP)
    topics = tmp_path / "topics.yaml"
    topics.write_text(TOPICS)
    with line(endpoints, tmp_path, rows=20, topics=topics) as running:
        assert compared(running) == {"tr_parent": 50, "tr_child": 500, "tr_grandchild": 1000}
        execute(endpoints["mysql"], "DELETE FROM tr_parent WHERE id <= 10")
        assert compared(running) == {"tr_parent": 40, "tr_child": 400, "tr_grandchild": 1000}
        execute(endpoints["mysql"], "UPDATE tr_parent SET id = id + 1000 WHERE id > 40")
        assert compared(running) == {"tr_parent": 40, "tr_child": 400, "tr_grandchild": 1000}
        many = [f"DELETE FROM tr_parent WHERE id = {number}" for number in range(11, 31)]
        execute(endpoints["mysql"], *many, "INSERT INTO tr_child VALUES (9000, 31)")
        assert compared(running) == {"tr_parent": 20, "tr_child": 201, "tr_grandchild": 1000}
