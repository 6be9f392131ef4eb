"""A process that exchanges a shadow with its live place, and kills itself at a point of it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from changes.target import Target
from changes.topology import load
from sinks.contract import Exchange, Exchanging, Swap
from sinks.registry import SPECS
from streams.replay.shadow import Shadowing

POINTS = ("audited", "held", "caught up", "exchanged", "let go")


def at(passed: str, point: str) -> None:
    if passed == point:
        os.kill(os.getpid(), signal.SIGKILL)


class Deadly:
    """A store in which whoever exchanges dies at ``point``."""

    def __init__(self, store: Exchanging, point: str) -> None:
        self._store, self._point = store, point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def held(self, swaps: Sequence[Swap]) -> AsyncIterator[Exchange]:
        async with self._store.held(swaps) as exchange:
            at("held", self._point)

            async def do() -> None:
                at("caught up", self._point)
                await exchange()
                at("exchanged", self._point)

            yield do
        at("let go", self._point)


class Doomed(Shadowing):
    def __init__(self, given: dict[str, Any]) -> None:
        topology = load(given["text"], "topics.yaml", {name: spec.check for name, spec in SPECS.items()})
        (self.target,) = topology.every_target("future")
        super().__init__(topology, "future", given["endpoints"], self.target.sink)
        self._point = given["point"]

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Any]:
        async with super()._opened() as store:
            yield Deadly(store, self._point)

    async def audit(self, places: Sequence[Target]) -> bool:
        at("audited", self._point)
        return True


async def main(given: dict[str, Any]) -> None:
    doomed = Doomed(given)
    shadow = await asyncio.to_thread(lambda: doomed.claimed(doomed.planned([doomed.target], 0.0)))
    ended = await doomed.switch(shadow, asyncio.Event(), lambda _: None, doomed.audit)
    print(json.dumps({"id": ended.id, "state": ended.state}))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.read())))
