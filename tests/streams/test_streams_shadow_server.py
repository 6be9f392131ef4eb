"""A place filled beside the live one and exchanged with it, while both are written to and whoever does it is killed."""

import asyncio
import json
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from running import Running
from streams_lanes import Fed, fed, until, until_async
from streams_shadow import POINTS

from changes.errors import Misconfigured
from sinks.registry import SPECS
from streams.replay.shadow import Shadowing
from streams.watch import LaneId, behind
from tailrace.stack.beside import Beside

IDS = 200
CORE = ("postgres", "redis", "sqlite")


class Putting:
    """Changes that come until `over`; ``truth`` is what the last of each row says."""

    def __init__(self, here: Fed) -> None:
        self._here, self._rng = here, random.Random(3)
        self.truth: dict[int, str] = {}
        self.over = False

    async def run(self) -> None:
        while not self.over:
            first = self._rng.randrange(IDS)
            text = f"{self._here.position}"
            numbers = range(first, min(IDS, first + 20))
            await asyncio.to_thread(self._here.put, numbers, text)
            self.truth |= dict.fromkeys(numbers, text)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def changing(here: Fed) -> AsyncIterator[Putting]:
    putting = Putting(here)
    running = asyncio.create_task(putting.run())
    try:
        yield putting
    finally:
        putting.over = True
        await running


def endpoints_for(sink: str, stack: Running, beside: Beside) -> dict[str, str]:
    kind, core = SPECS[sink].endpoint, stack.endpoints["future"]
    return core if sink in CORE else {**core, kind: beside.url(kind)}


async def exchanged(here: Fed, endpoints: dict[str, str], point: str) -> dict[str, str] | None:
    """What a process says that exchanges, ``None`` where it has killed itself at ``point``."""
    given = json.dumps({"text": here.text, "endpoints": endpoints, "point": point}).encode()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("streams_shadow.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(child.communicate(given), 120)
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, error.decode()
    found: dict[str, str] = json.loads(out)
    return found


def passed(here: Fed) -> bool:
    lane = LaneId("future", here.target.sink, here.target.tier.name, (here.topic,))
    ends = here.groups.ends_of([here.topic])
    return not behind(lane, ends, here.groups.of(lane, ends))


@pytest.mark.parametrize(
    ("sink", "points"),
    [
        pytest.param("postgres", ("caught up", "let go"), id="postgres"),
        *(
            pytest.param(name, POINTS, id=f"{name}-every", marks=pytest.mark.long)
            for name in ("postgres", "dao", "elasticsearch")
        ),
    ],
)
async def test_killed_at_any_point_it_ends_right_when_it_is_asked_for_again(
    stack: Running, beside: Beside, sink: str, points: Sequence[str]
) -> None:
    endpoints = endpoints_for(sink, stack, beside)
    with fed(endpoints, sink) as here:
        here.put(range(IDS), "a")
        async with here.delivering() as lane:
            await here.until_held(IDS)
            shadowing = Shadowing(here.topology, "future", endpoints, sink)
            async with changing(here) as putting:
                for point in points:
                    assert await exchanged(here, endpoints, point) is None
                    (left,) = await asyncio.to_thread(shadowing.known, [here.target])
                    assert left.state == "running", f"killed at {point}"
                    assert await exchanged(here, endpoints, "") == {"id": left.id, "state": "switched"}
                    (switched,) = await asyncio.to_thread(shadowing.known, [here.target])
                    assert (await shadowing.drop(switched)).state == "done"
                    assert await asyncio.to_thread(shadowing.known, [here.target]) == []
            await until(lambda: passed(here))
            assert await here.held() == dict.fromkeys(range(IDS), "a") | putting.truth
        assert lane.stats.parked == 0
        assert here.balance().remainder == 0, "the live lane's accounts are the live lane's"


async def test_it_is_followed_until_it_is_dropped(stack: Running, beside: Beside) -> None:
    endpoints = stack.endpoints["future"]
    with fed(endpoints, "postgres") as here:
        here.put(range(100))
        shadowing = Shadowing(here.topology, "future", endpoints, "postgres")
        stop, seen = asyncio.Event(), list[Any]()
        async with here.delivering():
            planned = await asyncio.to_thread(shadowing.planned, [here.target], 0.0)
            shadow = await asyncio.to_thread(shadowing.claimed, planned)
            (swap,) = shadowing.swaps(shadow)
            following = asyncio.create_task(shadowing.follow(shadow, stop, seen.append))
            await until(lambda: bool(seen) and seen[-1].standing.done >= 1.0)
            here.put(range(100), "b")
            await until_texts(here, swap.shadow, ["b"] * 100)
            stop.set()
            assert (await following).done == 1.0
            here.put(range(50), "c")
            stop.clear()
            following = asyncio.create_task(shadowing.follow(shadow, stop, seen.append))
            await until_texts(here, swap.shadow, ["c"] * 50 + ["b"] * 50)
            stop.set()
            ended = await following
            other = Shadowing(here.topology, "future", endpoints, "postgres")
            assert (await other.drop(ended)).state == "dropped"
            await until_texts(here, swap.shadow, [])
            await until_texts(here, here.target, ["c"] * 50 + ["b"] * 50)
            assert await asyncio.to_thread(shadowing.known, [here.target]) == []


async def until_texts(here: Fed, target: Any, texts: list[str]) -> None:
    async def held() -> bool:
        return sorted((await here.held(target)).values()) == sorted(texts)

    await until_async(held)


def test_a_store_that_cannot_says_what_else_serves(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        for sink in ("redis", "sqlite"):
            with pytest.raises(Misconfigured, match=f"store of `{sink}` cannot exchange .*Declare a second `place`"):
                Shadowing(here.topology, "future", stack.endpoints["future"], sink)
