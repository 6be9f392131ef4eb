"""Workers of a lane under one name: one of them has to take another, and the store ends as it must."""

from contextlib import AsyncExitStack
from itertools import count

import pytest
from running import Running
from streams_lanes import fed, until

from streams.deliver.consumer import Fenced, LaneConsumer


async def fetching(consumer: LaneConsumer) -> None:
    """Until it is said why it has to end."""
    while True:
        await consumer.fetch(10, 0.0)


async def test_a_consumer_that_was_shut_out_says_so_whenever_it_is_asked(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        here.put(range(4))
        first, second = (LaneConsumer(here.kafka, here.group, f"{here.group}.same", [here.topic]) for _ in range(2))
        try:
            await first.start()
            while not first.assigned():
                await first.fetch(10, 0.0)
            await second.start()
            while not second.assigned():
                await second.fetch(10, 0.0)
            with pytest.raises(Fenced, match="another worker of the same name"):
                await fetching(first)
            for asked in (first.fetch(10, 0.0), first.rest(1.0), first.fetch(10, 0.0)):
                with pytest.raises(Fenced):
                    await asked
        finally:
            await first.close()
            await second.close()


async def test_lanes_that_start_at_once_under_one_name_share_the_work(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        here.put(range(60))
        async with AsyncExitStack() as running:
            lanes = [await running.enter_async_context(here.delivering()) for _ in range(2)]
            await here.until_held(60)
            for turn in count():
                here.put(range(60), str(turn))
                await here.until_held(60, str(turn))
                if min(lane.stats.applied for lane in lanes):
                    break
            await until(lambda: all(lane.stats.state == "running" for lane in lanes))
