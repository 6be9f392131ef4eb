"""A long text has a vector for each of its chunks, and none for what it held before."""

import asyncio
import hashlib
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from enriched import FIRST_ID, in_mysql, in_postgres
from enrichers_server import embeds, refuses, server
from line import Line, line

from audit.deep import Audited, check
from audit.repair import planned, repair
from enrichers.embed.pieces import pieces
from enrichers.inputs import read
from streams.mysql import connect
from tailrace.stack import Stack

pytestmark = pytest.mark.slow

TOKENS, OVERLAP = 16, 4

TOPICS = f"""
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tables:
  - table: jobs
    key: [id]
    partitions: 4
    columns: {{drop: [internal_note]}}
    enrich:
      analysis: {{kind: job_analysis, read: [title]}}
      chunks:
        kind: embed
        vectors: {{content: [description]}}
        chunk: {{tokens: {TOKENS}, overlap: {OVERLAP}}}
        carry: [location]
      other: {{kind: embed, model: far-away, dims: 8, vectors: {{title: [title]}}}}
    sinks:
      - {{sink: postgres, tier: realtime, of: analysis, place: job_ai_analysis}}
      - {{sink: postgres, tier: realtime, of: chunks, place: job_chunks}}
      - {{sink: postgres, tier: realtime, of: other, place: job_others}}
"""


def long_text(number: int, words: int) -> str:
    return " ".join(hashlib.sha256(f"{number} {word}".encode()).hexdigest()[:5] for word in range(words))


def wrong(running: Line) -> list[str]:
    """Chunks that are not those of their row as it is now, and rows without theirs."""
    with closing(connect(running.mysql)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id, description, location FROM jobs WHERE id >= {FIRST_ID}")
        rows = {
            (number, chunk, begins, ends, len(found), location, read(["description"], {"description": text}).hash)
            for number, text, location in cursor.fetchall()
            for found in [[*pieces(text.strip(), TOKENS, OVERLAP)] or [(0, 0)]]
            for chunk, (begins, ends) in enumerate(found)
        }
    stored = {
        (row["id"], row["chunk"], row["begins"], row["ends"], row["chunks"], row["location"], row["input_hash"])
        for row in in_postgres(running, f"SELECT * FROM job_chunks WHERE id >= {FIRST_ID}")
    }
    return sorted(map(str, rows ^ stored))


def chunks_of(running: Line, number: int) -> int:
    query = f"SELECT count(*) AS n FROM job_chunks WHERE id = {number}"
    (row,) = in_postgres(running, query)
    return int(row["n"])


def test_chunks_follow_their_text(servers: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = tmp_path / "topics.yaml"
    topics.write_text(TOPICS)
    ids = [*range(FIRST_ID, FIRST_ID + 12)]
    with server(embeds(8)) as (url, script):
        for name, value in {"URL": url, "MODEL": "far-away", "RPM": "100000", "TIMEOUT": "2"}.items():
            monkeypatch.setenv(f"FUTURE_EMBED_{name}", value)
        monkeypatch.setenv("FUTURE_LLM_RETRY", "2")

        def running() -> Any:
            return line(servers.endpoints()["future"], tmp_path, rows=100, enriched=True, topics=topics)

        with running() as first:
            in_mysql(
                first,
                "INSERT INTO jobs (id, company_id, title, description, location) VALUES (%s, 1, 'a title', %s, 'X')",
                many=[(number, long_text(number, 9 * (number - FIRST_ID))) for number in ids],
            )
            first.settle()
            assert wrong(first) == []
            assert (chunks_of(first, ids[0]), chunks_of(first, ids[1])) == (1, 2)
            longest = chunks_of(first, ids[-1])
            assert longest > 10
            in_mysql(first, f"UPDATE jobs SET description = '{long_text(1, 3)}' WHERE id = {ids[-1]}")
            in_mysql(first, f"UPDATE jobs SET location = 'Y' WHERE id = {ids[5]}")
            in_mysql(first, f"DELETE FROM jobs WHERE id = {ids[6]}")
            first.settle()
            assert wrong(first) == []
            assert (chunks_of(first, ids[-1]), chunks_of(first, ids[6])) == (1, 0)
            in_mysql(first, f"UPDATE jobs SET description = '{long_text(2, 60)}' WHERE id = {ids[-1]}")
            first.settle()
            assert wrong(first) == []
            (row,) = in_postgres(first, f"SELECT dims, degraded, title FROM job_others WHERE id = {ids[0]}")
            assert (row["dims"], row["degraded"], row["title"] is None) == (8, 0, False)

        in_postgres(first, "TRUNCATE tailrace.enrich_said")
        script.acts[0] = refuses(500)
        with running() as second:
            in_mysql(second, f"UPDATE jobs SET description = 'short', title = 'new' WHERE id = {ids[-1]}")
            waits_for(second, ids[-1])
            script.acts[0] = embeds(8)
            second.settle()
            assert wrong(second) == [], "chunks are found again where it was forgotten that there were any"
            audits_chunks(second, ids[3], ids[4])


def audits_chunks(running: Line, one: int, other: int) -> None:
    """A chunk that is lost, changed or too many is found as such and mended."""
    assert audited(running, "quick").report.verdict == audited(running).report.verdict == "equal"
    in_postgres(running, f"DELETE FROM tailrace.job_chunks WHERE id = {one} AND chunk = 1")
    in_postgres(running, f"UPDATE tailrace.job_chunks SET begins = 5 WHERE id = {one} AND chunk = 0")
    (row,) = in_postgres(running, f"SELECT * FROM tailrace.job_chunks WHERE id = {other} AND chunk = 1")
    extra = ", ".join("40" if name == "chunk" else f'"{name}"' for name, _ in row.items())
    in_postgres(
        running,
        f"INSERT INTO tailrace.job_chunks SELECT {extra} FROM tailrace.job_chunks WHERE id = {other} AND chunk = 1",
    )
    in_sums = {("missing", one, 1), ("extra", other, 40)}
    assert listed(audited(running, "quick")) == in_sums
    found = audited(running)
    assert listed(found) == in_sums | {("altered", one, 0)}
    plan = planned(found.findings, running.topology.every_target(running.version), different=3, cap=10)
    asyncio.run(repair(running.topology, running.version, running.endpoints, plan))
    assert audited(running, "quick").report.verdict == audited(running).report.verdict == "equal"
    assert wrong(running) == []


def audited(running: Line, depth: Literal["quick", "deep"] = "deep") -> Audited:
    running.settle()
    return asyncio.run(check(running.topology, running.version, running.endpoints, depth=depth))


def listed(audited: Audited) -> set[tuple[str, object, object]]:
    return {
        (found.class_, found.key["id"], found.key["chunk"])
        for result in audited.report.results
        for found in result.differences
    }


def waits_for(running: Line, number: int) -> None:
    """The other enrichers of a table go on while one waits for its endpoint."""
    deadline = time.monotonic() + 60
    while chunks_of(running, number) != 1:
        assert time.monotonic() < deadline, "a waiting enricher held up another"
        time.sleep(0.1)
