"""A place that lost its rows in one of the stores beside the core ones is filled from the topics while changes go on:
equal to MySQL, by every row."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from faulty import PLACES, TOPICS
from line import Line, prepared
from neo4j import AsyncDriver, AsyncGraphDatabase
from pymongo import AsyncMongoClient

from audit.deep import check
from changes.target import Target
from sinks.elasticsearch import index_of
from sinks.registry import SPECS
from tailrace.declared import read_topology
from tailrace.endpoints import environment
from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack
from tailrace.stack.beside import Beside

pytestmark = pytest.mark.slow

ROWS, RATE = 1500, 30.0
ONE_STORE = TOPICS.replace("      - {beside}\n", "")
WAY = {"mongodb": "beside", "elasticsearch": "beside", "neo4j": "beside", "weaviate": "through"}


class Documents:
    def __init__(self, url: str) -> None:
        self._url = url

    async def count(self, target: Target) -> int:
        async with self._client() as client:
            return int(await client.get_default_database()[target.place].count_documents({}))

    async def empty(self, target: Target) -> None:
        async with self._client() as client:
            await client.get_default_database()[target.place].delete_many({})

    def _client(self) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(self._url)


class Index:
    def __init__(self, url: str) -> None:
        self._url = url

    async def count(self, target: Target) -> int:
        return len(await self._ids(target))

    async def empty(self, target: Target) -> None:
        lines = [json.dumps({"delete": {"_id": id_}}) for id_ in await self._ids(target)]
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            answer = await client.post(
                f"/{index_of(target)}/_bulk?refresh=true",
                content="\n".join([*lines, ""]),
                headers={"content-type": "application/x-ndjson"},
            )
            answer.raise_for_status()

    async def _ids(self, target: Target) -> list[str]:
        async with httpx.AsyncClient(base_url=self._url, timeout=60) as client:
            await client.post(f"/{index_of(target)}/_refresh")
            answer = await client.post(f"/{index_of(target)}/_search", json={"size": 5000, "_source": False})
            return [hit["_id"] for hit in answer.raise_for_status().json()["hits"]["hits"]]


class Graph:
    """Nodes, with every edge that they have."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def count(self, target: Target) -> int:
        ((found,),) = await self._ask(f"MATCH (n:`{target.place}`) RETURN count(n)")
        return int(found)

    async def empty(self, target: Target) -> None:
        await self._ask(f"MATCH (n:`{target.place}`) DETACH DELETE n")

    async def _ask(self, text: Any) -> list[list[Any]]:
        async with self._driver() as driver, driver.session() as session:
            return await (await session.run(text)).values()

    @asynccontextmanager
    async def _driver(self) -> AsyncIterator[AsyncDriver]:
        parts = urlsplit(self._url)
        auth = (parts.username or "", parts.password or "")
        async with AsyncGraphDatabase.driver(f"{parts.scheme}://{parts.hostname}:{parts.port}", auth=auth) as driver:
            yield driver


class Objects:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._base = f"http://{parts.hostname}:{parts.port}/v1"
        self._headers = {"Authorization": f"Bearer {parts.password}"}

    async def count(self, target: Target) -> int:
        return len(await self._ids(target))

    async def empty(self, target: Target) -> None:
        ids = await self._ids(target)
        async with self._client() as client:
            for id_ in ids:
                await client.delete(f"/objects/{target.place}/{id_}")

    async def _ids(self, target: Target) -> list[str]:
        async with self._client() as client:
            answer = await client.get("/objects", params={"class": target.place, "limit": 5000})
            return [one["id"] for one in answer.raise_for_status().json()["objects"]]

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self._base, headers=self._headers, timeout=60)


Store = Documents | Index | Graph | Objects

STORES: dict[str, Callable[[str], Store]] = {
    "mongodb": Documents,
    "elasticsearch": Index,
    "neo4j": Graph,
    "weaviate": Objects,
}


@dataclass
class One:
    """A running line into one store, whose table is `resumes`."""

    line: Line
    topics: Path

    @property
    def target(self) -> Target:
        (found,) = self.line.topology.every_target("future")
        return found

    @property
    def store(self) -> Store:
        return STORES[self.target.sink](self.line.endpoints[self.target.sink])

    def replay(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "tailrace", "replay", "--sink", self.target.sink, "--table", "resumes"]
        found = subprocess.run(
            [*command, "--json", "--topics", str(self.topics)],
            env=environment(self.line.topology, "future", self.line.endpoints),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert found.returncode == 0, (found.stdout, found.stderr)
        (only,) = json.loads(found.stdout)["replays"]
        return dict(only)


@pytest.fixture(scope="module")
def captured(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """MySQL and Kafka, with capture running for all the stores that are tried one after the other: their URLs."""
    folder, endpoints = tmp_path_factory.mktemp("captured"), servers.endpoints()["future"]
    given = {kind: endpoints[kind] for kind in ("mysql", "kafka", "redis")}
    prepared(given, ROWS)
    topics = folder / "topics.yaml"
    topics.write_text(ONE_STORE.format(store=PLACES["redis"]))
    topology = read_topology(topics)
    capture = Pipeline(topology, {"future": given}, topics=topics, roles=["capture"], log_file=folder / "capture.log")
    capture.start()
    try:
        yield {kind: given[kind] for kind in ("mysql", "kafka")}
    finally:
        capture.stop()


SLOW_TO_START = ("elasticsearch", "neo4j")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.long] * (name in SLOW_TO_START)) for name in STORES])
def one(request: pytest.FixtureRequest, captured: dict[str, str], beside: Beside, tmp_path: Path) -> Iterator[One]:
    name = str(request.param)
    endpoints = {**captured, SPECS[name].endpoint: beside.url(name)}
    topics = tmp_path / "topics.yaml"
    topics.write_text(ONE_STORE.format(store=PLACES[name]))
    topology = read_topology(topics)
    delivery = Pipeline(
        topology, {"future": endpoints}, topics=topics, roles=["deliver"], log_file=tmp_path / "deliver.log"
    )
    delivery.start()
    try:
        line = Line(topology, endpoints, delivery)
        line.settle()
        yield One(line, topics)
    finally:
        delivery.stop()
        beside.end()


@asynccontextmanager
async def changing(one: One) -> AsyncIterator[None]:
    traffic = Traffic(one.line.endpoints["mysql"], rate=RATE, seed=8)
    await asyncio.to_thread(traffic.start)
    try:
        yield
        await asyncio.to_thread(traffic.pause)
    finally:
        await asyncio.to_thread(traffic.stop)


async def test_an_emptied_place_is_filled_again(one: One) -> None:

    async with changing(one):
        before = await one.store.count(one.target)
        await one.store.empty(one.target)
        assert await one.store.count(one.target) < before / 2, "but what has come since"
        done = await asyncio.to_thread(one.replay)
        assert (done["state"], done["done"], done["way"]) == ("done", 1.0, WAY[one.target.sink])
    await asyncio.to_thread(one.line.settle)
    report = (await check(one.line.topology, "future", one.line.endpoints)).report
    (result,) = report.results
    assert (report.verdict, result.differences) == ("equal", [])
    assert result.sink_rows == result.source_rows > 50
