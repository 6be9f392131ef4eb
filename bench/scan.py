"""What audits cost beside a plain scan of the same rows, from MySQL and one store, into Python values.

    python -m bench.scan [--sink postgres] [--rows 50000] [--table jobs] [--rounds 3] [--folder F] [--share 1.0]

The plain scan reads every row with the usual drivers, their usual conversions and nothing else: MySQL through pymysql's
`SSCursor`, PostgreSQL through a cursor of asyncpg, MongoDB through pymongo, Elasticsearch through a point in time and
its client, Neo4j through its driver, Weaviate through its client's iterator, Redis by SCAN and MGET with each value's
JSON decoded, SQLite by opening each user's file. The scan, a deep audit and a quick one take turns, each in a process
of its own whose start is not counted; capture and delivery run beside them and have nothing to do. Prints JSON: seconds
and processor seconds (medians of the rounds), peak memory in MB, the deep audit divided by the scan in either, and the
quick one by the deep one.

Starts servers of its own; with ``--folder`` their data stays there, and a later run goes on with the rows it finds.
"""

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
import redis
import weaviate
from elasticsearch import Elasticsearch
from neo4j import GraphDatabase
from pymongo import MongoClient
from pymysql.cursors import SSCursor
from weaviate.classes.init import Auth

from audit.deep import Terms, check
from bench.filled import fill, ready
from streams.mysql import MysqlUrl, connect
from tailrace.declared import read_topology
from tailrace.garbage import collect_seldom
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack
from tailrace.stack.beside import elsewhere

_PAGE = 1000
_TOPICS = """
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tiers:
  realtime: {{flush: 5ms, rows: 5000, fresh: 10s}}
  local: {{flush: 5ms, rows: 5000, fresh: 10s}}
tables:
  - table: {table}
    key: [id]{user}
    partitions: 4
    sinks:
      - {{sink: {sink}, tier: {tier}{more}}}
"""


PLACES = {"redis": "{table}:{{id}}", "neo4j": "Scanned", "weaviate": "Scanned"}
"""Where rows go, where it is not called as their table is."""


def topics_of(table: str, sink: str) -> str:
    user = "\n    user: user_id" if sink == "sqlite" else ""
    more = f', place: "{PLACES[sink].format(table=table)}"' if sink in PLACES else ""
    return _TOPICS.format(
        table=table, sink=sink, tier="local" if sink == "sqlite" else "realtime", more=more, user=user
    )


# -- the plain scan -----------------------------------------------------------------------------------------------


def scan_mysql(url: str, table: str) -> int:
    rows = 0
    with closing(connect(MysqlUrl.parse(url))) as connection, connection.cursor(SSCursor) as cursor:
        cursor.execute(f"SELECT * FROM `{table}`")
        while page := cursor.fetchmany(_PAGE):
            rows += len(page)
    return rows


def scan_postgres(url: str, table: str) -> int:
    async def run() -> int:
        rows = 0
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            async for row in connection.cursor(f'SELECT * FROM tailrace."{table}"', prefetch=_PAGE):
                tuple(row)
                rows += 1
        await connection.close()
        return rows

    return asyncio.run(run())


def scan_redis(url: str, table: str) -> int:
    rows = 0
    with closing(redis.Redis.from_url(url)) as client:
        page: list[bytes] = []

        def take() -> int:
            found = client.mget(page) if page else []
            taken = sum(json.loads(value) is not None for value in found if value is not None)
            page.clear()
            return taken

        for name in client.scan_iter(match=f"{table}:*", count=_PAGE):
            page.append(name)
            if len(page) >= _PAGE:
                rows += take()
        rows += take()
    return rows


def scan_sqlite(url: str, table: str) -> int:
    rows = 0
    for path in Path(url).rglob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            if found:
                rows += len(connection.execute(f'SELECT * FROM "_tr_{table}"').fetchall())
    return rows


def scan_mysql_store(url: str, table: str) -> int:
    return scan_mysql(url, f"_tr_{table}")


def scan_mongodb(url: str, table: str) -> int:
    with MongoClient[dict[str, Any]](url) as client:
        return sum(1 for _ in client.get_default_database()[table].find(batch_size=_PAGE))


def scan_elasticsearch(url: str, table: str) -> int:
    rows = 0
    with Elasticsearch(url, request_timeout=60) as client:
        pit = client.open_point_in_time(index=f"jobfirst_future_{table}", keep_alive="5m")["id"]
        after: list[Any] | None = None
        while True:
            found = client.search(
                pit={"id": pit, "keep_alive": "5m"},
                size=_PAGE,
                sort=["_shard_doc"],
                search_after=after,
                track_total_hits=False,
            )["hits"]["hits"]
            rows += sum(hit["_source"] is not None for hit in found)
            if len(found) < _PAGE:
                client.close_point_in_time(id=pit)
                return rows
            after = found[-1]["sort"]


def scan_neo4j(url: str, table: str) -> int:
    parts = urlsplit(url)
    auth = (parts.username or "", parts.password or "")
    with (
        GraphDatabase.driver(f"{parts.scheme}://{parts.hostname}:{parts.port}", auth=auth) as driver,
        driver.session(fetch_size=_PAGE) as session,
    ):
        return sum(len(dict(one["n"])) > 0 for one in session.run(f"MATCH (n:{PLACES['neo4j']}) RETURN n"))


def scan_weaviate(url: str, table: str) -> int:
    parts = urlsplit(url)
    with weaviate.connect_to_custom(
        *(parts.hostname or "", parts.port or 80, False),
        *(parts.hostname or "", int(parse_qs(parts.query)["grpc"][0]), False),
        auth_credentials=Auth.api_key(parts.password or ""),
    ) as client:
        return sum(len(one.properties) > 0 for one in client.collections.use(PLACES["weaviate"]).iterator(True))


SCANS: dict[str, Callable[[str, str], int]] = {
    "ai_identity": scan_postgres,
    "credit": scan_mysql_store,
    "dao": scan_mysql_store,
    "elasticsearch": scan_elasticsearch,
    "mongodb": scan_mongodb,
    "neo4j": scan_neo4j,
    "postgres": scan_postgres,
    "redis": scan_redis,
    "sqlite": scan_sqlite,
    "weaviate": scan_weaviate,
}


# -- one turn, in a process of its own ----------------------------------------------------------------------------


Turn = Literal["scan", "deep", "quick"]


def turn(what: Turn, topics: Path, sink: str, table: str, endpoints: dict[str, str], share: float) -> dict[str, Any]:
    topology = read_topology(topics)
    collect_seldom()
    began, spent = time.perf_counter(), time.process_time()
    if what == "scan":
        told: dict[str, Any] = {"rows": [scan_mysql(endpoints["mysql"], table), SCANS[sink](endpoints[sink], table)]}
    else:
        terms = Terms(timeout=300.0, share=share)
        report = asyncio.run(check(topology, "future", endpoints, depth=what, terms=terms, tell=_say)).report
        result = report.results[0]
        told = {"rows": [result.source_rows, result.sink_rows], "verdict": report.verdict}
    return told | {
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - spent,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def apart(given: argparse.Namespace, what: str, topics: Path, endpoints: dict[str, str]) -> dict[str, Any]:
    words = [sys.executable, "-m", "bench.scan", "--turn", what, "--topics", str(topics), "--sink", given.sink]
    words += ["--table", given.table, "--share", str(given.share)]
    done = subprocess.run(words, stdout=subprocess.PIPE, input=json.dumps(endpoints).encode(), check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    _say(f"{what}: {found}")
    return found


# -- the whole ----------------------------------------------------------------------------------------------------


def measured(given: argparse.Namespace) -> dict[str, Any]:
    with ExitStack() as leaving:
        folder = given.folder or Path(leaving.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        topics = folder / "topics.yaml"
        there = topics.exists()
        topics.write_text(topics_of(given.table, given.sink))
        topology = read_topology(topics)
        environ = {**os.environ, **elsewhere({"mysql", "kafka", "sqlite", given.sink})}
        servers = Stack(folder / "stack", profile="full", environ=environ, report=_say)
        leaving.callback(servers.down)
        servers.up()
        endpoints = servers.endpoints()["future"]
        roles = ("capture", "deliver")
        log = folder / "pipeline.log"
        pipeline = Pipeline(topology, {"future": endpoints}, topics=topics, roles=roles, log_file=log)
        if not there:
            fill(endpoints["mysql"], given.table, given.rows)
        leaving.callback(pipeline.stop)
        pipeline.start()
        took = ready(topology, endpoints, given.table)
        turns: dict[str, list[dict[str, Any]]] = {"scan": [], "deep": [], "quick": []}
        for _ in range(given.rounds):
            for what, runs in turns.items():
                runs.append(apart(given, what, topics, endpoints))
    told = {what: _summary(runs) for what, runs in turns.items()}
    return {
        "sink": given.sink,
        "table": given.table,
        "rows": turns["deep"][-1]["rows"],
        "verdict": [turns[depth][-1]["verdict"] for depth in ("deep", "quick")],
        "load": round(os.getloadavg()[0], 1),
        **took,
        **told,
        "deep_over_scan": round(told["deep"]["seconds"] / told["scan"]["seconds"], 2),
        "deep_over_scan_cpu": round(told["deep"]["cpu_s"] / told["scan"]["cpu_s"], 2),
        "quick_over_deep": round(told["quick"]["seconds"] / told["deep"]["seconds"], 4),
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(run["seconds"] for run in runs), 2),
        "cpu_s": round(statistics.median(run["cpu_s"] for run in runs), 2),
        "rss_mb": round(max(run["rss_mb"] for run in runs), 1),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sink", default="postgres", choices=sorted(SCANS))
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--table", default="jobs", help="one of the example's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of MySQL's time that the audit may take")
    parser.add_argument("--folder", type=Path, help="keep the servers' data here")
    parser.add_argument("--turn", choices=["scan", "deep", "quick"], help=argparse.SUPPRESS)
    parser.add_argument("--topics", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        endpoints = json.load(sys.stdin)
        print(json.dumps(turn(cast("Turn", given.turn), given.topics, given.sink, given.table, endpoints, given.share)))
    else:
        print(json.dumps(measured(given), indent=1))


if __name__ == "__main__":
    main()
