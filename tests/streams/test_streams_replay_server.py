"""Replays on real servers: beside a live lane and through it, broken off and gone on with, refused beside another."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
import redis
from running import Running
from streams_lanes import Fed, fed, until

from changes.errors import Misconfigured
from changes.progress import folded
from streams.deliver.control import Orders
from streams.deliver.lane import Lane
from streams.replay.asked import Replay, Since, chosen
from streams.replay.replaying import Progress, Replaying
from streams.watch import LaneId, behind


def passed(here: Fed) -> bool:
    lane = LaneId("future", here.target.sink, here.target.tier.name, (here.topic,))
    ends = here.groups.ends_of([here.topic])
    return not behind(lane, ends, here.groups.of(lane, ends))


BEGINNING = Since()


class Asked:
    """Replays of a test's only table, as one process after the other asks for them."""

    def __init__(self, here: Fed, endpoints: dict[str, str]) -> None:
        self.here, self.endpoints = here, endpoints
        self.seen: list[Progress] = []

    def process(self) -> Replaying:
        return Replaying(self.here.topology, "future", self.endpoints)

    def planned(self, process: Replaying, since: Since = BEGINNING, rate: float = 0.0, by_lane: bool = False) -> Replay:
        targets = chosen(self.here.topology, "future", sinks=[], topics=[], tables=[])
        (one,) = process.planned(targets, since, rate=rate, by_lane=by_lane)
        return one

    def claimed(self, *, anew: bool = False, **more: Any) -> tuple[Replaying, Replay]:
        process = self.process()
        (one,) = process.claimed([self.planned(process, **more)], anew=anew)
        return process, one

    async def run(self, until: Callable[[Progress], bool] = lambda _: False, **more: Any) -> Replay:
        """Until it is done, or ``until`` says so of what it told."""
        process, one = await asyncio.to_thread(lambda: self.claimed(**more))
        stop = asyncio.Event()

        def told(progress: Progress) -> None:
            self.seen.append(progress)
            if until(progress):
                stop.set()

        return await process.run(one, stop, told)

    def written(self) -> Replay:
        return list(self.process().book.replays().values())[-1]


@asynccontextmanager
async def ordered(here: Fed, lane: Lane) -> AsyncIterator[None]:
    """Hands orders on to the lane, as the process does that it is one of."""
    orders, over = await asyncio.to_thread(Orders, here.kafka, "future"), False

    def listen() -> None:
        while not over:
            if (order := orders.next(0.2)) is not None:
                lane.tell(order)
        orders.close()

    listening = asyncio.create_task(asyncio.to_thread(listen))
    try:
        yield
    finally:
        over = True
        await listening


async def in_postgres(here: Fed, statement: str) -> None:
    connection = await asyncpg.connect(here.endpoint)
    await connection.execute(statement)
    await connection.close()


async def test_a_table_that_was_emptied_is_filled_beside_its_lane(stack: Running) -> None:
    with fed(stack.endpoints["future"], "postgres") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(500))
        async with here.delivering() as lane:
            await here.until_held(500)
            await in_postgres(here, f"TRUNCATE tailrace.{here.target.place}")
            here.put(range(100), "b")
            ended = await asked.run()
            assert (ended.state, ended.done, ended.way, ended.records) == ("done", 1.0, "beside", 600)
            assert list((await here.held()).values()).count("b") == 100
            assert len(await here.held()) == 500
            await until(lambda: passed(here))
            assert (lane.stats.rewound, lane.stats.repeated) == (0, 0)
        told = here.balance()
        assert (told.captured, told.repeated, told.remainder) == (600, 0, 0), "the lane's accounts are the lane's"
        assert asked.written() == ended


async def test_a_live_store_is_left_as_it_is(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here, redis.Redis.from_url(here.endpoint) as client:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(60))
        here.put(range(60), "b")
        async with here.delivering():
            await here.until_held(60, "b")
            client.delete(*client.scan_iter(match=f"*{here.target.place.split('{')[0]}1*"))
            await asked.run()
            assert await here.held() == dict.fromkeys(range(60), "b")


async def test_from_an_offset_or_a_time_on(stack: Running) -> None:
    with fed(stack.endpoints["future"], "postgres") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(100))
        await asyncio.sleep(1.1)
        at = int(time.time() * 1000)
        here.put(range(100, 130))
        assert (await asked.run(since=Since(ms=at))).records == 30
        assert set(await here.held()) == set(range(100, 130))
        ended = await asked.run(since=Since(offset=40))
        assert (ended.records, ended.since) == (50, "offset 40"), "of each of the two partitions"
        assert set(await here.held()) == set(range(80, 130))
        assert (await asked.run(since=Since(ms=at + 3_600_000))).records == 0
        with pytest.raises(ValueError, match=f"offset 66 lies behind the end of its topic: {here.topic}/0 at 65"):
            asked.planned(asked.process(), Since(offset=66))


async def test_one_that_is_broken_off_goes_on_where_it_was(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(1000))
        first = await asked.run(lambda told: told.standing.done > 0.3, rate=200.0)
        assert first.state == "running"
        assert 0.3 < first.done < 1.0
        assert len(await here.held()) < 1000
        here.put(range(1000, 1010))
        with pytest.raises(Misconfigured, match=r"from the beginning was left at \d+%: ask for the same"):
            asked.claimed(since=Since(offset=3))
        asked.seen.clear()
        ended = await asked.run()
        assert (ended.id, ended.state, ended.ends) == (first.id, "done", first.ends)
        assert any(told.standing.done >= first.done for told in asked.seen)
        assert set(await here.held()) >= set(range(1000))
        dropped = await asked.run(lambda told: told.standing.done > 0.1, rate=200.0)
        anew = await asked.run(since=Since(offset=500), anew=True)
        assert (anew.state, anew.since) == ("done", "offset 500")
        assert asked.process().book.replays()[dropped.id].state == "dropped"


async def test_two_at_once_are_refused(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(10))
        one, other = asked.process(), asked.process()
        wanted = [asked.planned(process) for process in (one, other)]
        known = [process.book.replays() for process in (one, other)]
        assert known[0] == known[1]
        claims = [msgspec.structs.replace(each, run=each.id) for each in wanted]
        assert [one.book.claim(claims[0]), other.book.claim(claims[1])] == [True, False], "who was first in Kafka"
        running = msgspec.structs.replace(claims[0], host="elsewhere", pid=7, at_ms=round(time.time() * 1000))
        one.book.write(running)
        one.book.write(msgspec.structs.replace(claims[1], state="dropped"))
        with pytest.raises(Misconfigured, match="a replay to `redis` is under way: process 7 on elsewhere"):
            asked.claimed()
        with pytest.raises(Misconfigured, match="is under way"):
            asked.claimed(anew=True)
        one.book.write(msgspec.structs.replace(running, at_ms=0))
        _, gone_on = asked.claimed()
        assert gone_on.id == claims[0].id, "who is silent for long is gone"
        one.drop(gone_on)


async def test_a_store_that_is_away_meanwhile_is_waited_for(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here, redis.Redis.from_url(here.endpoint) as client:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(400))
        paused = False

        def pause(told: Progress) -> bool:
            nonlocal paused
            if told.standing.done > 0.2 and not paused:
                paused = True
                client.config_set("maxmemory", 1)  # every write is refused, as where a server is full
            elif told.reason:
                client.config_set("maxmemory", 0)
            return False

        try:
            ended = await asked.run(pause, rate=100.0)
        finally:
            client.config_set("maxmemory", 0)
        assert ended.state == "done"
        assert any("used memory" in told.reason for told in asked.seen)
        assert len(await here.held()) == 400


async def test_a_store_that_is_emptied_meanwhile_is_filled_from_the_beginning(stack: Running, tmp_path: Path) -> None:
    endpoints = {**stack.endpoints["future"], "sqlite": str(tmp_path / "users")}
    with fed(endpoints, "sqlite") as here:
        asked = Asked(here, endpoints)
        here.put(range(600))
        emptied = False

        def empty(told: Progress) -> bool:
            nonlocal emptied
            if told.standing.done > 0.5 and not emptied:
                emptied = True
                for one in (tmp_path / "users").iterdir():
                    shutil.rmtree(one)
            return False

        ended = await asked.run(empty, rate=150.0)
        assert (emptied, ended.state) == (True, "done")
        assert len(await here.held()) == 600


async def test_through_the_live_lane(stack: Running) -> None:
    with fed(stack.endpoints["future"], "postgres") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(500))
        async with here.delivering() as lane:
            await here.until_held(500)
            await until(lambda: passed(here))
            await in_postgres(here, f"TRUNCATE tailrace.{here.target.place}")
            began = time.monotonic()
            async with ordered(here, lane):
                ended = await asked.run(by_lane=True, rate=250.0)
            assert (ended.state, ended.way, ended.followed) == ("done", "through", True)
            assert time.monotonic() - began > 1.0, "two seconds' records, less one batch ahead"
            assert len(await here.held()) == 500
            assert (lane.stats.rewound, lane.stats.repeated) == (0, 500)
            here.put(range(500, 600))
            await here.until_held(600)
            await until(lambda: passed(here))
        told = here.balance()
        assert (told.captured, told.repeated, told.remainder) == (600, 500, 0)


async def test_a_lane_that_is_killed_while_it_delivers_again_goes_on(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here, redis.Redis.from_url(here.endpoint) as client:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(1000))
        async with here.delivering():
            await here.until_held(1000)
            await until(lambda: passed(here))
        prefix = here.target.place.split("{")[0]
        client.delete(*client.scan_iter(match=f"{prefix}*"), *client.scan_iter(match=f"_tr:{prefix}*"))
        lane = here.lane()
        running = asyncio.create_task(lane.run())
        async with ordered(here, lane):
            first = await asked.run(lambda told: told.standing.done > 0.2, by_lane=True, rate=300.0)
        assert (first.state, first.followed) == ("running", True)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with here.delivering():
            ended = await asked.run(by_lane=True)
            assert (ended.id, ended.state) == (first.id, "done")
            assert len(await here.held()) == 1000


async def test_an_hour_is_not_waited_for(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis", flush="1h") as here, redis.Redis.from_url(here.endpoint) as client:
        asked = Asked(here, stack.endpoints["future"])
        async with here.delivering() as lane:
            here.put(range(50))
            await until(lambda: lane.stats.due_ms is not None)
            async with ordered(here, lane):
                ended = await asked.run(by_lane=True)
            assert ended.state == "done"
            assert len(await here.held()) == 50
            client.delete(*client.scan_iter(match=f"{here.target.place.split('{')[0]}*"))
            assert (await asked.run()).state == "done"
            assert len(await here.held()) == 50, "beside a lane that waits"


def test_what_is_begun_again_is_what_was_asked_for(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        asked = Asked(here, stack.endpoints["future"])
        here.put(range(7))
        one = asked.planned(asked.process())
        assert folded(one.ends) == {(here.topic, 0): 4, (here.topic, 1): 3}
        assert (one.records, one.starts) == (7, {here.topic: {"0": 0, "1": 0}})
