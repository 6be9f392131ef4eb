"""What is made of rows follows them: never older, never for nothing, and gone when they are."""

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from enriched import in_mysql, in_postgres
from line import Line, line

from enrichers.inputs import read
from streams.kafka import read_topic
from streams.mysql import connect
from tailrace.example.traffic import Traffic
from tailrace.stack import Stack


def emitted(running: Line, table: str, enricher: str) -> int:
    """How many records the enriched topic holds."""
    return sum(1 for _ in read_topic(running.kafka, running.topology.derived_topic(running.version, table, enricher)))


def stale_or_missing(running: Line, table: str, enricher: str, place: str) -> list[str]:
    """Rows of MySQL whose result in PostgreSQL is absent or was made of something else, and results of no row."""
    declared = running.topology.tables[table].enrich[enricher]
    columns = sorted(set(declared.reads))
    with closing(connect(running.mysql)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id, {', '.join(f'`{name}`' for name in columns)} FROM `{table}`")
        rows = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in cursor.fetchall()}
    stored = {row["id"]: row["input_hash"] for row in in_postgres(running, f"SELECT id, input_hash FROM {place}")}
    wrong = [f"{table} {number}: no row" for number in stored.keys() - rows.keys()]
    for number, row in rows.items():
        wanted = read(columns, row).hash
        if stored.get(number) != wanted:
            wrong.append(f"{table} {number}: made of {stored.get(number)}, is {wanted}")
    return wrong


def test_results_follow_their_rows_and_nothing_is_made_for_nothing(servers: Stack, tmp_path: Path) -> None:
    with line(servers.endpoints()["future"], tmp_path, rows=100, enriched=True) as running:
        assert stale_or_missing(running, "companies", "embedding", "company_embeddings") == []
        before = emitted(running, "jobs", "embedding")
        in_mysql(running, "UPDATE jobs SET salary_min = 12345 WHERE id = 1")
        running.settle()
        assert emitted(running, "jobs", "embedding") == before, "a column that no enricher reads was changed"
        in_mysql(running, "UPDATE jobs SET title = '首席数据工程师 Principal Data Engineer' WHERE id = 1")
        running.settle()
        assert emitted(running, "jobs", "embedding") == before + 1
        assert stale_or_missing(running, "jobs", "embedding", "job_embeddings") == []
        in_mysql(running, "DELETE FROM jobs WHERE id = 2")
        running.settle()
        assert in_postgres(running, "SELECT 1 FROM job_embeddings WHERE id = 2") == []
        (row,) = in_postgres(running, "SELECT provider, degraded FROM job_ai_analysis WHERE id = 1")
        assert (row["provider"], row["degraded"]) == ("rules", 1), "no model is configured, so rules made it"


@pytest.mark.slow
def test_a_killed_enrichment_loses_nothing(servers: Stack, tmp_path: Path) -> None:
    with line(servers.endpoints()["future"], tmp_path, rows=100, enriched=True) as running:
        traffic = Traffic(running.endpoints["mysql"], rate=60, seed=5, share_embedded=0.3)
        traffic.start()
        try:
            for _ in range(3):
                pid = running.pipeline.pids().get("future.enrich")
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
                signal.sigtimedwait([], 2)
            traffic.pause()
        finally:
            traffic.stop()
        running.settle(240)
        assert stale_or_missing(running, "jobs", "embedding", "job_embeddings") == []
        assert stale_or_missing(running, "resumes", "embedding", "resume_vectors") == []
