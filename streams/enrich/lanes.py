"""Lanes: changes of one key one after the other, of different keys side by side."""

import asyncio
import logging
import random
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from changes.errors import Transient
from streams.deliver.schemas import UnknownSchema

log = logging.getLogger(__name__)

LANES = 8
PORTION = 64
WAITING = 128
"""Changes that wait in a lane before the reader has to; with `LANES` it bounds what is in memory."""
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0

T = TypeVar("T")


class Lanes(Generic[T]):
    """``work`` gets portions of one lane's items in order; ``done`` is called for each once it is through.

    Items that are not ``ours`` any more when their turn comes are dropped without either: others work on them. A
    portion that fails with `Transient` or `UnknownSchema` (what it needs is not there yet) is tried again until it is
    through: nothing behind it in its lane overtakes it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[None]],
        done: Callable[[T], object],
        ours: Callable[[T], bool] = lambda _: True,
    ) -> None:
        self._work = work
        self._done = done
        self._ours = ours
        self._queues: list[asyncio.Queue[T]] = [asyncio.Queue(WAITING) for _ in range(LANES)]
        self._tasks: list[asyncio.Task[None]] = []
        self.reason = ""

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(queue)) for queue in self._queues]

    async def put(self, key: bytes, item: T) -> None:
        """Waits where the key's lane is full."""
        for task in self._tasks:
            if task.done():
                task.result()
        await self._queues[zlib.crc32(key) % LANES].put(item)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, queue: asyncio.Queue[T]) -> None:
        while True:
            portion = [await queue.get()]
            while len(portion) < PORTION and not queue.empty():
                portion.append(queue.get_nowait())
            for item in await self._persist(portion):
                self._done(item)

    async def _persist(self, portion: Sequence[T]) -> Sequence[T]:
        """What of it is through."""
        wait = FIRST_WAIT
        while portion := [item for item in portion if self._ours(item)]:
            try:
                await self._work(portion)
            except (Transient, UnknownSchema) as error:
                if self.reason != str(error):
                    log.warning("enrichment waits: %s", error)
                self.reason = str(error)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                self.reason = ""
                return portion
        return []
