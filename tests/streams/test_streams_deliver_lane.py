"""A lane whose store goes back, refuses everything, or is due in an hour; and what became of every record."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import redis
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from running import Running
from streams_lanes import Fed, fed, until

from streams.deliver.control import Order
from streams.deliver.healing import with_healed
from streams.deliver.letters import Letter, decide, letters_of, message_of
from streams.deliver.threshold import MOST
from streams.watch import LaneId, behind


def passed(here: Fed) -> bool:
    lane = LaneId("future", here.target.sink, here.target.tier.name, (here.topic,))
    ends = here.groups.ends_of([here.topic])
    return not behind(lane, ends, here.groups.of(lane, ends))


def keys_of(here: Fed, client: "redis.Redis[bytes]") -> list[bytes]:
    """Everything that the lane has put there."""
    prefix = here.target.place.split("{")[0]
    wanted = (f"{prefix}*", f"_tr:{prefix}*", f"_tailrace_meta:{here.group}*")
    return [key for pattern in wanted for key in client.scan_iter(match=pattern)]


async def test_a_redis_that_is_emptied_or_restored_is_filled_again(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here, redis.Redis.from_url(here.endpoint) as client:
        here.put(range(60))
        async with here.delivering() as lane:
            await here.until_held(60)
            await until(lambda: passed(here))
            client.delete(*keys_of(here, client))
            await until(lambda: lane.stats.rewound == 1)
            await here.until_held(60)
        old = {key: client.get(key) for key in keys_of(here, client)}
        async with here.delivering() as lane:
            here.put(range(60), "b")
            await here.until_held(60, "b")
            await until(lambda: passed(here))
            assert lane.stats.rewound == 0, "a store that was left alone is what it was"
        client.delete(*keys_of(here, client))
        client.mset(old)
        async with here.delivering() as lane:
            await until(lambda: lane.stats.rewound == 1)
            await here.until_held(60, "b")
        client.delete(*keys_of(here, client))
        async with here.delivering() as lane:
            await until(lambda: lane.stats.rewound == 1)
            await here.until_held(60, "b")
            await until(lambda: passed(here))
        told = here.balance()
        assert (told.captured, told.applied + told.collapsed, told.remainder) == (120, 120, 0)
        assert told.repeated >= 60 + 60 + 120


async def test_a_postgres_without_its_tables_is_filled_again(stack: Running) -> None:
    with fed(stack.endpoints["future"], "postgres") as here:
        here.put(range(30))
        async with here.delivering() as lane:
            await here.until_held(30)
            await until(lambda: passed(here))
            connection = await asyncpg.connect(here.endpoint)
            await connection.execute(f"DROP TABLE tailrace.{here.target.place} CASCADE")
            await connection.execute("DELETE FROM tailrace._tailrace_meta WHERE lane LIKE $1", f"{here.group}%")
            await connection.close()
            await until(lambda: lane.stats.rewound == 1)
            await here.until_held(30)


async def test_a_folder_of_files_that_is_emptied_is_filled_again(stack: Running, tmp_path: Path) -> None:
    with fed({**stack.endpoints["future"], "sqlite": str(tmp_path / "users")}, "sqlite") as here:
        here.put(range(30))
        async with here.delivering() as lane:
            await here.until_held(30)
            await until(lambda: passed(here))
            for one in (tmp_path / "users").iterdir():
                shutil.rmtree(one)
            await until(lambda: lane.stats.rewound == 1)
            await here.until_held(30)


async def test_what_a_killed_worker_did_not_commit_is_counted_once(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        for number in range(4):
            here.put(range(200), str(number))
            running = asyncio.create_task(here.lane().run())
            await asyncio.sleep(0.3 * number)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        async with here.delivering():
            await here.until_held(200, "3")
            await until(lambda: passed(here))
        told = here.balance()
        assert (told.captured, told.applied + told.collapsed, told.in_flight) == (800, 800, 0)
        assert (told.remainder, told.unaccounted) == (0, 0)


async def test_records_that_a_group_was_moved_over_are_what_remains(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis") as here:
        here.put(range(20))
        async with here.delivering():
            await until(lambda: passed(here))
        here.put(range(20, 25))
        ends = here.groups.ends_of([here.topic])
        moved = [TopicPartition(topic, number, end) for (topic, number), end in ends.items()]
        request = [ConsumerGroupTopicPartitions(here.group, moved)]
        admin = AdminClient(here.kafka.config())

        def done() -> bool:
            try:
                answer = admin.alter_consumer_group_offsets(request)[here.group].result(30)
            except KafkaException:
                return False
            # an error as long as the broker has not noticed that nobody is in the group
            return all(part.error is None for part in answer.topic_partitions)

        await until(done)
        async with here.delivering() as lane:
            await until(lambda: lane.stats.skipped == 5)
            here.put(range(30, 40))
            await here.until_held(30)
            await until(lambda: passed(here))
        told = here.balance()
        assert (told.captured, told.applied, told.remainder) == (35, 30, 5)


async def test_a_store_that_refuses_everything_stops_its_lane_until_it_does_not(stack: Running) -> None:
    with fed(stack.endpoints["future"], "postgres") as here:
        here.put(range(2 * MOST), "good")
        async with here.delivering() as lane:
            await here.until_held(2 * MOST, "good")
            connection = await asyncpg.connect(here.endpoint)
            table = f"tailrace.{here.target.place}"
            await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT good CHECK (text = 'good')")
            here.put(range(2 * MOST), "new")
            await until(lambda: lane.stats.state == "stopped")
            assert "not bad rows" in lane.stats.reason
            assert "dlq park postgres" in lane.stats.reason
            parked = [letter for letter in letters_of(here.kafka, "future") if letter.topic == here.topic]
            assert len(parked) == lane.stats.parked <= MOST
            assert not passed(here)
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT good")
            await connection.close()
            await until(lambda: passed(here))
            assert lane.stats.state == "running"
            held = list((await here.held()).values())
            # what was parked in a batch whose end was not committed yet has come again, and landed
            assert held.count("good") <= len(parked)
            assert held.count("good") + held.count("new") == 2 * MOST


async def test_a_lane_that_is_due_in_an_hour_writes_when_it_is_asked(stack: Running) -> None:
    with fed(stack.endpoints["future"], "redis", flush="1h") as here:
        here.put(range(250))
        async with here.delivering() as lane:
            await until(lambda: lane.stats.due_ms is not None)
            due = lane.stats.due_ms
            assert await here.held() == {}
            lane.tell(Order("flush", ["postgres"]))
            await asyncio.sleep(1)
            assert await here.held() == {}
            lane.tell(Order("flush", ["redis"]))
            await here.until_held(250)
            await until(lambda: passed(here))
            await until(lambda: (lane.stats.due_ms or 0) > (due or 0))
            here.put(range(250), "later")
        async with here.delivering() as again:
            await until(lambda: again.stats.due_ms is not None)
            assert (again.stats.due_ms or 0) - (lane.stats.due_ms or 0) < 60_000, "it counts from the last writing"
            assert set((await here.held()).values()) == {"a"}


async def test_a_letter_is_open_until_the_store_holds_its_row_or_somebody_decides(stack: Running) -> None:
    endpoints = stack.endpoints["future"]
    with fed(endpoints, "postgres") as here:

        def letters() -> list[Letter]:
            return [letter for letter in letters_of(here.kafka, "future") if letter.topic == here.topic]

        async def states() -> dict[object, str]:
            found, away = await with_healed(here.topology, "future", endpoints, letters())
            assert away == {}
            return {letter.key["id"]: letter.state for letter in found}

        here.put(range(9), "good")
        async with here.delivering() as lane:
            await here.until_held(9, "good")
            connection = await asyncpg.connect(here.endpoint)
            table = f"tailrace.{here.target.place}"
            await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT good CHECK (text = 'good')")
            await connection.close()
            here.put(range(3), "bad")
            await until(lambda: lane.stats.parked == 3)
            assert await states() == {0: "open", 1: "open", 2: "open"}
            here.put(range(1), "good")
            await until(lambda: passed(here))
            assert await states() == {0: "healed", 1: "open", 2: "open"}
            one, other = sorted((one for one in letters() if one.key["id"]), key=lambda letter: letter.id)
            decide(here.kafka, "future", [one], "discarded")
            decide(here.kafka, "future", [other], "retried")
            assert sorted((await states()).values()) == ["discarded", "healed", "retried"]
            assert message_of(here.kafka, "future", one) is not None
        told = here.balance()
        assert (told.captured, told.applied + told.collapsed, told.parked, told.remainder) == (13, 10, 3, 0)
