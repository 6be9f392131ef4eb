"""A replay by a lane of its own, beside the live one: the store itself refuses what is older than what it holds."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from changes.errors import Transient
from changes.target import Target
from changes.tier import Tier
from sinks.registry import SPECS
from streams.deliver.lane import Lane, group_of
from streams.deliver.schemas import SchemaBook
from streams.deliver.stats import LaneStats
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, committed
from streams.replay.asked import Replay
from streams.replay.course import Course, Standing

ROWS = 2000
"""Records of a batch."""
LOOK_EVERY = 0.5


async def beside(
    version: str,
    kafka: KafkaUrl,
    endpoint: str,
    replay: Replay,
    targets: Mapping[str, Sequence[Target]],
    stop: asyncio.Event,
    tell: Callable[[Standing, LaneStats], None],
) -> Standing:
    """Deliver until the replay's ends are reached, or ``stop`` is set; how far it is then."""
    over = asyncio.Event()
    course = course_of(replay, over.set)
    return await following(version, kafka, endpoint, replay, targets, course, [stop, over], tell)


def course_of(replay: Replay, over: Callable[[], None]) -> Course:
    """``over`` is called once the replay's ends are reached."""
    return Course(replay.start_offsets, replay.end_offsets, replay.rate, time.time(), over)


async def following(
    version: str,
    kafka: KafkaUrl,
    endpoint: str,
    replay: Replay,
    targets: Mapping[str, Sequence[Target]],
    course: Course,
    until: Sequence[asyncio.Event],
    tell: Callable[[Standing, LaneStats], None],
) -> Standing:
    """Deliver until one of these is set; how far it is then.

    ``targets`` by topic. Its group keeps how far it is, so whoever calls this again goes on there; Kafka
    forgets it a week after. A store that is away is waited for, as any lane does.
    """
    lane = Lane(
        SPECS[replay.sink],
        Tier(replay.lane, 0.0, ROWS, float("inf")),
        targets,
        version=version,
        endpoint=endpoint,
        kafka=kafka,
        schemas=SchemaBook(kafka, version),
        pace=course,
    )
    group = group_of(version, replay.sink, replay.lane)
    admin = AdminClient(kafka.config())
    await asyncio.to_thread(_begun, admin, group, replay)
    running = asyncio.create_task(lane.run())
    waits = [asyncio.create_task(one.wait()) for one in until]
    try:
        while not any(one.done() for one in (running, *waits)):
            await asyncio.wait([running, *waits], timeout=LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
            tell(course.standing, lane.stats)
    finally:
        for one in waits:
            one.cancel()
        lane.stop()
        await running
    return course.standing


def _begun(admin: AdminClient, group: str, replay: Replay) -> None:
    """The group stands where the replay begins, or is at it already. Raises `Transient`."""
    ends, starts = replay.end_offsets, replay.start_offsets
    known = {(part.topic, part.partition): part.offset for part in committed(admin, group, ends)}
    to = [TopicPartition(*part, starts[part]) for part in ends if known.get(part, -1) < 0]
    if not to:
        return
    try:
        answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, to)])[group]
        for part in answer.result(OPERATION_SECONDS).topic_partitions:
            if part.error is not None:
                raise classified(part.error, f"having `{group}` begin")
    except KafkaException as error:
        raise classified(error.args[0], f"having `{group}` begin") from error
    except TimeoutError as error:
        raise Transient(f"Kafka does not have `{group}` begin in time") from error
