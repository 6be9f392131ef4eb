"""What the demonstration shows: it fits a narrow terminal, and counts what is there."""

from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from changes.canonical import row_hash
from changes.errors import Transient
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, Kind, TableSchema
from sinks.sql.postgres.sink import PostgresSink
from streams.watch import Waited
from tailrace.arrivals import made, told
from tailrace.commands import scenes
from tailrace.declared import read_topology

TOPOLOGY = read_topology(Path(__file__).parents[2] / "topics.yaml")
MADE = {"jobs": {"vectors": 1_234_567, "analyses": 12}, "user_profiles": {"analyses": 3}}
LANES = [
    {"sink": "postgres", "state": "waiting", "lag_s": None, "waiting": 3, "applied": None},
    {
        "sink": "redis",
        "state": "running",
        "lag_s": 0.04,
        "waiting": 0,
        "applied": 1853,
        "fresh_p50_ms": 24.6,
        "fresh_p99_ms": 112.0,
    },
]


def drawn(what: Any, width: int) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(what)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


@pytest.mark.parametrize("width", [80, 120])
def test_lanes_and_results_fit_and_are_told_in_full(width: int) -> None:
    status = {"capture": {"state": "running", "lag_s": 0.2}, "lanes": LANES}
    lines = drawn(scenes.traffic(status, MADE, 50), width)
    words = [line.split() for line in lines]
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert ["postgres", "waiting", "unknown", "3", "unknown", "unknown", "unknown"] in words
    assert ["redis", "0.0", "s", "0", "1,853", "25", "ms", "112", "ms"] in words
    assert ["jobs", "1,234,567", "12"] in words
    assert ["user_profiles", "3"] in words
    assert lines[0] == "capture running, 0.2 s behind; 50 changes a second"


def test_what_is_left_of_the_first_fill() -> None:
    state = Waited(1, "", {"future.redis.realtime": 0, "future.enrich.models": 7}, ["jobs"], True)
    assert scenes.left(state) == "tables to read 1, future.enrich.models 7"
    assert scenes.left(Waited(1, "", {"future.redis.realtime": 0}, [], True)) == "nearly there"
    assert any("jobs" in line for line in drawn(scenes.filling(state, MADE, 3.2), 80))
    assert told(MADE) == "1234567 vectors and 15 analyses"


async def test_results_are_counted_where_there_are_any(stack: Any) -> None:
    url = stack.endpoints["future"]["postgres"]
    target = next(one for one in TOPOLOGY.derived_targets("future") if one.place == "company_embeddings")
    schema = TableSchema(
        "shop",
        "companies.embedding",
        (Column("id", Kind.INTEGER, "bigint"), Column("overall", Kind.VECTOR, "vector(2)")),
        ("id",),
    )
    rows = [{"id": id_, "overall": [1.0, id_]} for id_ in range(3)]
    assert (await made(url, TOPOLOGY, "future"))["companies"] == {"vectors": 0, "analyses": 0}
    sink = PostgresSink(url)
    await sink.open([(target, schema)])
    try:
        await sink.write(
            [Record(target, key_of(schema, row), 1, row, row_hash(schema.columns, row), schema) for row in rows]
        )
        found = await made(url, TOPOLOGY, "future")
        assert found["companies"] == {"vectors": 3, "analyses": 0}
        assert list(found) == ["user_profiles", "resumes", "companies", "jobs", "ai_conversations"]
    finally:
        await sink.close()
        connection = await asyncpg.connect(url)
        await connection.execute("DROP TABLE tailrace.company_embeddings CASCADE")
        await connection.close()
    with pytest.raises(Transient):
        await made("postgresql://nobody:no@127.0.0.1:1/none", TOPOLOGY, "future")
