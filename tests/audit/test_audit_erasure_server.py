"""Taking a person's rows out of MySQL and MariaDB: exactly theirs, in an order that foreign keys allow."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from audit.erasure.plan import planned
from audit.erasure.source import counted, erase, log_kept_for, owned, references
from audit.search import mysql as search
from audit.search.needles import Needles
from changes.errors import Misconfigured
from changes.topology import Topology, load
from streams.mysql import MysqlUrl, session

DATABASE = "erasure_of"

TABLES = (
    """CREATE TABLE people (id VARCHAR(20) PRIMARY KEY, email VARCHAR(100))
        CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci""",
    """CREATE TABLE posts (id BIGINT AUTO_INCREMENT PRIMARY KEY, owner VARCHAR(20), body TEXT,
        FOREIGN KEY (owner) REFERENCES people (id)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci""",
    """CREATE TABLE likes (id BIGINT AUTO_INCREMENT PRIMARY KEY, who VARCHAR(20), post BIGINT, note VARCHAR(50),
        FOREIGN KEY (post) REFERENCES posts (id)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci""",
    "CREATE TABLE bills (id BIGINT AUTO_INCREMENT PRIMARY KEY, owner VARCHAR(20)) CHARACTER SET utf8mb4",
)

DECLARED = f"""
versions:
  v: {{database: {DATABASE}, env: V_}}
tables:
  - table: people
    key: [id]
    user: id
    sinks: [{{sink: redis, tier: realtime, place: 'p:{{id}}'}}]
  - table: likes
    key: [id]
    erase: {{by: who, rows: clear, set: {{who: null, note: gone}}}}
    sinks: [{{sink: redis, tier: realtime, place: 'l:{{id}}'}}]
  - table: posts
    key: [id]
    user: owner
    sinks: [{{sink: redis, tier: realtime, place: 'o:{{id}}'}}]
  - table: bills
    key: [id]
    user: owner
    erase: keep
    sinks: [{{sink: redis, tier: realtime, place: 'b:{{id}}'}}]
"""


def topology() -> Topology:
    return load(DECLARED, "t.yaml", {"redis": lambda _: None})


@pytest.fixture
def there(either: MysqlUrl) -> Iterator[MysqlUrl]:
    """Wei has 1,201 posts; the person whose id differs from his by case alone has one of each."""
    with session(replace(either, database="mysql")) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE}")
        cursor.execute(f"USE {DATABASE}")
        for table in TABLES:
            cursor.execute(table)
        cursor.execute("INSERT INTO people VALUES ('wei', 'wei.4823@example.org'), ('mei', 'mei.5934@example.org')")
        cursor.executemany("INSERT INTO posts (owner, body) VALUES (%s, 'x')", [["wei"]] * 1201 + [["mei"]])
        cursor.executemany("INSERT INTO likes (who, post, note) VALUES (%s, 1202, 'y')", [["WEI"], ["wei"], ["mei"]])
        cursor.execute("INSERT INTO bills (owner) VALUES ('wei')")
    yield replace(either, database=DATABASE)
    with session(replace(either, database="mysql")) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {DATABASE}")


def test_exactly_their_rows_go_and_it_may_be_done_again(there: MysqlUrl) -> None:
    steps = planned(topology(), references(there, DATABASE))
    assert [step.table for step in steps] == ["bills", "likes", "posts", "people"]
    wei = owned(there, DATABASE, steps, "wei")
    assert counted(there, wei) == {"bills": 1, "likes": 1, "posts": 1201, "people": 1}
    assert erase(there, wei, timeout=30.0) == {"likes": 1, "posts": 1201, "people": 1}
    assert counted(there, wei) == {"bills": 1, "likes": 0, "posts": 0, "people": 0}
    assert erase(there, wei, timeout=30.0) == {"likes": 0, "posts": 0, "people": 0}
    with session(there) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT who, note FROM likes ORDER BY id")
        assert [*cursor.fetchall()] == [("WEI", "y"), (None, "gone"), ("mei", "y")]
        cursor.execute("SELECT id FROM people")
        assert [*cursor.fetchall()] == [("mei",)]


def test_what_refers_to_their_rows_and_is_another_s_is_told(there: MysqlUrl) -> None:
    steps = planned(topology(), references(there, DATABASE))
    with pytest.raises(Misconfigured, match="refuses to take a person's rows out of `posts`"):
        erase(there, owned(there, DATABASE, steps, "mei"), timeout=5.0)


async def test_every_table_is_looked_through_declared_or_not(there: MysqlUrl) -> None:
    with session(there) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE elsewhere (note JSON, data BLOB) CHARACTER SET utf8mb4")
        cursor.execute("INSERT INTO elsewhere VALUES ('{\"a\": \"mei.5934@example.org\"}', 'mei.5934@example.org')")
    url = f"mysql://{there.user}:{there.password}@{there.host}:{there.port}/{DATABASE}"
    found = await search.find(url, Needles.plain([b"mei.5934@example.org", b"nobody@example.org"]))
    assert found.hits == {("people.email", 0), ("elsewhere.note", 0), ("elsewhere.data", 0)}


def test_how_long_the_binlog_stays_is_asked_of_the_server(there: MysqlUrl) -> None:
    with session(there) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES LIKE 'binlog_expire_logs_seconds'")
        ((_, seconds),) = cursor.fetchall()
    assert log_kept_for(there) == (float(seconds) or None)
