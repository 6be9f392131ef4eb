"""What a store refuses: parked, listed, told anew or set aside; and a lane that stops where it would be all of it."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from enriched import in_mysql, in_postgres
from parts import Parts, parts_of

from streams.deliver.threshold import MOST
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: tr_ledger
    key: [id]
    user: user_id
    sinks:
      - {sink: postgres, tier: realtime}
"""
TOPIC = "future.jobfirst_future.tr_ledger"
ROWS = 3 * MOST


@pytest.fixture(scope="module")
def parts(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_of(servers.endpoints()["future"], tmp_path_factory.mktemp("dlq"), TOPICS, rows=10) as parts:
        rows = [(number, number % 5 + 1) for number in range(1, ROWS + 1)]
        in_mysql(parts.line, "INSERT INTO tr_ledger VALUES (%s, 1, 'a', %s, NOW())", many=rows)
        parts.line.settle()
        yield parts


def in_store(parts: Parts, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(parts.line.endpoints["postgres"])
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def letters(parts: Parts, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parts.command("dlq", "list", "--json", *words)
    return found


def states(parts: Parts) -> dict[int, str]:
    return {one["key"]["id"]: one["state"] for one in letters(parts)}


def test_a_letter_is_listed_shown_healed_retried_or_discarded(parts: Parts) -> None:
    in_store(parts, "ALTER TABLE tailrace.tr_ledger ADD CONSTRAINT good CHECK (payload <> 'bad') NOT VALID")
    in_mysql(parts.line, "UPDATE tr_ledger SET payload = 'bad' WHERE id <= 4")
    parts.line.settle()
    found = sorted(letters(parts), key=lambda one: one["key"]["id"])
    assert [(one["key"], one["sink"], one["target"], one["table"], one["state"], one["times"]) for one in found] == [
        ({"id": number}, "postgres", "tr_ledger", "tr_ledger", "open", 1) for number in range(1, 5)
    ]
    ids = [one["id"] for one in found]
    assert all(one.startswith(f"{TOPIC}/") for one in ids)
    (shown,) = parts.command("dlq", "show", ids[0])
    assert shown["payload"]["after"]["payload"] == "bad"
    assert shown["headers"]["__connect.errors.topic"] == TOPIC
    assert "good" in shown["reason"]

    in_mysql(parts.line, "UPDATE tr_ledger SET payload = 'healed' WHERE id = 1")
    in_mysql(parts.line, "DELETE FROM tr_ledger WHERE id = 4")
    parts.line.settle()
    assert parts.command("dlq", "discard", "--json", "--dry-run", ids[1])["discarded"] is False
    assert states(parts) == {1: "healed", 2: "open", 3: "open", 4: "open"}
    assert parts.command("dlq", "discard", "--json", ids[1])["discarded"] is True
    assert states(parts)[2] == "discarded"

    planned = parts.command("dlq", "retry", "--json", "--all", "--dry-run")
    rows = {row["key"][0]: row["hint"] for row in planned["rows"]["tr_ledger"]}
    assert rows == {3: {"user_id": 4}, 4: {"user_id": 5}}
    in_store(parts, "ALTER TABLE tailrace.tr_ledger DROP CONSTRAINT good")
    assert parts.command("dlq", "retry", "--json", "--all")["asked"] is True
    deadline = time.monotonic() + 60
    while states(parts)[3] != "healed":
        assert time.monotonic() < deadline
    assert states(parts) == {1: "healed", 2: "discarded", 3: "healed", 4: "retried"}
    assert in_postgres(parts.line, "SELECT id, payload FROM tailrace.tr_ledger WHERE id IN (3, 4)") == [(3, "bad")]
    assert letters(parts, "--state", "open") == letters(parts, "--sink", "redis") == []
    in_mysql(parts.line, "UPDATE tr_ledger SET payload = 'b' WHERE id = 2")
    parts.assert_equal()


def test_a_store_that_refuses_everything_stops_the_lane_and_fills_no_dead_letters(parts: Parts) -> None:
    before = len(letters(parts))
    in_store(parts, "ALTER TABLE tailrace.tr_ledger ADD CONSTRAINT few CHECK (n < 1000) NOT VALID")
    in_mysql(parts.line, f"UPDATE tr_ledger SET n = 2000 WHERE id <= {ROWS - 50}")
    parts.until_logged("ERROR", "is stopped", "an outage or a wrong declaration")
    (lane,) = parts.command("status", "--json")["future"]["lanes"]
    assert lane["waiting"] >= ROWS - 50 - MOST
    assert len(letters(parts)) <= before + MOST
    in_store(parts, "ALTER TABLE tailrace.tr_ledger DROP CONSTRAINT few")
    parts.line.settle()
    assert parts.logged("goes on")
    if letters(parts, "--state", "open"):  # a first batch may have been a small one
        parts.command("dlq", "retry", "--json", "--all")
    parts.assert_equal()
    assert letters(parts, "--state", "open") == []


def test_bad_rows_are_parked_however_many_once_somebody_says_that_they_are(parts: Parts) -> None:
    before, stops = len(letters(parts)), len(parts.logged("is stopped"))
    in_store(parts, "ALTER TABLE tailrace.tr_ledger ADD CONSTRAINT fewer CHECK (n < 5000) NOT VALID")
    in_mysql(parts.line, "UPDATE tr_ledger SET n = 6000 WHERE id > 4")
    parts.until_logged("is stopped", more_than=stops)
    parts.command("dlq", "park", "postgres")
    parts.line.settle()
    assert len(letters(parts)) == before + ROWS - 4
