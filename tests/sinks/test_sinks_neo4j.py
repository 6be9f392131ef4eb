"""What only Neo4j does with rows, on a real server; their relationships are in `test_sinks_neo4j_edges`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from conformance import PLAIN, Harness, Others, Servers, Stage, new_place, staged, target_of
from harness_neo4j import Neo4jHarness, cypher, settled

from changes.errors import Misconfigured, Transient
from changes.target import Edge
from sinks.contract import Sink
from sinks.neo4j.sink import Neo4jSink
from sinks.registry import SPECS


@pytest.fixture(scope="module")
def harness(stack: Servers, beside: Others) -> Neo4jHarness:
    return Neo4jHarness(stack, beside)


@pytest.fixture
async def stage(harness: Harness) -> AsyncIterator[Stage]:
    async with staged(harness, "neo4j") as opened:
        yield opened


async def test_a_paused_writer_cannot_resurrect_a_row(harness: Neo4jHarness, stage: Stage) -> None:
    """An upsert and a newer delete of rows that neither has seen, by two writers at once."""
    async with staged(harness, "neo4j") as other:
        await other.sink.open([(stage.target, stage.schema)])
        zombie = replace(stage, sink=other.sink)
        for first in range(0, 200, 20):
            rows = [{"id": id_, "user_id": 1, "title": "a"} for id_ in range(first, first + 20)]
            put = [record for row in rows for record in zombie.put(15, **row)]
            gone = [record for row in rows for record in stage.gone(20, **row)]
            await asyncio.gather(settled(zombie, put), settled(stage, gone))
    assert await stage.all() == []
    assert await cypher(harness.url, f"MATCH (n:`{stage.target.place}`) RETURN count(n)") == [[0]]


async def test_sums_while_rows_are_deleted_count_each_row_once(stage: Stage) -> None:
    rows = [{"id": id_, "user_id": 1, "title": "a"} for id_ in range(60)]
    await stage.write(*(stage.put(10, **row) for row in rows))

    async def deleting() -> None:
        for start in range(0, 60, 6):
            await stage.write(*(stage.gone(20, **row) for row in rows[start : start + 6]))

    task = asyncio.ensure_future(deleting())
    while not task.done():
        stored = await stage.sink.sums(stage.target, stage.schema, 15)
        assert sum(one.count for one in stored.sums.values()) + len(stored.beyond) == 60
    await task


async def test_an_audits_tables_are_read_side_by_side(stage: Stage) -> None:
    """Each holds a connection for as long as it is read, which may be for longer than a connection is waited for."""
    await stage.write(*(stage.put(10, id=id_, user_id=1, title="a") for id_ in range(2)))
    tables = [stage.sink.rows(stage.target, stage.schema) for _ in range(16)]
    firsts = await asyncio.wait_for(asyncio.gather(*(anext(table) for table in tables)), timeout=60)
    assert {row.key.values for row in firsts} <= {(0,), (1,)}
    for table in tables:
        assert len([row async for row in table]) == 1


async def test_a_node_that_somebody_made_is_a_row_until_its_delete(harness: Neo4jHarness, stage: Stage) -> None:
    label = stage.target.place
    await stage.write(stage.put(10, id=1, user_id=1, title="ours"))
    await cypher(harness.url, f"CREATE (:`{label}` {{id: 2, title: 'theirs'}}), (:`{label}` {{title: 'no key'}})")
    ours, theirs = await stage.all()
    assert (ours.row["title"], theirs.key.values, theirs.position, theirs.hash) == ("ours", (2,), 0, 0)
    places = [(theirs.place, theirs.key), ("", theirs.key), ("", ours.key)]
    assert await stage.sink.read(stage.target, stage.schema, places) == [theirs, None, ours]
    assert await stage.all([theirs.key.bucket]) == [theirs]
    assert await stage.all([(theirs.key.bucket + 1) % 1024]) == []
    stored = await stage.sink.sums(stage.target, stage.schema, 100)
    assert stored.sums[theirs.key.bucket].count == 1
    await stage.write(stage.gone(20, id=2))
    assert await stage.all() == [ours]


async def test_a_column_that_is_no_longer_let_through_goes_with_the_rows_next_write(
    harness: Neo4jHarness, stage: Stage
) -> None:
    row = {"id": 1, "user_id": 7, "title": "secret"}
    await stage.write(stage.put(10, **row))
    narrow = replace(stage, target=target_of("neo4j", stage.target.place, hidden=frozenset({"title"})))
    await narrow.sink.open([(narrow.target, narrow.schema)])
    assert await narrow.write(narrow.put(10, **row)) == ["applied"]
    text = f"MATCH (n:`{stage.target.place}`) RETURN n.title, n.user_id"
    assert await cypher(harness.url, text) == [[None, 7]]


async def test_opening_from_several_processes_at_once(harness: Neo4jHarness) -> None:
    sinks = [harness.build() for _ in range(4)]
    edges = (Edge(new_place("TYPE"), end=new_place("End"), end_key="user_id"),)
    target = target_of("neo4j", new_place("Opened"), edges=edges)

    async def opened(sink: Sink) -> None:
        """As a lane does it: Neo4j gives one of two that make something of the same label a deadlock."""
        for _ in range(len(sinks)):
            with contextlib.suppress(Transient):
                return await sink.open([(target, PLAIN)])
        raise AssertionError("every attempt met another one")

    await asyncio.gather(*map(opened, sinks))
    online = await cypher(harness.url, "SHOW INDEXES YIELD name, state WHERE state = 'ONLINE' RETURN name")
    names = {name for (name,) in online}
    made = {f"_tailrace_{kind}_{target.place}" for kind in ("key", "bucket", "columns")}
    assert {*made, f"_tailrace_key_{edges[0].end}", f"_tailrace_made_{edges[0].type}"} <= names
    await asyncio.gather(*(sink.close() for sink in sinks))


async def test_tombstones_go_once_they_have_outlived_their_time(harness: Neo4jHarness) -> None:
    now = [0.0]
    sink = Neo4jSink(harness.url, clock=lambda: now[0])
    brief, long = (target_of("neo4j", new_place(), tombstones_for=seconds) for seconds in (0, 3600))
    await sink.open([(brief, PLAIN), (long, PLAIN)])
    for target in (brief, long):
        one = Stage(sink, SPECS["neo4j"], target, PLAIN)
        await one.write(one.gone(20, id=1, user_id=1))
    count = "MATCH (d:_tailrace_tombstone) WHERE d.target IN $targets RETURN d.target, count(*)"
    both = [brief.name, long.name]
    assert sorted(await cypher(harness.url, count, targets=both)) == sorted([name, 1] for name in both)
    now[0] = 3599.0
    await sink.write([])
    assert len(await cypher(harness.url, count, targets=both)) == 2
    now[0] = 3600.0
    await sink.write([])
    assert await cypher(harness.url, count, targets=both) == [[long.name, 1]]
    await sink.close()


async def test_a_stamp_is_kept_beside_the_data(harness: Neo4jHarness) -> None:
    sink, lane = harness.build(), new_place("lane")
    await sink.open([])
    assert await sink.stamped(lane) is None  # type: ignore[attr-defined]
    assert await sink.stamp(lane, "one") is None  # type: ignore[attr-defined]
    assert await sink.stamp(lane, "two" * 1000) == "one"  # type: ignore[attr-defined]
    await sink.close()
    other = harness.build()
    await other.open([])
    assert await other.stamped(lane) == "two" * 1000  # type: ignore[attr-defined]
    assert await other.stamped(lane + "2") is None  # type: ignore[attr-defined]
    await other.close()


async def test_a_server_that_is_away_is_transient_and_one_that_refuses_us_misconfigured(harness: Neo4jHarness) -> None:
    away = Neo4jSink("bolt://neo4j:secret@127.0.0.1:1")
    with pytest.raises(Transient) as caught:
        await away.open([])
    assert "secret" not in str(caught.value)
    await away.close()
    wrong = Neo4jSink(harness.url.replace("://neo4j:", "://neo4j:not"))
    with pytest.raises(Misconfigured, match="Unauthorized"):
        await wrong.open([])
    await wrong.close()
    nowhere = Neo4jSink(f"{harness.url}/nowhere")
    with pytest.raises(Misconfigured, match="DatabaseNotFound"):
        await nowhere.open([])
    await nowhere.close()
