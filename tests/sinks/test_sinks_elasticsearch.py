"""What only Elasticsearch does, on a real server."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from conformance import PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of, with_row
from harness_elasticsearch import ElasticsearchHarness

from changes.errors import Misconfigured, Transient
from sinks.elasticsearch import ELASTICSEARCH, META_INDEX, alias_of, index_of
from sinks.elasticsearch.sink import ElasticsearchSink
from sinks.elasticsearch.wire import Wire

ROW = {"id": 7, "user_id": 1, "title": "数据科学家", "amount": "1.50"}


@pytest.fixture(scope="module")
def harness(stack: Servers, beside: Others) -> ElasticsearchHarness:
    return ElasticsearchHarness(stack, beside)


@pytest.fixture
async def stage(harness: ElasticsearchHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "elasticsearch") as opened:
        yield opened


@pytest.fixture
async def server(harness: ElasticsearchHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=harness.url, timeout=60) as client:
        yield client


async def told(server: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    answer = await server.request(method, path, json=body)
    answer.raise_for_status()
    return answer.json()


async def found(server: httpx.AsyncClient, where: str, query: Any) -> list[str]:
    """The ids that a search finds."""
    await told(server, "POST", f"/{where}/_refresh")
    answer = await told(server, "POST", f"/{where}/_search", {"query": query, "_source": False})
    return sorted(hit["_id"] for hit in answer["hits"]["hits"])


async def test_applications_search_rows_under_the_alias_and_see_no_tombstone(
    stage: Stage, server: httpx.AsyncClient
) -> None:
    await stage.write(stage.put(10, **ROW), stage.put(10, **ROW | {"id": 8}), stage.gone(11, **ROW | {"id": 8}))
    alias = alias_of(stage.target)
    assert await found(server, alias, {"match_all": {}}) == ["7"]
    assert await found(server, f"{alias}*", {"match_all": {}}) == ["7"]
    assert await found(server, index_of(stage.target), {"match_all": {}}) == ["7", "8"]
    assert await found(server, alias, {"range": {"amount": {"gt": 1.4, "lt": 1.6}}}) == ["7"]
    grave = (await told(server, "GET", f"/{index_of(stage.target)}/_doc/8"))["_source"]
    assert {"id", "_tr_deleted", "_tr_at"} <= grave.keys()
    assert "title" not in grave


async def test_chinese_words_are_found_by_the_best_analyzer_that_the_server_has(
    stage: Stage, server: httpx.AsyncClient
) -> None:
    await stage.write(stage.put(10, **ROW), stage.put(10, **ROW | {"id": 8, "title": "北京"}))
    assert await found(server, alias_of(stage.target), {"match": {"title": "科学"}}) == ["7"]
    assert await found(server, alias_of(stage.target), {"term": {"title.keyword": "北京"}}) == ["8"]


async def test_text_of_40_kb_is_no_obstacle_to_a_keyword(
    harness: ElasticsearchHarness, server: httpx.AsyncClient
) -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "varchar(100)"))
    async with staged(harness, "elasticsearch", schema) as stage:
        long = "é" * 20_000
        assert await stage.write(stage.put(10, id=1, title=long), stage.put(10, id=2, title="a")) == ["applied"] * 2
        assert {row.row["title"] for row in await stage.all()} == {long, "a"}
        assert await found(server, alias_of(stage.target), {"term": {"title": "a"}}) == ["2"]


async def test_vectors_without_direction_and_long_ones_are_kept(
    harness: ElasticsearchHarness, server: httpx.AsyncClient
) -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("made", "vector(2)"), ("long", "vector(5000)"))
    rows: dict[int, list[float]] = {1: [0.0, 0.0], 2: [3.4028234663852886e38, 1e-45], 3: [0.1, 0.2]}
    async with staged(harness, "elasticsearch", schema) as stage:
        batch = [stage.put(10, id=id_, made=made, long=made * 2500) for id_, made in rows.items()]
        assert await stage.write(*batch) == ["applied"] * 3
        for held in await stage.all():
            (id_,) = held.key.values
            wanted = rows[int(str(id_))]
            for name, count in (("made", 2), ("long", 5000)):
                given: Any = held.row[name]
                assert struct.pack(f"<{count}f", *given) == struct.pack(f"<{count}f", *(wanted * (count // 2)))
        query = {"knn": {"field": "made", "query_vector": [1.0, 2.0], "k": 3, "num_candidates": 3}}
        answer = await told(server, "POST", f"/{alias_of(stage.target)}/_search", query)
        assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["3"]


async def test_one_refused_document_leaves_its_neighbours_and_no_value_in_the_reason(stage: Stage) -> None:
    (good,), (bad,) = stage.put(10, **ROW), stage.put(10, **ROW | {"id": 8})
    applied, refused = await stage.outcomes([good, with_row(bad, title={"secret": 1})])  # type: ignore[arg-type]
    assert (applied.kind, refused.kind) == ("applied", "rejected")
    assert "title" in refused.reason
    assert "secret" not in refused.reason
    assert [row.key.values for row in await stage.all()] == [(7,)]


async def test_two_writers_of_the_same_rows_end_at_the_newer_of_each(
    harness: ElasticsearchHarness, stage: Stage
) -> None:
    async with staged(harness, "elasticsearch") as other:
        rival = replace(stage, sink=other.sink)
        for first in range(0, 100, 20):
            rows = [{"id": id_, "user_id": 1, "title": "a"} for id_ in range(first, first + 20)]
            await asyncio.gather(
                rival.write(*(rival.put(15 + row["id"] % 2 * 10, **row) for row in rows)),
                stage.write(*(stage.gone(20, **row) for row in rows)),
            )
    assert {row.key.values[0] for row in await stage.all()} == set(range(1, 100, 2))


async def test_a_delete_is_remembered_beyond_what_the_server_remembers_of_deleted_documents(
    stage: Stage, server: httpx.AsyncClient
) -> None:
    await told(server, "PUT", f"/{index_of(stage.target)}/_settings", {"index.gc_deletes": "1s"})
    await stage.write(stage.put(10, **ROW))
    await stage.write(stage.gone(20, **ROW))
    await asyncio.sleep(3)
    await told(server, "POST", f"/{index_of(stage.target)}/_refresh")
    assert await stage.write(stage.put(19, **ROW)) == ["stale"]
    assert await stage.all() == []


async def test_tombstones_go_when_they_have_outlived_their_use(
    harness: ElasticsearchHarness, server: httpx.AsyncClient
) -> None:
    seconds = [1_000_000.0]
    sink = ElasticsearchSink(harness.url, clock=lambda: seconds[0], now=lambda: int(seconds[0] * 1000))
    target = target_of("elasticsearch", new_place(), tombstones_for=7200)
    stage = Stage(sink, ELASTICSEARCH, target, PLAIN)
    await sink.open([(target, PLAIN)])
    try:
        await stage.write(stage.put(10, **ROW), stage.gone(10, **ROW | {"id": 8}))
        seconds[0] += 3601
        await stage.write(stage.gone(10, **ROW | {"id": 9}))
        assert await found(server, index_of(target), {"match_all": {}}) == ["7", "8", "9"]
        seconds[0] += 3601
        await stage.write(stage.put(10, **ROW))
        assert await found(server, index_of(target), {"match_all": {}}) == ["7", "9"]
    finally:
        await sink.close()


async def test_json_stands_in_documents_as_what_it_is(harness: ElasticsearchHarness, server: httpx.AsyncClient) -> None:
    text = '{"skills":["c",1.50],"big":12345678901234567890.5}'
    before = schema_of(("id", "bigint"), ("user_id", "bigint"), ("note", "text"), ("data", "json"))
    after = schema_of(("id", "bigint"), ("user_id", "bigint"), ("note", "json"), ("data", "json"))
    async with staged(harness, "elasticsearch", before) as stage:
        await stage.write(stage.put(10, id=1, note="a", data=text), stage.put(10, id=2, data="null"))
        answer = await server.get(f"/{alias_of(stage.target)}/_doc/1")
        assert f'"data":{text}' in answer.text
        assert [row.row["data"] for row in await stage.all()] == [text, "null"]
        changed = replace(stage, schema=after)
        await changed.sink.open([(changed.target, after)])
        assert await changed.write(changed.put(11, id=1, note=text, data=text)) == ["applied"]
        held = await changed.held(id=1)
        assert held is not None
        assert (held.row["note"], held.row["data"]) == (text, text)


async def test_what_somebody_else_put_into_the_index_is_told_where_it_stands(
    stage: Stage, server: httpx.AsyncClient
) -> None:
    row = {"id": 1, "user_id": 1, "title": "ours", "amount": "1.00"}
    await stage.write(stage.put(10, **row))
    index = index_of(stage.target)
    (ours,) = await stage.all()
    source = (await server.get(f"/{index}/_doc/1")).json()["_source"]
    for id_, fields in (("copy", source), ("bare", {"id": 9, "title": "theirs"})):
        (await server.put(f"/{index}/_doc/{id_}?refresh=true", json=fields)).raise_for_status()
    copy, found, theirs = sorted(await stage.all(), key=lambda one: (one.key.canonical, not one.place))
    assert found == ours
    assert [(one.place, one.key.values, one.position) for one in (copy, theirs)] == [
        ("copy", (1,), 10),
        ("bare", (9,), 0),
    ]
    places = [("copy", copy.key), ("", copy.key), ("bare", theirs.key), ("", theirs.key), ("bare", copy.key)]
    assert await stage.sink.read(stage.target, stage.schema, places) == [copy, ours, theirs, None, None]
    assert await stage.all([theirs.key.bucket]) == [theirs]
    sums = await stage.sink.sums(stage.target, stage.schema, 10)
    assert {bucket: one.count for bucket, one in sums.sums.items()} == {ours.key.bucket: 2, theirs.key.bucket: 1}


async def test_what_is_somebody_elses_is_left_alone(harness: ElasticsearchHarness, server: httpx.AsyncClient) -> None:
    sink = harness.build()
    try:
        for name in (alias_of, index_of):
            target = target_of("elasticsearch", new_place("theirs"))
            await told(server, "PUT", f"/{name(target)}", {})
            with pytest.raises(Misconfigured, match="choose another `place`"):
                await sink.open([(target, PLAIN)])
            assert (await told(server, "GET", f"/{name(target)}/_mapping"))[name(target)] == {"mappings": {}}
    finally:
        await sink.close()


async def test_two_targets_of_one_index_are_refused(harness: ElasticsearchHarness) -> None:
    place = new_place()
    sink = harness.build()
    try:
        with pytest.raises(Misconfigured, match="share the index"):
            await sink.open([(target_of("elasticsearch", word), PLAIN) for word in (place, f"shop_{place}")])
    finally:
        await sink.close()


async def test_opening_from_several_processes_at_once(harness: ElasticsearchHarness) -> None:
    sinks = [harness.build() for _ in range(3)]
    target = target_of("elasticsearch", new_place("opened_together"))
    await asyncio.gather(*(sink.open([(target, PLAIN)]) for sink in sinks))
    await asyncio.gather(*(sink.close() for sink in sinks))


async def test_an_index_that_went_away_is_not_made_by_writing(stage: Stage, server: httpx.AsyncClient) -> None:
    await told(server, "DELETE", f"/{index_of(stage.target)}")
    for attempt in (stage.write(stage.put(10, **ROW)), stage.all(), stage.held(**ROW)):
        with pytest.raises(Misconfigured, match="somebody deleted it"):
            await attempt
    for name in (alias_of, index_of):
        assert (await server.get(f"/{name(stage.target)}")).status_code == 404


async def test_a_server_whose_disk_is_full_is_transient(stage: Stage, server: httpx.AsyncClient) -> None:
    settings = f"/{index_of(stage.target)}/_settings"
    said = ""
    for version in range(10, 15):  # a server that has disk enough takes the block off again, every half minute
        await told(server, "PUT", settings, {"index.blocks.read_only_allow_delete": True})
        try:
            await stage.write(stage.put(version, **ROW))
        except Transient as error:
            said = str(error)
            break
    assert "disk usage" in said
    await told(server, "PUT", settings, {"index.blocks.read_only_allow_delete": None})
    assert await stage.write(stage.put(20, **ROW)) == ["applied"]


async def test_stamps_are_kept_for_each_lane(harness: ElasticsearchHarness, server: httpx.AsyncClient) -> None:
    lane = f"future/elasticsearch {new_place()}"
    await server.delete(f"/{META_INDEX}")
    one, other = harness.build(), harness.build()
    try:
        await one.open([])
        assert await one.stamped(lane) is None
        assert await one.stamp(lane, "first") is None
        assert await other.stamp(lane, "é" * 3000) == "first"
        assert await one.stamped(lane) == "é" * 3000
        assert await one.stamped(f"{lane}2") is None
        await asyncio.gather(*(sink.stamp(lane, "together") for sink in (one, other)))
        assert await one.stamped(lane) == "together"
    finally:
        await one.close()
        await other.close()


@asynccontextmanager
async def answering(answer: Any) -> AsyncIterator[str]:
    """The URL of a server of HTTP that answers a request, (head, body), as ``answer`` does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            status, body = await answer(head.decode(), await reader.readexactly(length))
            writer.write(b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-length: %d\r\n" % (status, len(body)))
            writer.write(b"content-type: application/json\r\n\r\n" + body)
            await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_a_bulk_that_is_too_large_for_what_stands_before_the_server_is_split(
    stage: Stage, server: httpx.AsyncClient
) -> None:
    async def limited(head: str, body: bytes) -> tuple[int, bytes]:
        if "/_bulk" in head and len(body) > 3000:
            return 413, b"<html>Request Entity Too Large"
        method, path, _ = head.split(" ", 2)
        answer = await server.request(method, path, content=body, headers={"content-type": "application/json"})
        return answer.status_code, answer.content

    async with answering(limited) as url:
        sink = ElasticsearchSink(url)
        small = replace(stage, sink=sink)
        try:
            await sink.open([(stage.target, PLAIN)])
            rows = [{**ROW, "id": id_, "title": "x" * (5000 if id_ == 3 else 500)} for id_ in range(12)]
            outcomes = await small.write(*(small.put(10, **row) for row in rows))
        finally:
            await sink.close()
    assert [id_ for id_, kind in enumerate(outcomes) if kind == "rejected"] == [3]
    assert len(await stage.all()) == 11


async def test_what_is_no_elasticsearch_and_what_is_not_there() -> None:
    async def hello(head: str, body: bytes) -> tuple[int, bytes]:
        return 200, b'"hello"'

    async with answering(hello) as url:
        sink = ElasticsearchSink(url)
        with pytest.raises(Misconfigured, match="no Elasticsearch"):
            await sink.open([])
        await sink.close()
    sink = ElasticsearchSink(url)
    with pytest.raises(Transient):
        await sink.open([])
    await sink.close()


async def test_a_wrong_password_is_told_where_the_server_asks_for_one(harness: ElasticsearchHarness) -> None:
    async with httpx.AsyncClient() as client:
        bare = httpx.URL(harness.url).copy_with(username=None, password=None)
        if (await client.get(bare)).status_code != 401:
            pytest.skip("capability: security. This server asks nobody for a password")
    sink = ElasticsearchSink(str(bare.copy_with(username="nobody", password="wrong")))
    with pytest.raises(Misconfigured) as refusal:
        await sink.open([])
    assert "wrong" not in str(refusal.value)
    await sink.close()


async def test_long_requests_leave_a_connection_for_short_ones(harness: ElasticsearchHarness) -> None:
    wire = Wire(harness.url, connections=2, timeout=2)
    never = "/_cluster/health?wait_for_nodes=99&timeout=3s"
    long = [asyncio.ensure_future(wire.ask("GET", never, allow=(408,), patience=60)) for _ in range(3)]
    await asyncio.sleep(0.5)
    assert (await wire.ask("GET", "/")).status == 200
    assert not any(one.done() for one in long)
    assert [answer.status for answer in await asyncio.gather(*long)] == [408] * 3
    await wire.close()
