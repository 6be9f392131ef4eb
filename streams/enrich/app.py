"""The Faust application of a version: an agent for each table that has enrichers."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import faust
from faust.auth import SASLCredentials
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from changes.envelope import decode, headers_from
from changes.topology import Topology
from enrichers.cache import Cache
from enrichers.contract import Enricher
from enrichers.registry import SPECS
from enrichers.settings import Settings
from streams.deliver.lane import group_of
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.enrich.derive import plan_of
from streams.enrich.lanes import Lanes
from streams.enrich.outlet import Outlet
from streams.enrich.table import Job, TableWork
from streams.kafka import KafkaUrl
from streams.watch import ENRICH, MODELS

log = logging.getLogger(__name__)

SESSION_SECONDS, HEARTBEAT_SECONDS, COMMIT_SECONDS = 6.0, 2.0, 0.25


class _CommittedThread(driver.AIOKafkaConsumerThread):
    """Faust reads uncommitted records unless it writes in transactions itself; capture's must be committed."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        return consumer


class _CommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> Any:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class _CommittedTransport(driver.Transport):
    Consumer = _CommittedConsumer


@dataclass
class EnrichStats:
    """Counts since the process started."""

    seen: int = 0
    done: int = 0


class Enrich:
    """One version's enrichment. `run` returns when ``stop`` is set."""

    def __init__(self, topology: Topology, version: str, kafka: KafkaUrl, cache: Cache, settings: Settings) -> None:
        self._topology, self._version, self._kafka = topology, version, kafka
        self._cache = cache
        self._schemas = SchemaBook(kafka, version)
        self._outlet = Outlet(kafka, version)
        self._enrichers: list[Enricher] = []
        self._work: dict[str, TableWork] = {}
        self._lanes: list[Lanes[Any]] = []
        self.stats = EnrichStats()
        for table in topology.declared.tables:
            if table.enrich:
                self._work[table.table] = self._work_of(table.table, settings)

    def _work_of(self, table: str, settings: Settings) -> TableWork:
        declared = self._topology.tables[table]
        plans = []
        for name, decl in declared.enrich.items():
            enricher = SPECS[decl.kind].build(decl, settings)
            self._enrichers.append(enricher)
            plans.append((plan_of(self._topology, self._version, table, name, enricher.output_columns()), enricher))
        return TableWork(plans, self._cache, self._outlet, self._schemas.of)

    async def run(self, stop: asyncio.Event) -> None:
        for enricher in self._enrichers:
            await enricher.open()
        await asyncio.to_thread(self._schemas.refresh)
        app = self._app()
        for table, work in self._work.items():
            self._add_agent(app, table, work)
        try:
            await app.start()
            await stop.wait()
        finally:
            await app.stop()
            for lanes in self._lanes:
                await lanes.stop()
            for enricher in self._enrichers:
                await enricher.close()
            await self._cache.close()

    def _app(self) -> Any:
        url = [URL(f"kafka://{server}") for server in self._kafka.servers.split(",")]
        credentials = (
            None
            if self._kafka.user is None
            else SASLCredentials(username=self._kafka.user, password=self._kafka.password)
        )
        app = faust.App(
            group_of(self._version, ENRICH, MODELS),
            broker=url,
            broker_credentials=credentials,
            autodiscover=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            web_enabled=False,
            worker_redirect_stdouts=False,
            datadir=tempfile.mkdtemp(prefix="tailrace-faust-"),
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=HEARTBEAT_SECONDS,
            broker_request_timeout=30.0,
            broker_commit_interval=COMMIT_SECONDS,
            consumer_auto_offset_reset="earliest",
        )
        app.transport = _CommittedTransport(url, app)
        return app

    def _add_agent(self, app: Any, table: str, work: TableWork) -> None:
        topic = app.topic(
            self._topology.topic(self._version, table),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        async def handle(items: list[tuple[Any, Job]]) -> None:
            try:
                await work.handle([job for _, job in items])
            except UnknownSchema:
                await asyncio.to_thread(self._schemas.refresh)
                raise

        def done(item: tuple[Any, Job]) -> None:
            self.stats.done += 1
            item[0].ack()

        async def enrich(stream: Any) -> None:
            lanes: Lanes[tuple[Any, Job]] = Lanes(handle, done)  # type: ignore[arg-type]
            lanes.start()
            self._lanes.append(lanes)
            async for event in _events(stream):
                self.stats.seen += 1
                job = _job(event)
                if job is None:
                    event.ack()
                else:
                    await lanes.put(job.key, (event, job))

        app.agent(topic, name=f"{self._version}.{table}")(enrich)


async def _events(stream: Any) -> AsyncIterator[Any]:
    """Acknowledged by us, when they are through: Faust would do it as soon as the next one is asked for."""
    async for event in stream.noack().events():
        yield event


def _job(event: Any) -> Job | None:
    """``None`` for what says nothing new: tombstones, and records that are no change of ours."""
    if event.message.value is None:
        return None
    headers: Mapping[str, bytes] = dict(event.message.headers or {})
    try:
        return Job(event.message.key, decode(event.message.value), headers_from({**headers}))
    except ValueError as error:
        log.error("a record of `%s` cannot be read: %s", event.message.topic, error)
        return None
