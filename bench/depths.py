"""What an audit costs: ``quick`` against ``deep`` of one table in PostgreSQL, each in a process of its own.

    python -m bench.depths quick-deep [--rows 1000000] [--table jobs] [--rounds 3]

Starts servers of its own, loads the example's rows of one table, waits until capture has counted them and PostgreSQL
has them all, then runs ``tailrace check`` of either depth in turn. Prints JSON: seconds as the audit itself tells them
(the median of the rounds), peak memory of the process in MB, and their ratio. Nothing writes meanwhile.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.sumstail import SumsTail
from streams.watch import lanes_of, wait
from tailrace.declared import read_topology
from tailrace.endpoints import environment
from tailrace.example import generate
from tailrace.example.database import connect, run_script
from tailrace.example.statement import insert_text
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = """
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tiers:
  realtime: {{flush: 5ms, rows: 5000, fresh: 10s}}
tables:
  - table: {table}
    key: [id]
    partitions: 4
    sinks:
      - {{sink: postgres, tier: realtime}}
"""
PATIENCE = 7200.0
A_TRANSACTION = 1000


def fill(url: str, table: str, rows: int) -> None:
    """The rows of one table, as the example makes them."""
    counts = {**generate.plan(10_000), table: rows}
    spec = generate.TABLES[table]
    connection = connect(url)
    try:
        run_script(connection, "schema.sql")
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            source = generate.rows(table, counts, 1)
            while batch := list(itertools.islice(source, A_TRANSACTION)):
                cursor.executemany(insert_text(table, spec.columns), batch)
                connection.commit()
    finally:
        connection.close()


def ready(topology: Topology, endpoints: dict[str, str], table: str) -> dict[str, float]:
    """Wait until PostgreSQL has all and capture has counted it; how long either took, in seconds."""
    kafka, began = KafkaUrl.parse(endpoints["kafka"]), time.monotonic()
    mysql = MysqlUrl.parse(endpoints["mysql"])
    waited = wait(mysql, kafka, lanes_of(topology, "future"), version="future", timeout=PATIENCE)
    filled = time.monotonic()
    marks, sums = Marks(kafka, "future"), SumsTail(kafka, "future")
    try:
        while waited.done and time.monotonic() - began < PATIENCE:
            mark = marks.between(time.monotonic() + 60)
            if mark is not None and sums.at(mark.sums, table) is not None:
                return {"fill_s": round(filled - began, 1), "count_s": round(time.monotonic() - filled, 1)}
            time.sleep(0.2)
    finally:
        marks.close()
        sums.close()
    sys.exit(f"not ready within {PATIENCE:.0f} s: {waited}")


def audited(depth: str, topics: Path, environ: dict[str, str]) -> dict[str, Any]:
    """One check in a process of its own: its report, and that process's peak memory in MB."""
    words = [sys.executable, "-m", "tailrace", "check", f"--{depth}", "--json", "--topics", str(topics)]
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environ)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    text = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    seconds = time.perf_counter() - began
    return {"report": json.loads(text), "wall_s": seconds, "rss_mb": usage.ru_maxrss / 1024, "cpu_s": usage.ru_utime}


def quick_deep(rows: int, table: str, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        topics = Path(folder) / "topics.yaml"
        topics.write_text(TOPICS.format(table=table))
        topology = read_topology(topics)
        servers = Stack(Path(folder) / "stack", environ={"HOME": str(Path.home())}, report=_say)
        servers.up()
        endpoints = servers.endpoints()["future"]
        pipeline = Pipeline(
            topology,
            {"future": endpoints},
            topics=topics,
            roles=("capture", "deliver"),
            log_file=Path(folder) / "pipeline.log",
        )
        try:
            fill(endpoints["mysql"], table, rows)
            _say(f"{rows} rows are in MySQL")
            pipeline.start()
            took = ready(topology, endpoints, table)
            environ = environment(topology, "future", endpoints)
            found: dict[str, list[dict[str, Any]]] = {"quick": [], "deep": []}
            for _ in range(rounds):
                for depth, runs in found.items():
                    runs.append(audited(depth, topics, environ))
                    _say(f"{depth}: {runs[-1]['report']['seconds']} s")
        finally:
            pipeline.stop()
            servers.down()
    report: dict[str, Any] = {"rows": rows, "table": table, "rounds": rounds, **took}
    report |= {depth: _summary(runs) for depth, runs in found.items()}
    report["quick_over_deep"] = round(report["quick"]["seconds"] / report["deep"]["seconds"], 4)
    return report


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "verdict": runs[-1]["report"]["verdict"],
        "seconds": statistics.median(run["report"]["seconds"] for run in runs),
        "wall_s": round(statistics.median(run["wall_s"] for run in runs), 2),
        "cpu_s": round(statistics.median(run["cpu_s"] for run in runs), 2),
        "rss_mb": round(max(run["rss_mb"] for run in runs), 1),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quick-deep"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--table", default="jobs", choices=sorted(generate.TABLES))
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(json.dumps(quick_deep(given.rows, given.table, given.rounds), indent=1))


if __name__ == "__main__":
    main()
