"""One lane: a (version, sink, tier) with its consumer group, its sink, and the only retry loop there is."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from confluent_kafka import Message

from changes.errors import Misconfigured, Transient
from changes.progress import folded
from changes.record import Outcome
from changes.target import Target
from changes.tier import Tier
from sinks.contract import SinkSpec
from streams.deliver.account import book, ends_of
from streams.deliver.consumer import Fenced, LaneConsumer
from streams.deliver.control import Order
from streams.deliver.deadletters import DeadLetters
from streams.deliver.delivered import Delivered
from streams.deliver.pace import Pace
from streams.deliver.prepare import Prepared
from streams.deliver.schemas import SchemaBook
from streams.deliver.standing import Standing, Where
from streams.deliver.stats import LaneStats, State
from streams.deliver.store import Store
from streams.kafka import KafkaUrl

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
REFUSED_WAIT = 10.0
_HELD = 0.2


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
        worker: str = "0",
        pace: Pace | None = None,
    ) -> None:
        """``targets`` by topic. ``pace`` is the tier's where none is given."""
        self.stats = LaneStats(version, spec.name, tier.name)
        self._kafka, self._tier, self._topics = kafka, tier, list(targets)
        self._group = group_of(version, spec.name, tier.name)
        self._worker = worker
        self._instance = f"{self._group}.{worker}"
        self._store = Store(self._group, spec, endpoint, targets, schemas, DeadLetters(kafka, version))
        self._names = {topic: [target.name for target in some] for topic, some in targets.items()}
        self._delivered = Delivered(kafka, version, self._group)
        self._stop, self._flush = asyncio.Event(), asyncio.Event()
        self._pace = pace or Pace(tier.flush)
        self._again: Order | None = None

    def stop(self) -> None:
        self._stop.set()

    def tell(self, order: Order) -> None:
        """Do as somebody asked, where it is about this lane's sink."""
        if not order.sinks or self.stats.sink in order.sinks:
            if order.verb == "park":
                self._store.park_all()
                return
            if order.verb == "again":
                self._again = order
            self._flush.set()  # an order to begin again ends a lane's waiting for its time

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
        consumer = LaneConsumer(self._kafka, self._group, self._instance, self._topics)
        try:
            await consumer.start()
            await self._consume(consumer)
        finally:
            await self._store.close()
            await consumer.close()

    async def _consume(self, consumer: LaneConsumer) -> None:
        await self._persist(consumer, self._store.open)
        self.stats.state = "running"
        standing = Standing(self._instance, consumer, self._store.sink, self._delivered, self._count_back)
        ahead: asyncio.Task[list[Message]] | None = None
        try:
            while not self._stop.is_set():
                if ahead is None and self._pace.holding:
                    await self._hold(consumer, standing)
                    continue
                if self._flush.is_set():
                    consumer.hurry.set()
                    self._flush.clear()
                if (order := self._again) is not None:
                    self._again = None
                    if order.id != standing.order:
                        await _dropped(ahead)
                        ahead = None
                        await self._begin_again(consumer, standing, order)
                messages = await (ahead or self._fetch(consumer))
                ahead = None
                consumer.hurry.clear()
                to = await self._settled(consumer, standing, idle=not messages)
                if messages and not to:
                    if not self._pace.held:
                        ahead = asyncio.create_task(self._fetch(consumer))
                    to = await self._deliver(consumer, standing, messages)
                if to:
                    await _dropped(ahead)
                    ahead = None
                    await self._rewind(consumer, standing, to)
                self.stats.repeated, self.stats.skipped = standing.repeated, standing.skipped
                left = self._pace.saw(len(messages), standing.written, time.time())
                if left and not await asyncio.to_thread(self._delivered.any_in, left):
                    self._pace.done(time.time())
                if rest := self._pace.rest(time.time()):
                    await self._sleep(rest)
        finally:
            await _dropped(ahead)
        await self._leave(standing)

    async def _fetch(self, consumer: LaneConsumer) -> list[Message]:
        return await consumer.fetch(self._pace.portion(self._tier.rows), self._pace.linger)

    async def _hold(self, consumer: LaneConsumer, standing: Standing) -> None:
        """Wait until the tier's time has come or somebody asks; what waits then waits in Kafka."""
        while not (self._flush.is_set() or self._pace.is_due(time.time())):
            await consumer.rest(_HELD)
            if self._stop.is_set():
                return
            if to := await self._settled(consumer, standing, idle=True):
                await self._rewind(consumer, standing, to)
            if standing.stamped_ms is not None:
                self._pace.begin(time.time(), standing.stamped_ms / 1000)
            self.stats.due_ms = None if self._pace.due is None else self._pace.due * 1000
        self._flush.clear()
        self._pace.drain(await consumer.ends(), time.time())
        await consumer.resume()

    async def _settled(self, consumer: LaneConsumer, standing: Standing, *, idle: bool) -> Where:
        """Take over partitions that came; now and then see whether the store is what it was, and tell it how far it is.

        Partitions to go back in, if any: those are then behind what is in hand.
        """
        to: dict[tuple[str, int], int | None] = {}
        assigned = consumer.assigned()

        async def settle() -> None:
            if assigned:
                to.update(await standing.adopt(assigned))
            elif idle and standing.stamp_due:
                to.update(await standing.say())
            elif idle and standing.look_due:
                to.update(await standing.look())

        if assigned or idle:
            await self._persist(consumer, settle)
        return to

    async def _rewind(self, consumer: LaneConsumer, standing: Standing, to: Where) -> None:
        """What the store held may be gone, its tables too, and what is connected to it may write to what nobody reads
        any more, such as files that were deleted: it is opened anew before anything is written."""
        again: dict[tuple[str, int], int | None] = dict(to)
        assigned = consumer.assigned()  # of theirs too something may have been in hand

        async def back() -> None:
            await self._store.reopen()
            standing.sink = self._store.sink
            again.update(await standing.adopt(assigned))
            await standing.rewind(again)
            if await standing.say():
                raise Transient("the store went back again meanwhile")

        await self._persist(consumer, back)

    async def _begin_again(self, consumer: LaneConsumer, standing: Standing, order: Order) -> None:
        """Somebody asked for a replay through this lane: what it had counted is *repeated* then."""
        to = standing.earlier(order)
        if not to:
            return
        log.info("%s goes back in %d partitions and delivers them again, for %s", self._group, len(to), order.id)
        if order.rate:
            self._pace.slow(order.rate, folded(order.ends))
        await self._rewind(consumer, standing, to)

    async def _leave(self, standing: Standing) -> None:
        """So that whoever comes next repeats nothing; where it fails, a second's changes come again."""
        try:
            if standing.unsaid:
                await standing.say(wait=True)
            await asyncio.to_thread(self._delivered.flush)
        except (Transient, Misconfigured) as error:
            log.info("%s could not say how far it is: %s", self._group, error)

    def _count_back(self) -> None:
        self.stats.rewound += 1

    async def _deliver(self, consumer: LaneConsumer, standing: Standing, messages: list[Message]) -> Where:
        """Write a batch; where to go back to, if the store turned out to lack what was written before."""
        prepared = Prepared()
        outcomes: list[Outcome] = []
        to: Where = {}

        async def write() -> None:
            nonlocal prepared, outcomes
            prepared, outcomes = await self._store.write(messages)

        async def say() -> None:
            nonlocal to
            to = await standing.say()

        async def look() -> None:
            nonlocal to
            to = await standing.look(failed=True)

        failed = await self._persist(consumer, write)
        if failed:
            await self._persist(consumer, look)
            if to:
                return to
        self._count(prepared, outcomes)
        ends = ends_of(messages)
        standing.wrote(ends, book(standing.accounts, messages, prepared, outcomes, self._names))
        if failed or standing.stamp_due:
            await self._persist(consumer, say)
        else:
            await standing.commit(ends)
        return to

    async def _persist(self, consumer: LaneConsumer, work: Callable[[], Awaitable[None]]) -> bool:
        """Do ``work`` until it is done or the lane is stopped: the one place where anything is retried.

        Whether it failed before it was done.
        """
        wait, failed = FIRST_WAIT, False
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
            failed = True
            await consumer.rest(pause)
            if self._stop.is_set():
                raise Transient("stopped while waiting for the store")
        if self.stats.state != "running":
            if self.stats.reason:
                log.info("%s goes on", self._group)
            self.stats.state, self.stats.reason = "running", ""
            await consumer.resume()
        return failed

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
        stats.time(prepared.committed_us, time.time(), self._tier.fresh)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


async def _dropped(fetching: asyncio.Task[list[Message]] | None) -> None:
    """Wait for a fetch whose messages nobody wants."""
    if fetching is not None:
        await asyncio.gather(fetching, return_exceptions=True)
