"""The Faust application of a version: an agent for each table that has enrichers.

Each enricher has lanes of its own, so that one that waits for its endpoint holds up no other; a change is acknowledged
when all are through with it, in the order of its partition (see `turns`).
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import faust
from faust.auth import SASLCredentials
from faust.transport.drivers import aiokafka as driver
from yarl import URL

from changes.envelope import decode, headers_from
from changes.errors import Transient
from changes.topology import Topology
from enrichers.cache import Cache
from enrichers.contract import Enricher
from enrichers.registry import SPECS
from enrichers.settings import Settings
from streams.capture.requests import send
from streams.deliver.lane import group_of
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.enrich.again import asked
from streams.enrich.derive import Plan, plan_of
from streams.enrich.lanes import Lanes
from streams.enrich.outlet import Outlet
from streams.enrich.recall import recall
from streams.enrich.said import Said
from streams.enrich.table import Job, Work
from streams.enrich.turns import Turn, Turns
from streams.kafka import KafkaUrl
from streams.watch import ENRICH, MODELS

log = logging.getLogger(__name__)

HEAL_SECONDS, HEAL_ROWS = 5.0, 100
"""How often degraded rows are looked for, and how many of an enricher are tried again at once."""

SESSION_SECONDS, HEARTBEAT_SECONDS, COMMIT_SECONDS = 6.0, 1.0, 0.25
POLL_SECONDS = 24 * 86_400.0
"""How long may pass between two looks at Kafka: about the most that Kafka's milliseconds hold.

Faust looks again only when what it has read is almost used up, which takes slow models half an hour. aiokafka leaves
the group after this long without a look, and does not come back while nobody looks: enrichment would stand for ever.
"""


class _CommittedThread(driver.AIOKafkaConsumerThread):
    """Faust reads uncommitted records unless it writes in transactions itself; capture's must be committed."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        return consumer


class _CommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> Any:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:
        """Faust acknowledges what it skips, too, when partitions are handed out anew: nobody has worked on that."""
        return False

    async def verify_all_partitions_active(self) -> None:
        """Nothing: a change that waits for a slow endpoint is no stream that hangs, as which Faust would report it."""

    def through(self, message: Any) -> None:
        """Acknowledge what we are through with."""
        super().ack(message)


class _CommittedTransport(driver.Transport):
    Consumer = _CommittedConsumer


@dataclass
class EnrichStats:
    """Counts since the process started."""

    seen: int = 0
    done: int = 0


class Enrich:
    """One version's enrichment. `run` returns when ``stop`` is set, and raises `Transient` where Faust gives up: then
    a new one is to be made. ``app`` is Faust's, while it runs."""

    app: Any = None

    def __init__(
        self, topology: Topology, version: str, kafka: KafkaUrl, cache: Cache, said: Said, settings: Settings
    ) -> None:
        self._topology, self._version, self._kafka = topology, version, kafka
        self._cache, self._said = cache, said
        self._schemas = SchemaBook(kafka, version)
        self._outlet = Outlet(kafka, version)
        self._plans: list[tuple[Plan, Enricher]] = []
        self._heal_seconds = min(HEAL_SECONDS, settings.retry)
        self._work: dict[str, list[Work]] = {}
        self._lanes: list[Lanes[Any]] = []
        self._turns: Turns[Any] = Turns()
        self.stats = EnrichStats()
        for table in topology.tables:
            if topology.enrichers(table):
                self._work[table] = self._work_of(table, settings)

    def _work_of(self, table: str, settings: Settings) -> list[Work]:
        works = []
        for name, decl in self._topology.enrichers(table).items():
            enricher = SPECS[decl.kind].build(decl, settings)
            plan = plan_of(self._topology, self._version, table, name, enricher.output_columns())
            self._plans.append((plan, enricher))
            works.append(Work(plan, enricher, self._cache, self._said, self._outlet, self._schemas.of, self._ask))
        return works

    async def _ask(self, table: str, enricher: str, keys: Sequence[bytes]) -> None:
        """Have capture tell rows again, and with ``enricher`` that one what it makes of them, though it is the same."""
        rows = asked(self._topology.tables[table].key, keys)
        await asyncio.to_thread(send, self._kafka, self._version, table, rows, enricher)

    async def _heal(self) -> None:
        """Try degraded rows again where the means are there: one first, and more while that lasts.

        The row is told again, in the order of the stream; what was made of it is, where it comes out better.
        """
        most = dict.fromkeys((plan.said_as for plan, _ in self._plans), 1)
        while True:
            await asyncio.sleep(self._heal_seconds)
            for plan, enricher in self._plans:
                name = plan.said_as
                if not enricher.ready():
                    most[name] = 1
                    continue
                try:
                    if keys := await self._said.claim(name, most[name]):
                        log.info("%d degraded results of `%s` are tried again", len(keys), plan.published_as)
                        await self._ask(plan.table, "", keys)
                        most[name] = min(HEAL_ROWS, 2 * most[name])
                except Transient as error:
                    log.warning("degraded results are not tried again now: %s", error)

    async def run(self, stop: asyncio.Event) -> None:
        tasks: list[asyncio.Task[Any]] = []
        try:
            for plan, enricher in self._plans:
                await enricher.open()
                await recall(plan, self._said, self._kafka)
            await asyncio.to_thread(self._schemas.refresh)
            # Faust makes folders of its tables when it starts, and nothing here is kept in such.
            with tempfile.TemporaryDirectory(prefix="tailrace-faust-") as folder:
                self.app = app = self._app(folder)
                for table, works in self._work.items():
                    self._add_agent(app, table, works)
                tasks += [asyncio.create_task(stop.wait()), asyncio.create_task(self._heal())]
                await app.start()
            # It stops by itself where it crashes, and nobody else hears of that.
            tasks.append(asyncio.create_task(app.wait_until_stopped()))
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
            if app.crashed:
                raise Transient(f"enrichment ended: {app.crash_reason!r}")
        finally:
            for task in tasks:
                task.cancel()
            if self.app is not None:
                await self.app.stop()
            for lanes in self._lanes:
                await lanes.stop()
            for _, enricher in self._plans:
                await enricher.close()
            await self._cache.close()
            await self._said.close()
            self._outlet.close()

    def _app(self, folder: str) -> Any:
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
            datadir=folder,
            broker_session_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=HEARTBEAT_SECONDS,
            broker_request_timeout=30.0,
            broker_max_poll_interval=POLL_SECONDS,
            broker_commit_interval=COMMIT_SECONDS,
            consumer_auto_offset_reset="earliest",
            # Partitions are handed over at once, not when slow calls are through: whoever has them begins again behind
            # what was acknowledged, and what is still told of them is fenced.
            stream_wait_empty=False,
        )
        app.transport = _CommittedTransport(url, app)
        return app

    def _add_agent(self, app: Any, table: str, works: Sequence[Work]) -> None:
        topic = app.topic(
            self._topology.topic(self._version, table),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )

        def ours(event: Any) -> bool:
            """Whether what was read is still ours: partitions are handed out anew with each generation of the group,
            and what is not acknowledged then is read again by whoever has them."""
            return bool(event.message.generation_id == app.consumer_generation_id)

        def done(turn: Turn[Any]) -> None:
            for event in self._turns.done(turn):
                if ours(event):
                    self.stats.done += 1
                    app.consumer.through(event.message)

        async def enrich(stream: Any) -> None:
            every = [
                Lanes(partial(self._handle, work, app), lambda item: done(item.turn), lambda item: ours(item.turn.item))
                for work in works
            ]
            for lanes in every:
                lanes.start()
            self._lanes += every
            async for event in _events(stream):
                self.stats.seen += 1
                job, message = _job(event), event.message
                parts = 0 if job is None else len(every)
                turn = self._turns.take(message.tp, message.generation_id, event, parts)
                if job is None:
                    done(turn)
                    continue
                for lanes in every:
                    await lanes.put(job.key, _Item(turn, job))

        app.agent(topic, name=f"{self._version}.{table}")(enrich)

    async def _handle(self, work: Work, app: Any, items: Sequence["_Item"]) -> None:
        try:
            await work.handle([item.job for item in items], app.consumer_generation_id)
        except UnknownSchema:
            await asyncio.to_thread(self._schemas.refresh)
            raise


@dataclass(frozen=True)
class _Item:
    turn: Turn[Any]
    job: Job


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
