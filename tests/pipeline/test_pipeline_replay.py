"""Stores that lost their rows are filled from the topics while changes go on: equal to MySQL, and no model is asked."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from line import Line, prepared, topics_with_ledger

from audit.deep import check
from sinks.redis.place import META_PREFIX
from sinks.sql.sqlite.files import walk
from streams.watch import GroupOffsets
from tailrace.declared import read_whole
from tailrace.endpoints import environment, having
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

ROWS, RATE = 800, 40.0
KEPT = ("_tailrace_meta", "enrich_said", "enrich_cache", "enrich_models")
"""Tables of PostgreSQL that are no rows' places."""


class Emptied:
    """A whole line whose enrichment starts and stops by itself, and what empties its stores."""

    def __init__(self, line: Line, topics: Path, folder: Path) -> None:
        self.line, self.topics, self._folder = line, topics, folder

    @contextmanager
    def enriching(self) -> Iterator[None]:
        models = Pipeline(
            self.line.topology,
            {"future": self.line.endpoints},
            topics=self.topics,
            roles=["enrich"],
            log_file=self._folder / "enrich.log",
        )
        models.start()
        try:
            yield
            self.line.enriched = True
            self.line.settle(240)
        finally:
            self.line.enriched = False
            models.stop()

    def derived_ends(self) -> dict[tuple[str, int], int]:
        topics = [self.line.topology.topic_of(target) for target in self.line.topology.derived_targets("future")]
        return dict(GroupOffsets(self.line.kafka).ends_of(topics))

    def empty(self, *, stamps: bool) -> None:
        """Take away all rows that the three stores hold, and all their tombstones; what lanes keep there only with
        ``stamps``."""
        asyncio.run(self._empty_postgres(stamps))
        with redis.Redis.from_url(self.line.endpoints["redis"]) as client:
            if stamps:
                client.flushall()
            elif rows := [key for key in client.scan_iter(count=1000) if not key.decode().startswith(META_PREFIX)]:
                client.delete(*rows)
        folder = Path(self.line.endpoints["sqlite"].removeprefix("sqlite://"))
        for path in walk(folder):
            with closing(sqlite3.connect(path, timeout=30)) as file:
                tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                for name in tables:
                    file.execute(f'DELETE FROM "{name}"')
                file.commit()
        if stamps:
            for path in (folder / "_tailrace_meta").iterdir():
                path.unlink()

    async def _empty_postgres(self, stamps: bool) -> None:
        connection = await asyncpg.connect(self.line.endpoints["postgres"])
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'tailrace'")
        names = [name for (name,) in found if name not in KEPT or (stamps and name == "_tailrace_meta")]
        await connection.execute(f"TRUNCATE {', '.join(f'tailrace.{name}' for name in names)}")
        await connection.close()

    def held(self) -> int:
        """Rows of PostgreSQL's tables that replays fill."""

        async def count() -> int:
            connection = await asyncpg.connect(self.line.endpoints["postgres"])
            try:
                tables = ("users", "jobs", "job_embeddings")
                return sum([await connection.fetchval(f"SELECT count(*) FROM tailrace.{name}") for name in tables])
            finally:
                await connection.close()

        return asyncio.run(count())

    @property
    def environ(self) -> dict[str, str]:
        return environment(self.line.topology, "future", self.line.endpoints)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tailrace", *words, "--topics", str(self.topics)]

    def replay(self, *words: str, code: int = 0) -> Any:
        command = self.command("replay", *words, "--json")
        found = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert found.returncode == code, (found.returncode, found.stdout, found.stderr)
        return json.loads(found.stdout)["replays"] if found.stdout else found.stderr

    def said(self, *words: str) -> Any:
        """What another command prints as JSON."""
        command = self.command(*words, "--json")
        found = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert found.returncode == 0, (found.returncode, found.stdout, found.stderr)
        return json.loads(found.stdout)

    def begun(self, *words: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command("replay", *words), env=self.environ, stderr=subprocess.PIPE)

    def assert_equal(self) -> None:
        """Rows, and what was made of them."""
        audited = check(self.line.topology, self.line.version, self.line.endpoints)
        report = asyncio.run(audited).report
        assert [(one.sink, one.table, one.differences) for one in report.results if one.different] == []
        assert report.verdict == "equal"


@pytest.fixture(scope="module")
def emptied(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    folder, endpoints = tmp_path_factory.mktemp("replay"), servers.endpoints()["future"]
    prepared(endpoints, ROWS)
    topics = topics_with_ledger(folder)
    topology = having(read_whole(topics), endpoints)
    running = Pipeline(
        topology, {"future": endpoints}, topics=topics, roles=["capture", "deliver"], log_file=folder / "line.log"
    )
    running.start()
    try:
        here = Emptied(Line(topology, endpoints, running), topics, folder)
        with here.enriching():
            pass
        yield here
    finally:
        running.stop()


def all_done(replays: Sequence[dict[str, Any]], way: str) -> bool:
    assert {one["sink"] for one in replays} == {"redis", "postgres", "sqlite"}
    assert [one["way"] for one in replays] == [way] * 3
    return all(one["state"] == "done" and one["done"] == 1.0 for one in replays)


def until_under_way(here: Emptied) -> list[dict[str, Any]]:
    """Waits until the book says that the replays to all stores have delivered some."""
    deadline = time.monotonic() + 120
    while True:
        found: list[dict[str, Any]] = here.replay("--status")
        running = [one for one in found if one["state"] == "running" and one["done"] > 0.05]
        if len(running) == 3:
            return running
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_stores_that_lost_their_rows_are_filled_beside_their_lanes(emptied: Emptied) -> None:
    before = emptied.derived_ends()
    with emptied.line.changing(RATE):
        held = emptied.held()
        emptied.empty(stamps=False)
        assert emptied.held() < held / 2
        planned = emptied.replay("--dry-run")
        assert [one["seconds"] for one in planned] == [None] * 3, "nobody has measured it yet"
        fewest = min(one["records"] for one in planned)
        assert fewest > 50
        assert all(one["bytes"] > 100 * one["records"] for one in planned)
        first = emptied.begun("--rate", str(max(1, fewest // 40)))
        try:
            running = until_under_way(emptied)
            told = emptied.replay(code=78)
            assert f"is under way: process {first.pid} on" in told
        finally:
            first.send_signal(signal.SIGKILL)
            first.communicate()
        replays = emptied.replay()
        assert all_done(replays, "beside")
        assert {one["id"] for one in replays} == {one["id"] for one in running}, "it went on where it was"
    assert emptied.derived_ends() == before, "nothing was made of anything"
    with emptied.enriching():
        pass
    emptied.assert_equal()
    again = emptied.replay("--dry-run", "--rate", "100", "--sink", "redis")
    assert all(one["seconds"] >= one["records"] / 100 - 0.1 for one in again), "no faster than it may be"


def test_stores_that_lost_everything_are_filled_by_their_lanes_at_a_rate(emptied: Emptied) -> None:
    with emptied.line.changing(RATE):
        emptied.empty(stamps=True)
        assert all_done(emptied.replay("--through", "--anew"), "through")
    with emptied.enriching():
        pass
    emptied.assert_equal()


async def in_postgres(here: Emptied, statement: str) -> None:
    connection = await asyncpg.connect(here.line.endpoints["postgres"])
    await connection.execute(statement)
    await connection.close()


def test_a_row_of_which_no_topic_knows_stays_and_an_audit_names_it(emptied: Emptied) -> None:
    planted = (
        "INSERT INTO tailrace.permissions SELECT (jsonb_populate_record(p, '{\"id\": 987654321}')).*"
        " FROM tailrace.permissions p LIMIT 1"
    )
    asyncio.run(in_postgres(emptied, planted))
    (done,) = emptied.replay("--sink", "postgres", "--table", "permissions")
    assert done["topics"] == ["future.jobfirst_future.permissions"]
    report = emptied.line.check()
    asyncio.run(in_postgres(emptied, "DELETE FROM tailrace.permissions WHERE id = 987654321"))
    (found,) = [one for one in report.results if one.different]
    told = found.sink, found.table, [each.class_ for each in found.differences]
    assert told == ("postgres", "permissions", ["extra"])


def test_what_is_asked_for_wrongly_is_told_in_words(emptied: Emptied) -> None:
    told = emptied.replay("--sink", "oracle", code=2)
    assert "nothing goes to sink `oracle`: there are " in told
    assert "there is no topic `jobs`: there are " in emptied.replay("--topic", "jobs", code=2)
    assert "there is no table `nobody`: there are " in emptied.replay("--table", "nobody", code=2)
    assert "`noon` is no place to begin" in emptied.replay("--from", "noon", code=2)
    assert "name it with --topic" in emptied.replay("--from", "5", code=2)
    topic = "future.jobfirst_future.permissions"
    assert "lies behind the end of its topic" in emptied.replay("--topic", topic, "--from", "999999999", code=2)


def redeclared(topics: Path, folder: Path) -> Path:
    """With a second place for one table, and another lifetime for what Redis keeps of another."""
    text = topics.read_text()
    behind, lasting = "  - table: role_permissions", 'place: "user:{id}", keep: cache, keep_for: '
    for before, after in (
        (behind, f"      - {{sink: postgres, tier: realtime, place: permissions_next}}\n\n{behind}"),
        (f"{lasting}1h", f"{lasting}9h"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    path = folder / "redeclared.yaml"
    path.write_text(text)
    return path


def needing(plan: Sequence[dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    return {one["place"]: (one["action"], one["needs"]) for one in plan if one["action"] != "none"}


def test_what_is_declared_anew_is_filled_once_it_is_applied(emptied: Emptied, tmp_path: Path) -> None:
    assert needing(emptied.said("plan")) == {}
    emptied.line.pipeline.stop()
    topics = redeclared(emptied.topics, tmp_path)
    topology = having(read_whole(topics), emptied.line.endpoints)
    running = Pipeline(
        topology,
        {"future": emptied.line.endpoints},
        topics=topics,
        roles=["capture", "deliver"],
        log_file=tmp_path / "line.log",
    )
    running.start()
    try:
        here = Emptied(Line(topology, emptied.line.endpoints, running), topics, tmp_path)
        here.line.settle()
        assert needing(here.said("plan")) == {
            "permissions_next": ("create", "replay"),
            "user:{id}": ("change", "replay"),
        }
        applied = here.said("apply")
        assert {one["sink"]: one["state"] for one in applied["replays"]} == {"postgres": "done", "redis": "done"}
        assert {place for one in applied["replays"] for place in one["targets"]} == {"permissions_next", "user:{id}"}
        assert needing(here.said("plan")) == {}
        here.assert_equal()
        assert here.said("apply")["replays"] == []
    finally:
        running.stop()
