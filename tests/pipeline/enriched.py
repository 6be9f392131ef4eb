"""One table and its analysis at an endpoint that does as it is told: what tests of enrichment drive and look at."""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import redis
from line import Line, line

from enrichers.inputs import read
from streams.kafka import read_topic
from streams.mysql import connect

TABLE, ENRICHER, PLACE = "jobs", "analysis", "job_ai_analysis"
READ = ["title", "description"]
FIRST_ID = 100_001

TOPICS = """
versions:
  future: {database: jobfirst_future, env: FUTURE_}
tables:
  - table: jobs
    key: [id]
    partitions: 8
    columns: {drop: [internal_note], personal: [contact_phone]}
    enrich:
      analysis: {kind: job_analysis, read: [title, description], carry: [location]}
    sinks:
      - {sink: redis,    tier: realtime, place: "job:{id}"}
      - {sink: postgres, tier: realtime}
      - {sink: redis,    tier: realtime, of: analysis, place: "job_analysis:{id}"}
      - {sink: postgres, tier: realtime, of: analysis, place: job_ai_analysis}
"""


def in_mysql(running: Line, *statements: str, many: Sequence[Sequence[object]] | None = None) -> None:
    """Run statements, each a transaction; with ``many``, the only one once for each of these, in one transaction."""
    with closing(connect(running.mysql)) as connection, connection.cursor() as cursor:
        for statement in statements:
            if many is None:
                cursor.execute(statement)
            else:
                connection.begin()
                cursor.executemany(statement, many)
                connection.commit()


def in_postgres(running: Line, query: str) -> list[Any]:
    async def ask() -> list[Any]:
        connection = await asyncpg.connect(running.endpoints["postgres"])
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(ask())


def configured(url: str, **more: object) -> dict[str, str]:
    """The environment in which the endpoint at ``url`` makes the analyses."""
    given = {"URL": url, "MODEL": "test-model", "NAME": "endpoint", "RPM": 100_000} | more
    return {f"FUTURE_LLM_{name}": str(value) for name, value in given.items()}


@contextmanager
def analysed(endpoints: dict[str, str], folder: Path, environ: Mapping[str, str]) -> Iterator[Line]:
    """A pipeline of the one table, with ``environ`` added to its environment."""
    topics = folder / "topics.yaml"
    topics.write_text(TOPICS)
    before = {name: os.environ.get(name) for name in environ}
    os.environ |= environ
    try:
        with line(endpoints, folder, rows=100, enriched=True, topics=topics) as running:
            yield running
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def inserted(running: Line, count: int, *, title: str = "job {id} n=0") -> list[int]:
    """New rows with those titles; their ids. Rows that an earlier test made are gone."""
    ids = [*range(FIRST_ID, FIRST_ID + count)]
    in_mysql(running, f"DELETE FROM jobs WHERE id >= {FIRST_ID}")
    in_mysql(
        running,
        "INSERT INTO jobs (id, company_id, title, description, location) VALUES (%s, 1, %s, 'what it is about', 'X')",
        many=[(number, title.format(id=number)) for number in ids],
    )
    return ids


@dataclass(frozen=True)
class Stored:
    """One result as a store holds it."""

    position: int
    title: str
    input: str
    provider: str
    degraded: int
    hash: str


def _stored(position: object, row: Mapping[str, Any], hash_: str) -> Stored:
    analysis = row["analysis"] if isinstance(row["analysis"], Mapping) else json.loads(row["analysis"])
    title = analysis["enhanced_description"]
    return Stored(int(str(position)), title, row["input_hash"], row["provider"], int(row["degraded"]), hash_)


def postgres_results(running: Line) -> dict[int, Stored]:
    found = in_postgres(running, f"SELECT * FROM tailrace.{PLACE} WHERE id >= {FIRST_ID}")
    return {row["id"]: _stored(row["_tr_pos"], row, f"{row['_tr_h1']:08x}{row['_tr_h2']:08x}") for row in found}


def redis_results(running: Line, ids: Sequence[int]) -> dict[int, Stored]:
    """A value's position and hash are in its stamp, which one command reads beside it."""
    names = [f"{prefix}job_analysis:{number}" for number in ids for prefix in ("", "_tr:")]
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        found = client.mget(names)
    pairs = {number: found[2 * at : 2 * at + 2] for at, number in enumerate(ids)}
    return {
        number: _stored(stamp[5:24].decode(), json.loads(value), stamp[24:].split()[0].decode())
        for number, (value, stamp) in pairs.items()
        if value is not None
    }


def wrong(running: Line, ids: Sequence[int]) -> list[str]:
    """Every result, in either store, that was not made of its row as it is now; and rows without one."""
    with closing(connect(running.mysql)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT id, title, description FROM jobs WHERE id >= {FIRST_ID}")
        rows = {row[0]: dict(zip(READ, row[1:], strict=True)) for row in cursor.fetchall()}
    found = []
    for store, results in (("postgres", postgres_results(running)), ("redis", redis_results(running, ids))):
        for number in ids:
            wanted = read(READ, rows[number]).hash if number in rows else None
            held = results[number].input if number in results else None
            if held != wanted:
                found.append(f"{store}: {number} was made of {held}, is {wanted}")
    return found


@dataclass
class Told:
    """The enriched topic as it is: how many records, and the last input hash of each key that is not gone."""

    records: int = 0
    last: dict[int, str] = field(default_factory=dict)
    at: list[tuple[int, float, str]] = field(default_factory=list)
    """(partition, when in seconds since 1970, provider) of each result."""


def told(running: Line, least: int = FIRST_ID) -> Told:
    found = Told()
    for message in read_topic(running.kafka, running.topology.derived_topic(running.version, TABLE, ENRICHER)):
        number = json.loads(message.key())["id"]
        if number < least:
            continue
        found.records += 1
        value = message.value()
        after = None if value is None else json.loads(value)["after"]
        if after is None:
            found.last.pop(number, None)
        else:
            found.last[number] = after["input_hash"]
            found.at.append((message.partition(), message.timestamp()[1] / 1000, after["provider"]))
    return found
