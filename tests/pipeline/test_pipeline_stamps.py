"""A store that was emptied or restored from an older backup is noticed, filled again, and said: nobody has to ask."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from enriched import in_mysql
from line import Line
from parts import Parts, parts_of

from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: jobs
    key: [id]
    partitions: 8
    sinks:
      - {sink: redis,    tier: realtime, place: "job:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
  - table: tr_ledger
    key: [id]
    user: user_id
    sinks:
      - {sink: redis,    tier: realtime, place: "ledger:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
"""
SAID = "the store went back"


@pytest.fixture(scope="module")
def parts(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_of(servers.endpoints()["future"], tmp_path_factory.mktemp("stamps"), TOPICS, rows=100) as parts:
        rows = [(number, number % 5 + 1) for number in range(1, 101)]
        in_mysql(parts.line, "INSERT INTO tr_ledger VALUES (%s, 1, 'a', %s, NOW())", many=rows)
        parts.line.settle()
        time.sleep(1.5)  # so that a stamp speaks of it
        yield parts


def said(parts: Parts, lane: str) -> list[str]:
    """What was logged of a lane whose store went back."""
    return parts.logged(SAID, f" future.{lane}.")


def assert_said_and_equal(parts: Parts, lane: str, before: int) -> None:
    """That the lane has said so since, and that every store is as MySQL is."""
    parts.until_logged(SAID, f" future.{lane}.", more_than=before)
    parts.assert_equal()


def emptied(here: Line) -> None:
    with redis.Redis.from_url(here.endpoints["redis"]) as client:
        client.flushall()


def test_a_redis_that_is_emptied_while_its_lane_idles(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "redis.realtime"))
    emptied(here)
    assert_said_and_equal(parts, "redis.realtime", before)
    assert said(parts, "redis.realtime")[-1].endswith("it knows of nothing; 12 partitions are delivered again")


def test_a_redis_that_is_emptied_while_its_lane_writes(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "redis.realtime"))
    for number in range(40):
        in_mysql(here, f"UPDATE tr_ledger SET n = n + 1, payload = 'w{number}' WHERE id <= 50")
        if number == 15:
            emptied(here)
        time.sleep(0.1)
    assert_said_and_equal(parts, "redis.realtime", before)


def test_a_redis_that_is_emptied_while_its_lane_is_down(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "redis.realtime"))
    with parts.without("redis"):
        emptied(here)
        in_mysql(here, "UPDATE tr_ledger SET payload = 'meanwhile' WHERE id = 1")
    assert_said_and_equal(parts, "redis.realtime", before)


def in_store(here: Line, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(here.endpoints["postgres"])
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


COPIED = ("jobs", "tr_ledger", "tombstones", "_tailrace_meta")


def test_a_postgres_that_is_restored_to_what_it_was(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "postgres.realtime"))
    in_store(here, "CREATE SCHEMA backup", *(f"CREATE TABLE backup.{t} AS TABLE tailrace.{t}" for t in COPIED))
    in_mysql(here, "UPDATE tr_ledger SET payload = 'later'", "DELETE FROM tr_ledger WHERE id > 90")
    in_mysql(here, "INSERT INTO tr_ledger VALUES (1000, 1, 'new', 1, NOW())")
    here.settle()
    time.sleep(2.5)  # two stamps behind the copy
    in_store(
        here,
        "BEGIN",
        *(f"TRUNCATE tailrace.{t}" for t in COPIED),
        *(f"INSERT INTO tailrace.{t} SELECT * FROM backup.{t}" for t in COPIED),
        "COMMIT",
        "DROP SCHEMA backup CASCADE",
    )
    assert_said_and_equal(parts, "postgres.realtime", before)
    assert "it is as it was at 20" in said(parts, "postgres.realtime")[-1]


def test_a_postgres_whose_tables_are_gone(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "postgres.realtime"))
    in_store(here, "DROP SCHEMA tailrace CASCADE")
    assert_said_and_equal(parts, "postgres.realtime", before)


def test_a_folder_of_files_that_is_emptied(parts: Parts) -> None:
    here = parts.line
    before = len(said(parts, "sqlite.local"))
    folder = Path(here.endpoints["sqlite"].removeprefix("sqlite://"))
    for one in folder.iterdir():
        shutil.rmtree(one)
    assert_said_and_equal(parts, "sqlite.local", before)


def test_a_lane_that_is_stopped_and_started_says_nothing_and_repeats_nothing(parts: Parts) -> None:
    here = parts.line
    before = parts.logged(SAID)
    for sink in ("redis", "postgres", "sqlite"):
        with parts.without(sink):
            pass
    here.settle()
    parts.assert_equal()
    assert parts.logged(SAID) == before
