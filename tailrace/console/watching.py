"""The page's live part: every agent asked each second, and told to whoever looks."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from changes.errors import Transient
from tailrace.agent.api import State
from tailrace.console.agents import Agents
from tailrace.console.matrix import Headline, Heard, Row, headline_of, row_of

EVERY_SECONDS = 1.0


class Frame(msgspec.Struct, frozen=True):
    """Everything at one time. ``states`` are what the agents that answer say, by version; ``write`` is whether the
    console may change things."""

    at_ms: int
    write: bool
    headline: Headline
    rows: list[Row]
    states: dict[str, State]


def frame_of(heard: Sequence[Heard], declared: Sequence[str], *, write: bool, now_ms: int) -> Frame:
    """The frame of what was heard; pure."""
    rows = [row_of(one, declared, now_ms) for one in heard]
    answering = {row.version for row in rows if row.answers}
    states = {one.version: one.state for one in heard if one.version in answering and one.state is not None}
    return Frame(now_ms, write, headline_of(rows), rows, states)


class Watching:
    """What every agent said last. `run` asks on until `stop`; `frames` tells each new frame to one listener.

    Agents are asked side by side, each again once it answered: one that is slow holds up none.
    """

    def __init__(self, agents: Agents, declared: Sequence[str], *, write: bool) -> None:
        self._agents = agents
        self._declared = declared
        self._write = write
        self._heard = {version: Heard(version) for version in agents.versions}
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for version in self._agents.versions:
                group.create_task(self._ask_on(version))

    async def _ask_on(self, version: str) -> None:
        while not self._stopped.is_set():
            self._heard[version] = await self._ask(version)
            await self._pause()

    async def _ask(self, version: str) -> Heard:
        before = self._heard[version]
        try:
            state = await self._agents.state(version)
        except Transient as error:
            return Heard(version, before.state, before.heard_ms, str(error))
        return Heard(version, state, _now_ms())

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), EVERY_SECONDS)
        except TimeoutError:
            return

    def frame(self) -> Frame:
        heard: Mapping[str, Heard] = self._heard
        return frame_of([*heard.values()], self._declared, write=self._write, now_ms=_now_ms())

    async def frames(self) -> AsyncIterator[Frame]:
        """A frame at once, then one each second until `stop`."""
        while not self._stopped.is_set():
            yield self.frame()
            await self._pause()

    def stop(self) -> None:
        self._stopped.set()


def _now_ms() -> int:
    return round(time.time() * 1000)
