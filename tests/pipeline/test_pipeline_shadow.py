"""Places filled beside the live ones by a command, audited and exchanged by another, while changes go on."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from parts import Parts, parts_of

from tailrace.endpoints import environment
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: jobs
    key: [id]
    partitions: 4
    columns: {drop: [internal_note], personal: [contact_phone]}
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: postgres, tier: realtime, place: job_titles, columns: [title, status]}
      - {sink: redis,    tier: realtime, place: "job:{id}", keep: mirror}
  - table: tr_ledger
    key: [id]
    user: user_id
    sinks:
      - {sink: postgres, tier: realtime}
"""
ROWS, RATE = 400, 60.0
PLANTED = (
    "INSERT INTO tailrace.{place} SELECT (jsonb_populate_record(p, '{{\"id\": 987654321}}')).*"
    " FROM tailrace.{place} p LIMIT 1"
)
OF_JOBS = ("--sink", "postgres", "--table", "jobs")


@pytest.fixture(scope="module")
def parts(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with parts_of(servers.endpoints()["future"], tmp_path_factory.mktemp("shadow"), TOPICS, rows=ROWS) as parts:
        parts.line.settle()
        yield parts


def begun(parts: Parts, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tailrace", "replay", *words, "--json", "--topics", str(parts.topics)],
        env=environment(parts.line.topology, "future", parts.line.endpoints),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(parts: Parts, *words: str, code: int = 0) -> Any:
    """What it prints as JSON, or, where that is nothing, what it says of what is wrong."""
    out, error = (process := begun(parts, *words)).communicate(timeout=200)
    assert process.returncode == code, (out, error)
    return json.loads(out) if out else error


def until_filled(parts: Parts) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        found = [one for one in ended(parts, *OF_JOBS, "--status")["replays"] if one["state"] == "running"]
        if found and found[0]["done"] == 1.0:
            return dict(found[0])
        assert time.monotonic() < deadline, found
        time.sleep(0.3)


def in_postgres(parts: Parts, statement: str) -> Any:
    async def ask() -> Any:
        connection = await asyncpg.connect(parts.line.endpoints["postgres"])
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


def there(parts: Parts, place: str) -> bool:
    return bool(in_postgres(parts, f"SELECT to_regclass('tailrace.{place}') IS NOT NULL"))


def test_it_is_filled_followed_audited_and_exchanged(parts: Parts) -> None:
    with parts.line.changing(RATE):
        follower = begun(parts, *OF_JOBS, "--shadow")
        try:
            shadow = until_filled(parts)["id"]
            places = [f"{name}_shadow_{shadow}" for name in ("jobs", "job_titles")]
            assert all(there(parts, place) for place in places)
            for verb in ("--shadow", "--switch", "--drop-shadow"):
                assert f"process {follower.pid} on" in ended(parts, *OF_JOBS, verb, code=78)
        finally:
            follower.send_signal(signal.SIGKILL)
            follower.communicate()
        planned = ended(parts, *OF_JOBS, "--switch", "--dry-run")
        assert (planned["audit"]["verdict"], planned["replays"][0]["state"]) == ("equal", "running")
        audited = [(one["place"], one["verdict"]) for one in planned["audit"]["results"]]
        assert sorted(audited) == sorted((place, "equal") for place in places)

        in_postgres(parts, PLANTED.format(place=places[1]))
        refused = ended(parts, *OF_JOBS, "--switch", code=3)
        (result,) = [one for one in refused["audit"]["results"] if one["different"]]
        assert result["place"] == places[1]
        assert [(one["class"], one["key"]) for one in result["differences"]] == [("extra", {"id": 987654321})]
        assert refused["replays"][0]["state"] == "running"
        assert all(there(parts, place) for place in places)
        dropped = ended(parts, *OF_JOBS, "--drop-shadow")
        assert [one["state"] for one in dropped["replays"]] == ["dropped"]
        assert not any(there(parts, place) for place in places)

        follower = begun(parts, *OF_JOBS, "--shadow")
        until_filled(parts)
        follower.send_signal(signal.SIGINT)
        out, error = follower.communicate(timeout=60)
        assert follower.returncode == 0, error
        (filled,) = json.loads(out)["replays"]
        assert (filled["state"], filled["done"]) == ("running", 1.0)
        done = ended(parts, *OF_JOBS, "--switch")
        assert (done["audit"]["verdict"], done["replays"][0]["state"]) == ("equal", "switched")
        names = done["replays"][0]["places"]
        assert [one["live"] for one in names] == ["jobs", "job_titles"]
        assert all(there(parts, one["kept"]) and not there(parts, one["shadow"]) for one in names)
        assert in_postgres(parts, "SELECT count(*) FROM public.jobs") > 0
    parts.assert_equal()
    kept = ended(parts, *OF_JOBS, "--drop-shadow")
    assert [one["state"] for one in kept["replays"]] == ["done"]
    assert not any(there(parts, one["kept"]) for one in names)
    assert "there is no shadow of" in ended(parts, *OF_JOBS, "--drop-shadow", code=2)
    parts.assert_equal()


def test_what_is_asked_for_wrongly_is_told_in_words(parts: Parts) -> None:
    assert "of one --sink and of a --table" in ended(parts, "--shadow", code=2)
    assert "of one --sink and of a --table" in ended(parts, *OF_JOBS, "--shadow", "--anew", code=2)
    assert "there is no shadow of `tr_ledger` in `postgres`" in ended(
        parts, "--sink", "postgres", "--table", "tr_ledger", "--switch", code=2
    )
    told = ended(parts, "--sink", "redis", "--table", "jobs", "--shadow", code=78)
    assert "the store of `redis` cannot exchange" in told
