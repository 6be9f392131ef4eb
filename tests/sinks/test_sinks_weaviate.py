"""What is particular to the Weaviate sink, on the real server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from conformance import EVERYTHING, PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of
from harness_weaviate import WeaviateHarness, objects, put, rest
from proxy import Proxy

from changes.errors import Misconfigured, Transient
from changes.key import key_of
from changes.record import BucketSum, StoredSums
from sinks.weaviate import META, WEAVIATE, catalog
from sinks.weaviate.client import Client
from sinks.weaviate.sink import WeaviateSink
from sinks.weaviate.statements import bucket_of_id, meta_id, object_id

EVER = (1 << 63) - 1
MADE = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "vector(3)"), ("overall", "vector(2)"))


@pytest.fixture(scope="module")
def harness(stack: Servers, beside: Others) -> WeaviateHarness:
    return WeaviateHarness(stack, beside)


@pytest.fixture
async def stage(harness: WeaviateHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "weaviate") as opened:
        yield opened


async def asked(harness: WeaviateHarness, query: str) -> Any:
    async with rest(harness.url) as client:
        answer = (await client.post("/graphql", json={"query": query})).raise_for_status().json()
    assert "errors" not in answer, answer
    return answer["data"]


async def near(harness: WeaviateHarness, stage: Stage, name: str, vector: list[float]) -> list[str]:
    """The rows' ids, the nearest first."""
    place = stage.target.place
    found = await asked(
        harness, f'{{Get{{{place}(nearVector:{{vector:{vector},targetVectors:["{name}"]}}){{rowId}}}}}}'
    )
    return [one["rowId"] for one in found["Get"][place]]


async def test_a_row_is_found_by_each_of_its_vectors_until_it_is_deleted(harness: WeaviateHarness) -> None:
    async with staged(harness, "weaviate", MADE) as stage:
        assert (
            await stage.write(
                stage.put(10, id=1, user_id=1, title=[1, 0, 0], overall=[0, 1]),
                stage.put(10, id=2, user_id=1, title=[0, 1, 0], overall=[1, 0]),
                stage.put(10, id=3, user_id=1, title=[0, 0, 0], overall=None),
            )
            == ["applied"] * 3
        )
        assert (await near(harness, stage, "title", [1, 0.1, 0]))[0] == "1"
        assert await near(harness, stage, "overall", [1, 0.1]) == ["2", "1"]
        assert {row.key.values[0]: row.row["title"] for row in await stage.all()}[3] == [0, 0, 0]
        await stage.write(stage.put(11, id=2, user_id=1, title=[0, 1, 0], overall=None))
        await stage.write(stage.gone(12, id=1, user_id=1))
        assert await near(harness, stage, "overall", [1, 0.1]) == []
        assert (await near(harness, stage, "title", [1, 0, 0]))[0] != "1"


async def test_a_vector_of_another_length_is_refused_alone(harness: WeaviateHarness) -> None:
    async with staged(harness, "weaviate", MADE) as stage:
        outcomes = await stage.outcomes(
            stage.put(10, id=1, user_id=1, title=[1, 0]), stage.put(10, id=2, user_id=1, title=[1, 0, 0])
        )
        assert [one.kind for one in outcomes] == ["rejected", "applied"]
        assert "`title` has 3 dimensions, not 2" in outcomes[0].reason
        schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "vector(2)"), ("overall", "vector(2)"))
        other = replace(stage, schema=schema)
        (outcome,) = await other.outcomes(other.put(10, id=3, user_id=1, title=[1, 0]))
        assert outcome.kind == "rejected"
        assert "dimensions do not match" in outcome.reason
        assert await stage.held(id=3) is None


async def test_a_named_vector_is_added_to_a_class_that_has_rows(harness: WeaviateHarness) -> None:
    async with staged(harness, "weaviate") as stage:
        await stage.write(stage.put(10, id=1, user_id=1, title="a"))
        wider = replace(stage, schema=with_meaning())
        await stage.sink.open([(stage.target, wider.schema)])
        row = {"id": 2, "user_id": 1, "title": "b", "meaning": [0.5, -0.25]}
        assert await wider.write(wider.put(11, **row)) == ["applied"]
        assert [held.row["meaning"] for held in await wider.all()] == [None, [0.5, -0.25]]
        assert await near(harness, stage, "meaning", [1, 0]) == ["2"]


def with_meaning() -> Any:
    types = [(column.name, column.type) for column in PLAIN.columns]
    return schema_of(*types, ("meaning", "vector(2)"))


async def test_no_search_and_no_filter_finds_a_tombstone(harness: WeaviateHarness, stage: Stage) -> None:
    place = stage.target.place
    await stage.write(*(stage.put(10, id=id_, user_id=1, title="a story of rivers") for id_ in (1, 2)))
    await stage.write(stage.gone(11, id=1, user_id=1), stage.gone(11, id=3, user_id=1))
    for where in (
        'bm25:{query:"rivers"}',
        'where:{path:["userId"],operator:Equal,valueText:"1"}',
        'where:{path:["_tr_deleted"],operator:Equal,valueBoolean:false}',
    ):
        found = await asked(harness, f"{{Get{{{place}({where}){{rowId}}}}}}")
        assert found["Get"][place] == [{"rowId": "2"}]
    async with rest(harness.url) as client:
        graves = [one["properties"] for one in await objects(client, place) if one["properties"]["_tr_deleted"]]
    assert [set(one) for one in graves] == [
        {"_tr_pos", "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_gen", "_tr_key", "_tr_deleted", "_tr_seen"}
    ] * 2


async def test_the_platform_s_names_come_out(harness: WeaviateHarness) -> None:
    schema = schema_of(("id", "bigint"), ("user_input", "text"), ("confidence_score", "decimal(3,2)"), ("made", "date"))
    async with staged(harness, "weaviate", schema) as stage:
        await stage.write(stage.put(10, id=1, user_input="数据", confidence_score="0.85", made="2026-01-02Z"))
        place = stage.target.place
        found = await asked(harness, f"{{Get{{{place}{{rowId userInput confidenceScore made}}}}}}")
        assert found["Get"][place] == [
            {"rowId": "1", "userInput": "数据", "confidenceScore": 0.85, "made": "2026-01-02T00:00:00Z"}
        ]


async def test_dates_of_no_calendar_are_kept(harness: WeaviateHarness) -> None:
    schema = schema_of(("id", "bigint"), ("born", "date"), ("seen", "datetime(6)"))
    days = [("0000-00-00Z", "2026-00-01T00:00:00Z"), ("9999-12-31Z", "9999-12-31T23:59:59.999999Z")]
    async with staged(harness, "weaviate", schema) as stage:
        for id_, (born, seen) in enumerate(days):
            assert await stage.write(stage.put(10, id=id_, born=born, seen=seen)) == ["applied"]
        held = await stage.all()
        assert (held[0].row["born"], held[0].row["seen"]) == days[0]
        assert (held[1].row["born"], held[1].row["seen"]) == ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59.999999Z")
        await stage.write(stage.put(11, id=0, born="2026-01-02Z", seen=None))
        assert (await stage.all())[0].row == {"id": 0, "born": "2026-01-02T00:00:00Z", "seen": None}


async def test_a_write_that_was_cancelled_anywhere_leaves_the_next_one_right(stage: Stage) -> None:
    for steps in range(0, 60, 3):
        row = {"id": steps, "user_id": 1}
        await stage.write(stage.put(10, title="old", **row))
        deleting = asyncio.ensure_future(stage.write(stage.gone(20, **row)))
        for _ in range(steps):
            await asyncio.sleep(0.0005)
        deleting.cancel()
        await asyncio.gather(deleting, return_exceptions=True)
        held = await stage.held(**row)
        assert held is None or (held.row["title"], held.position) == ("old", 10)
        assert await stage.write(stage.gone(20, **row), stage.put(15, title="late", **row)) == ["applied", "stale"]
        assert await stage.write(stage.put(19, title="late", **row)) == ["stale"]
        assert await stage.held(**row) is None
        assert await stage.write(stage.put(21, title="new", **row)) == ["applied"]
    assert {held.row["title"] for held in await stage.all()} == {"new"}


async def test_writers_of_one_process_that_race_for_rows_end_in_the_newest(
    harness: WeaviateHarness, stage: Stage
) -> None:
    random = Random(7)
    rival = replace(stage, sink=harness.build())
    await rival.sink.open([(stage.target, stage.schema)])
    try:
        for round_ in range(5):
            row = {"id": round_, "user_id": 1}
            positions = random.sample(range(1, 1000), 12)
            outcomes = await asyncio.gather(
                *(
                    (rival if number % 2 else stage).write(
                        stage.gone(position, **row) if number % 3 == 0 else stage.put(position, title="x", **row)
                    )
                    for number, position in enumerate(positions)
                )
            )
            newest = max(range(12), key=positions.__getitem__)
            assert outcomes[newest] == ["applied"]
            held = await stage.held(**row)
            assert (held.position if held else None) == (None if newest % 3 == 0 else positions[newest])
            assert await rival.write(stage.put(max(positions) - 1, title="late", **row)) == ["stale"]
    finally:
        await rival.sink.close()


async def test_tombstones_go_once_they_have_outlived_their_time(harness: WeaviateHarness) -> None:
    now = clock = 2_000_000_000.0
    sink = WeaviateSink(harness.url, clock=lambda: clock, now=lambda: now)
    stage = Stage(sink, WEAVIATE, harness.target(new_place()), PLAIN)
    await sink.open([(stage.target, PLAIN)])
    try:
        row = {"id": 1, "user_id": 1}
        await stage.write(stage.gone(10, **row), stage.put(10, id=2, user_id=1, title="kept"))
        now += stage.target.tombstones_for
        clock += 3601
        assert await stage.write(stage.put(9, **row)) == ["stale"]
        now += 1
        assert await stage.write(stage.put(9, **row)) == ["stale"]  # looked for hourly
        clock += 3601
        assert await stage.write(stage.put(9, title="back", **row)) == ["applied"]
        assert [held.row["title"] for held in await stage.all()] == ["back", "kept"]
    finally:
        await sink.close()


async def test_what_somebody_else_put_into_the_class_is_told_where_it_stands(
    harness: WeaviateHarness, stage: Stage
) -> None:
    row = {"id": 1, "user_id": 1, "title": "ours", "amount": None}
    await stage.write(stage.put(10, **row))
    (ours,) = await stage.all()
    strange = ("c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002")
    async with rest(harness.url) as client:
        (one,) = await objects(client, stage.target.place)
        for other in (
            {"id": object_id(b"2:idi1:9"), "properties": {"rowId": "9", "title": "bare"}},
            {"id": strange[0]},
            {"id": strange[1], "properties": {"title": "of no row"}},
        ):
            (await client.post("/objects", json=one | other)).raise_for_status()
    found = await stage.all()
    assert sorted((held.place, held.key.values, held.position) for held in found) == [
        ("", (1,), 10),
        ("", (9,), 0),
        (strange[0], (1,), 10),
    ]
    (copy,) = [held for held in found if held.place]
    assert await stage.sink.read(stage.target, PLAIN, [(copy.place, copy.key), ("", copy.key)]) == [copy, ours]
    sums = await stage.sink.sums(stage.target, PLAIN, EVER)
    assert sums.beyond == {}
    assert sums.sums[bucket_of_id(strange[0])] == BucketSum(1, copy.hash >> 32, copy.hash & 0xFFFFFFFF)
    assert sums.sums[key_of(PLAIN, {"id": 9}).bucket] == BucketSum(1)
    assert sum(one.count for one in sums.sums.values()) == 3
    assert await stage.write(stage.gone(11, id=9, user_id=1)) == ["applied"]


async def test_a_key_that_somebody_changed_is_missed_and_mended(harness: WeaviateHarness, stage: Stage) -> None:
    row = {"id": 1, "user_id": 1, "title": "ours"}
    await stage.write(stage.put(10, **row))
    async with rest(harness.url) as client:
        (one,) = await objects(client, stage.target.place)
        await put(client, one | {"properties": one["properties"] | {"rowId": "2"}})
    assert await stage.held(id=1) is None
    assert [(held.key.values, held.place) for held in await stage.all()] == [((2,), one["id"])]
    assert await stage.write(stage.put(10, **row)) == ["applied"]
    assert [(held.key.values, held.place) for held in await stage.all()] == [((1,), "")]


async def test_a_class_that_is_gone_is_not_made_by_guessing(harness: WeaviateHarness, stage: Stage) -> None:
    async with rest(harness.url) as client:
        await client.delete(f"/schema/{stage.target.place}")
        with pytest.raises(Misconfigured, match="could not find class"):
            await stage.write(stage.put(10, id=1, user_id=1, title="a"))
        assert (await client.get(f"/schema/{stage.target.place}")).status_code == 404
    await stage.sink.open([(stage.target, stage.schema)])
    assert await stage.write(stage.put(10, id=1, user_id=1, title="a")) == ["applied"]
    assert await stage.sink.sums(stage.target, stage.schema, 9) == StoredSums(
        {}, {("", b"2:idi1:1"): key_of(PLAIN, {"id": 1}).bucket}
    )


async def test_a_class_of_somebody_else_s_is_left_alone(harness: WeaviateHarness, stage: Stage) -> None:
    place = new_place().capitalize()
    async with rest(harness.url) as client:
        await client.post("/schema", json={"class": place})
        with pytest.raises(Misconfigured, match="was not made by Tailrace"):
            await stage.sink.open([(harness.target(place), PLAIN)])
        assert not (await client.get(f"/schema/{place}")).json()["properties"]
    other = target_of("weaviate", stage.target.place.upper())
    with pytest.raises(Misconfigured, match="similar class"):
        await stage.sink.open([(other, PLAIN)])


async def test_two_openings_at_once_make_one_class(harness: WeaviateHarness) -> None:
    target = harness.target(new_place())
    one, other = harness.build(), harness.build()
    try:
        await asyncio.gather(one.open([(target, EVERYTHING)]), other.open([(target, EVERYTHING)]))
    finally:
        await one.close()
        await other.close()


async def test_a_stamp_is_kept_for_each_lane(harness: WeaviateHarness) -> None:
    sink = harness.build()
    lane = new_place("lane")
    try:
        await sink.open([])
        assert isinstance(sink, WeaviateSink)
        assert await sink.stamped(lane) is None
        assert await sink.stamp(lane, "first") is None
        assert await sink.stamp(lane, "x" * 4000) == "first"
        assert await sink.stamp(f"{lane}-other", "other") is None
        assert await sink.stamped(lane) == "x" * 4000
        async with rest(harness.url) as client:
            await client.delete(f"/schema/{META}")
        assert await sink.stamped(lane) is None
        assert await sink.stamp(lane, "again") is None
    finally:
        await sink.close()


async def test_a_server_that_is_away_is_waited_for_and_a_wrong_key_is_not(harness: WeaviateHarness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url, kind in (
        (f"http://user:key@127.0.0.1:{port}?grpc={port}", Transient),
        (f"{harness.url.partition('?')[0]}?grpc={port}", Transient),
        (harness.url.replace("tailrace:", "tailrace:not"), Misconfigured),
        (harness.url.replace("http:", "grpc:"), Misconfigured),
        (harness.url.replace("grpc=", "grpc=x"), Misconfigured),
    ):
        with pytest.raises(kind) as failed:
            await opened(url)
        key = url.partition("tailrace:")[2].partition("@")[0]
        assert not key or key not in str(failed.value)


async def opened(url: str) -> None:
    sink = WeaviateSink(url)
    try:
        await sink.open([])
    finally:
        await sink.close()


async def test_a_connection_behind_which_nobody_is_any_more_is_replaced(harness: WeaviateHarness) -> None:
    parts = urlsplit(harness.url)
    with Proxy(parts.port or 8080) as http, Proxy(int(parse_qs(parts.query)["grpc"][0])) as calls:
        whom = parts.netloc.rpartition(":")[0]
        url = f"http://{whom}:{http.port}?grpc={calls.port}"
        client, other = Client(url, timeout=2.0), Client(url, timeout=2.0)
        await client.connect()
        await catalog.ensure_meta(client)
        for one in (client, other):
            assert await one.by_ids(META, [meta_id("nobody")], ["stamp"]) == {}
        assert calls.fall_silent()
        with pytest.raises(Transient):
            await client.by_ids(META, [meta_id("nobody")], ["stamp"])
        assert await client.by_ids(META, [meta_id("nobody")], ["stamp"]) == {}
        await client.close()
        await other.close()
