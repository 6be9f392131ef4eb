"""Lanes on real servers, fed with records that tests put into a topic of their own."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Producer

from changes.canonical import Value, compiled
from changes.envelope import Headers
from changes.errors import Misconfigured
from changes.progress import PublishedSchema, internal_topic
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from changes.topology import Topology, load
from sinks.registry import SPECS
from streams.deliver.conservation import Balance, conserved
from streams.deliver.lane import Lane
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl, ensure_topics
from streams.topics import topic_specs
from streams.watch import GroupOffsets

TOPICS = """
versions:
  future: {{database: shop, env: FUTURE_}}
tiers:
  {tier}: {{flush: {flush}, rows: 100, fresh: 2h}}
tables:
  - table: {table}
    key: [id]
    user: user_id
    partitions: 2
    sinks:
      - {{sink: {sink}, tier: {tier}{place}}}
"""


@dataclass
class Fed:
    """One table with one target, whose lanes come and go. ``endpoint`` is the store's, ``text`` the declaration."""

    text: str
    topology: Topology
    endpoint: str
    kafka: KafkaUrl
    producer: Producer
    groups: GroupOffsets
    position: int = 0

    @property
    def target(self) -> Target:
        return self.topology.every_target("future")[0]

    @property
    def topic(self) -> str:
        return self.topology.topic_of(self.target)

    @property
    def group(self) -> str:
        return f"future.{self.target.sink}.{self.target.tier.name}"

    @property
    def schema(self) -> TableSchema:
        columns = (
            Column("id", Kind.INTEGER, "bigint", False),
            Column("user_id", Kind.INTEGER, "bigint", False),
            Column("text", Kind.TEXT, "text"),
        )
        return TableSchema("shop", self.target.table, columns, ("id",))

    def publish(self) -> None:
        schema = self.schema
        value = msgspec.json.encode(PublishedSchema(schema, schema.fingerprint))
        key = f"{schema.table}:{schema.fingerprint}".encode()
        self.producer.produce(internal_topic("future", "schemas"), key=key, value=value)
        self.producer.flush()

    def put(self, numbers: range, text: str = "a") -> None:
        """A change of each of these rows."""
        schema = self.schema
        for number in numbers:
            self.position += 1
            row: dict[str, Value] = {"id": number, "user_id": number % 3, "text": text}
            change = {"op": "c", "before": None, "after": row, "source": {"ts_us": time.time_ns() // 1000}}
            headers = Headers(self.position, compiled(schema.columns)(row), schema.fingerprint)
            key, value = msgspec.json.encode({"id": number}), msgspec.json.encode(change)
            self.producer.produce(self.topic, key=key, value=value, headers=headers.to_kafka(), partition=number % 2)
        self.producer.flush()

    def lane(self) -> Lane:
        return Lane(
            SPECS[self.target.sink],
            self.target.tier,
            {self.topic: [self.target]},
            version="future",
            endpoint=self.endpoint,
            kafka=self.kafka,
            schemas=SchemaBook(self.kafka, "future"),
        )

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator[Lane]:
        lane = self.lane()
        running = asyncio.create_task(lane.run())
        try:
            yield lane
        finally:
            lane.stop()
            await running

    async def held(self, target: Target | None = None) -> dict[Any, Any]:
        """The texts that the store holds in a place, by id; none where it has no such table."""
        sink = SPECS[self.target.sink].build(self.endpoint)
        await sink.open([])
        try:
            return {row.row["id"]: row.row["text"] async for row in sink.rows(target or self.target, self.schema)}
        except Misconfigured:
            return {}
        finally:
            await sink.close()

    async def until_held(self, count: int, text: str = "a") -> None:
        await until_async(lambda: self._holds(count, text))

    async def _holds(self, count: int, text: str) -> bool:
        return list((await self.held()).values()) == [text] * count

    def balance(self) -> Balance:
        (found,) = conserved(self.topology, "future", self.kafka, [self.target], round(time.time() * 1000))
        return found


async def until_async(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120
    while not await true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.2)


async def until(true: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return true()

    await until_async(asked)


@contextmanager
def fed(endpoints: dict[str, str], sink: str, flush: str = "5ms") -> Iterator[Fed]:
    run = secrets.token_hex(3)
    place = f', place: "n{run}:{{id}}", keep: mirror' if sink == "redis" else ""
    text = TOPICS.format(tier=f"t{run}", flush=flush, table=f"notes_{run}", sink=sink, place=place)
    topology = load(text, "topics.yaml", {name: spec.check for name, spec in SPECS.items()})
    kafka = KafkaUrl.parse(endpoints["kafka"])
    ensure_topics(kafka, topic_specs(topology, "future"))
    here = Fed(text, topology, endpoints[SPECS[sink].endpoint], kafka, Producer(kafka.config()), GroupOffsets(kafka))
    here.publish()
    yield here
