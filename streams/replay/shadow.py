"""Shadows: places filled beside live ones from the same topics, kept as fresh as these, and exchanged with them.

Decision 14 says why an exchange loses nothing, whenever who does it is killed.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from changes.errors import Misconfigured, Transient
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Exchanging, Swap
from sinks.registry import SPECS
from streams.kafka import KafkaUrl
from streams.replay.asked import Replay, Since, State
from streams.replay.beside import course_of
from streams.replay.course import Course
from streams.replay.names import kept_of, shadow_of, swaps_of
from streams.replay.replaying import Progress, Replaying
from streams.replay.spans import ends_of

log = logging.getLogger(__name__)

HOLD_SECONDS = 15.0
"""The longest for which writers of a live place are held; their patience is 20 s and more."""

Tell = Callable[[Progress], None]
Audit = Callable[[Sequence[Target]], Awaitable[bool]]


class Shadowing:
    """Shadows of places in one sink of a version. All raise `Transient` where Kafka or the store is away."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str], sink: str) -> None:
        """Raises `Misconfigured` where the sink's store cannot exchange places."""
        self._topology, self._version, self._sink = topology, version, sink
        self._kafka, self._endpoint = KafkaUrl.parse(endpoints["kafka"]), endpoints[SPECS[sink].endpoint]
        _exchanging(sink, self._endpoint)
        self._replaying = Replaying(topology, version, endpoints)

    def planned(self, targets: Sequence[Target], rate: float) -> Replay:
        """A new shadow of these places. Blocks while topics are looked at."""
        (one,) = self._replaying.planned({self._sink: targets}, Since(), rate=rate, shadow=True)
        swaps_of(targets, one.id)  # raises where the names do not fit
        return one

    def claimed(self, wanted: Replay) -> Replay:
        """To be begun, or what was begun before of the same places. Raises `Misconfigured` where another process is at
        it, or it was left for too long."""
        (one,) = self._replaying.claimed([wanted], anew=False)
        return one

    def known(self, targets: Sequence[Target]) -> list[Replay]:
        """The shadows of some of these places that are there, and those that were exchanged and kept what was there."""
        names = {target.name for target in targets}
        return [
            one
            for one in self._replaying.book.replays().values()
            if one.way == "shadow"
            and one.sink == self._sink
            and one.state in {"running", "switched"}
            and not names.isdisjoint(one.targets)
        ]

    def swaps(self, shadow: Replay) -> list[Swap]:
        return swaps_of(self._live(shadow), shadow.id)

    def _live(self, shadow: Replay) -> list[Target]:
        return self._replaying.targets_of(msgspec.structs.replace(shadow, way="beside"))

    async def follow(self, shadow: Replay, stop: asyncio.Event, tell: Tell) -> Replay:
        """Fill a claimed one, and follow until ``stop`` is set; one that was exchanged by now is not followed."""
        async with self._opened() as store:
            if await store.exchanged(swaps := self.swaps(shadow)):
                return await self._exchange_again(store, swaps, shadow)
        return await self._replaying.run(shadow, stop, tell, course_of(shadow, lambda: None))

    async def switch(self, shadow: Replay, stop: asyncio.Event, tell: Tell, audit: Audit) -> Replay:
        """Follow a claimed one until it is as fresh as the live place, and exchange both where ``audit`` says so of the
        shadow's places. As it stands then, or when ``stop`` is set."""
        swaps = self.swaps(shadow)
        async with self._opened() as store:
            if await store.exchanged(swaps):
                return await self._exchange_again(store, swaps, shadow)
            follower = _Follower(self._replaying, shadow, tell)
            work = asyncio.create_task(self._switched(store, swaps, follower, audit))
            stopping = asyncio.create_task(stop.wait())
            try:
                while not work.done():
                    await asyncio.wait({work, stopping, *follower.running}, return_when=asyncio.FIRST_COMPLETED)
                    if stop.is_set() or follower.failed:
                        work.cancel()
                        await asyncio.wait({work})
            finally:
                stopping.cancel()
                state = await follower.ended()
            exchanged = not work.cancelled() and work.result()
            return await self._written(state, "switched") if exchanged else state

    async def _switched(self, store: Exchanging, swaps: Sequence[Swap], follower: "_Follower", audit: Audit) -> bool:
        await follower.filled()
        await follower.reach(await self._ends(follower.course))
        if not await audit([swap.shadow for swap in swaps]):
            return False
        await follower.reach(await self._ends(follower.course))
        began = time.monotonic()
        async with store.held(swaps) as exchange:
            # What the live places hold was read below these.
            ends = await self._ends(follower.course)
            if not await follower.reach(ends, HOLD_SECONDS):
                raise Transient(
                    f"the shadow did not catch up in {HOLD_SECONDS:g} s; the live place is written to as before"
                )
            await follower.ended()
            await exchange()
        log.info("writers of %s were held for %.2f s", self._sink, time.monotonic() - began)
        return True

    async def _ends(self, course: Course) -> dict[tuple[str, int], int]:
        return await asyncio.to_thread(ends_of, self._kafka, self._version, course.written)

    async def _exchange_again(self, store: Exchanging, swaps: Sequence[Swap], shadow: Replay) -> Replay:
        """Whoever exchanged them was killed before it could say so, or do what comes behind it."""
        async with store.held(swaps) as exchange:
            await exchange()
        return await self._written(shadow, "switched")

    async def drop(self, shadow: Replay) -> Replay:
        """Remove the places of one that nobody follows, or what was live before it was. Raises `Misconfigured` where
        somebody follows."""
        live = self._live(shadow)
        switched = shadow.state == "switched"
        if not switched:
            await asyncio.to_thread(self._replaying.refuse_running, shadow)
        async with self._opened() as store:
            if not switched and await store.exchanged(swaps_of(live, shadow.id)):
                switched = True
            if not switched:
                async with store.held(swaps_of(live, shadow.id)):
                    pass  # frees what a switch that was killed had left held
            await store.drop([(kept_of if switched else shadow_of)(one, shadow.id) for one in live])
        return await self._written(shadow, "done" if switched else "dropped")

    async def _written(self, shadow: Replay, state: State) -> Replay:
        now = msgspec.structs.replace(shadow, state=state, at_ms=round(time.time() * 1000))
        await asyncio.to_thread(self._replaying.book.write, now)
        return now

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Exchanging]:
        store = _exchanging(self._sink, self._endpoint)
        try:
            await store.open([])
            yield store
        finally:
            await store.close()


class _Follower:
    """The lane of a shadow, until `ended`."""

    def __init__(self, replaying: Replaying, shadow: Replay, tell: Tell) -> None:
        self._filled, self._reached, self._end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.course = course_of(shadow, self._there)
        self._running = asyncio.create_task(replaying.run(shadow, self._end, tell, self.course))

    def _there(self) -> None:
        self._filled.set()
        self._reached.set()

    @property
    def running(self) -> set[asyncio.Task[Replay]]:
        """What ends where it fails; nothing once it was told to end."""
        return set() if self._end.is_set() else {self._running}

    @property
    def failed(self) -> bool:
        return self._running.done() and not self._end.is_set()

    async def filled(self) -> None:
        await self._filled.wait()

    async def reach(self, ends: Mapping[tuple[str, int], int], within: float | None = None) -> bool:
        """Whether all below ``ends`` is written, ``within`` so many seconds."""
        self._reached.clear()
        self.course.reach(dict(ends), time.time())
        waiting = asyncio.create_task(self._reached.wait())
        done, _ = await asyncio.wait({waiting}, timeout=within)
        waiting.cancel()
        return bool(done)

    async def ended(self) -> Replay:
        """Returns once it writes no more; how far it is."""
        self._end.set()
        return await self._running


def _exchanging(sink: str, endpoint: str) -> "Exchanging":
    store = SPECS[sink].build(endpoint)
    if not isinstance(store, Exchanging):
        raise Misconfigured(
            f"the store of `{sink}` cannot exchange a place with another under one name. Declare a second `place` for"
            " the table, `tailrace apply` fills it, `tailrace check` audits both, and applications go to it when they"
            " can; then take the first out of `topics.yaml`"
        )
    return store
