"""One lane: a (version, sink, tier) with its consumer group, its sink, and the only retry loop there is."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from confluent_kafka import Message, TopicPartition

from changes.errors import Misconfigured, Transient
from changes.progress import Offsets
from changes.record import Outcome, Record
from changes.target import Target
from changes.tier import Tier
from sinks.contract import Sink, SinkSpec
from streams.deliver.consumer import Fenced, LaneConsumer
from streams.deliver.deadletters import DeadLetter, DeadLetters
from streams.deliver.prepare import Prepared, prepare
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.kafka import KafkaUrl

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
REFUSED_WAIT = 10.0

_SAMPLES, _KEPT = 20, 1000
"""Freshness samples taken of a batch, and kept in all."""

State = Literal["starting", "running", "waiting", "stopped"]


@dataclass
class LaneStats:
    """Counts since the lane started; ``reason`` says why it is not running.

    ``newest_ms`` is when the newest change it applied was committed; ``freshness_ms`` are the last changes' times from
    commit to the store's answer.
    """

    version: str
    sink: str
    tier: str
    state: State = "starting"
    reason: str = ""
    applied: int = 0
    stale: int = 0
    collapsed: int = 0
    filtered: int = 0
    parked: int = 0
    batches: int = 0
    newest_ms: float | None = None
    freshness_ms: list[float] = field(default_factory=list)


def group_of(version: str, sink: str, tier: str) -> str:
    return f"{version}.{sink}.{tier}"


class Lane:
    """`run` returns when it is told to stop, and never for a store's sake: it waits and tries again."""

    def __init__(
        self,
        spec: SinkSpec,
        tier: Tier,
        targets: Mapping[str, Sequence[Target]],
        *,
        version: str,
        endpoint: str,
        kafka: KafkaUrl,
        schemas: SchemaBook,
        worker: int = 0,
    ) -> None:
        """``targets`` by topic."""
        self.stats = LaneStats(version, spec.name, tier.name)
        self._spec, self._tier, self._targets = spec, tier, targets
        self._kafka, self._schemas = kafka, schemas
        self._endpoint = endpoint
        self._group = group_of(version, spec.name, tier.name)
        self._worker = worker
        self._instance = f"{self._group}.{worker}"
        self._version = version
        self._letters = DeadLetters(kafka, version)
        self._stop = asyncio.Event()
        self._ready: set[tuple[str, str]] = set()

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        wait = FIRST_WAIT
        while not self._stop.is_set():
            try:
                await self._run_once()
                return
            except Fenced as error:
                self._instance = f"{self._group}.{self._worker}.{random.getrandbits(32):08x}"
                self._wait_for("waiting", error)
            except Transient as error:
                self._wait_for("waiting", error)
                wait = min(wait * 2, LONGEST_WAIT)
            except Misconfigured as error:
                self._wait_for("stopped", error)
                wait = REFUSED_WAIT
            await self._sleep(wait)

    async def _run_once(self) -> None:
        sink = self._spec.build(self._endpoint)
        consumer = LaneConsumer(self._kafka, self._group, self._instance, list(self._targets))
        self._ready.clear()
        try:
            await consumer.start()
            await self._consume(consumer, sink)
        finally:
            await sink.close()
            await consumer.close()

    async def _consume(self, consumer: LaneConsumer, sink: Sink) -> None:
        await self._persist(consumer, lambda: self._open_known(sink))
        self.stats.state = "running"
        ahead = asyncio.create_task(consumer.fetch(self._tier))
        try:
            while not self._stop.is_set():
                messages = await ahead
                ahead = asyncio.create_task(consumer.fetch(self._tier))
                if messages:
                    await self._deliver(consumer, sink, messages)
        finally:
            await asyncio.gather(ahead, return_exceptions=True)

    async def _open_known(self, sink: Sink) -> None:
        await asyncio.to_thread(self._schemas.refresh)
        latest = self._schemas.latest()
        tables = [
            (target, latest[target.table])
            for targets in self._targets.values()
            for target in targets
            if target.table in latest
        ]
        await sink.open(tables)
        self._ready |= {(target.name, schema.fingerprint) for target, schema in tables}

    async def _deliver(self, consumer: LaneConsumer, sink: Sink, messages: list[Message]) -> None:
        prepared = Prepared()
        outcomes: list[Outcome] = []

        async def write() -> None:
            nonlocal prepared
            prepared = await self._prepared(messages)
            await self._open_new(sink, prepared.records)
            outcomes[:] = await sink.write(prepared.records)
            await self._park(prepared, outcomes)

        await self._persist(consumer, write)
        self._count(prepared, outcomes)
        await consumer.commit(_ends(messages))

    async def _prepared(self, messages: list[Message]) -> Prepared:
        """Kafka shows a transaction's topics one after the other: a row may be seen before the schema that was
        published with it. Raises `Transient` then: the row must wait, not be set aside."""
        try:
            return prepare(messages, self._targets, self._schemas.of, self._spec.place_of)
        except UnknownSchema:
            await asyncio.to_thread(self._schemas.refresh)
        try:
            return prepare(messages, self._targets, self._schemas.of, self._spec.place_of)
        except UnknownSchema as error:
            raise Transient(str(error)) from error

    async def _open_new(self, sink: Sink, records: Sequence[Record]) -> None:
        new = {
            (record.target.name, record.schema.fingerprint): (record.target, record.schema)
            for record in records
            if (record.target.name, record.schema.fingerprint) not in self._ready
        }
        if new:
            await sink.open(list(new.values()))
            self._ready |= new.keys()

    async def _park(self, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        letters = [
            DeadLetter(prepared.message_of[id(record)], self._spec.name, record.target.name, outcome.reason)
            for record, outcome in zip(prepared.records, outcomes, strict=True)
            if outcome.kind == "rejected"
        ]
        letters += [DeadLetter(message, self._spec.name, "", reason) for message, reason in prepared.unreadable]
        if letters:
            await asyncio.to_thread(self._letters.park, letters)
            for letter in letters:
                log.error(
                    "%s refuses %s of `%s`, parked: %s",
                    self._group,
                    (letter.message.key() or b"").decode("utf-8", "replace"),
                    letter.message.topic(),
                    letter.reason,
                )

    async def _persist(self, consumer: LaneConsumer, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` until it is done or the lane is stopped: the one place where anything is retried."""
        wait = FIRST_WAIT
        while True:
            try:
                await work()
                break
            except Transient as error:
                self._wait_for("waiting", error)
                pause = error.retry_after or wait * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
                wait = min(wait * 2, LONGEST_WAIT)
            except Misconfigured as error:
                self._wait_for("stopped", error)
                pause = REFUSED_WAIT
            await consumer.rest(pause)
            if self._stop.is_set():
                raise Transient("stopped while waiting for the store")
        if self.stats.state != "running":
            if self.stats.reason:
                log.info("%s goes on", self._group)
            self.stats.state, self.stats.reason = "running", ""
            await consumer.resume()

    def _wait_for(self, state: State, error: Exception) -> None:
        if self.stats.reason != str(error):
            level = logging.WARNING if state == "waiting" else logging.ERROR
            log.log(level, "%s %s: %s", self._group, "waits" if state == "waiting" else "is stopped", error)
        self.stats.state, self.stats.reason = state, str(error)

    def _count(self, prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
        stats = self.stats
        for outcome in outcomes:
            if outcome.kind == "applied":
                stats.applied += 1
            elif outcome.kind == "stale":
                stats.stale += 1
            else:
                stats.parked += 1
        stats.parked += len(prepared.unreadable)
        stats.filtered += prepared.filtered
        stats.collapsed += max(0, prepared.changes - len(prepared.records))
        stats.batches += 1
        if prepared.committed_us:
            now = time.time() * 1000
            stats.newest_ms = max(prepared.committed_us) / 1000
            stats.freshness_ms += [round(now - us / 1000, 1) for us in prepared.committed_us[:_SAMPLES]]
            del stats.freshness_ms[:-_KEPT]

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _ends(messages: Sequence[Message]) -> list[TopicPartition]:
    """For each partition, the offset behind its last message."""
    ends: Offsets = {}
    for message in messages:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and partition is not None and offset is not None:
            ends[topic, partition] = offset + 1
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]
