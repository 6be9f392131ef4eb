"""A replay through the live lanes of a store: each goes back, delivers again, and is its rows' one writer meanwhile."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka.admin import AdminClient

from changes.errors import Transient
from changes.progress import Offsets
from streams.deliver.account import Part
from streams.deliver.control import ASK_EVERY, Order, give
from streams.deliver.stamps import told_from
from streams.kafka import KafkaUrl, committed
from streams.replay.asked import Replay
from streams.replay.course import Standing, part_done
from streams.watch import LaneId

FOLLOW_SECONDS = 60.0
"""How long lanes are waited for that do not follow."""
_LOOK_EVERY = 0.2


async def through(
    version: str,
    kafka: KafkaUrl,
    replay: Replay,
    lanes: Sequence[LaneId],
    stop: asyncio.Event,
    tell: Callable[[Standing, bool], None],
) -> Standing:
    """Have ``lanes`` go back, and watch them until they are where the replay ends, or ``stop`` is set.

    Whoever stops watching stops nothing: the lanes go on, and where one is killed its group's commits have it go on.
    ``tell`` is also told whether they have gone back. Raises `Transient` where they do not.
    """
    admin = AdminClient(kafka.config())
    starts, ends = replay.start_offsets, replay.end_offsets
    order = Order("again", [replay.sink], replay.id, replay.starts, replay.ends, replay.rate)
    followed = replay.followed
    began, deadline, asked = time.monotonic(), time.monotonic() + FOLLOW_SECONDS, float("-inf")
    records = replay.records * (1 - replay.done)
    while True:
        written, following = await asyncio.to_thread(_written, admin, replay.id, lanes, ends)
        left = {part for part, end in ends.items() if end > starts[part]}
        followed = followed or left <= following
        done = part_done(starts, ends, written) if followed else 0.0
        took = time.monotonic() - began
        standing = Standing(done, max(0.0, records - replay.records * (1 - done)) / took if took else 0.0)
        tell(standing, followed)
        if (followed and done >= 1.0) or stop.is_set():
            return standing
        if not followed:
            if time.monotonic() > deadline:
                raise Transient(
                    f"the lanes of `{replay.sink}` have not gone back in {FOLLOW_SECONDS:g} s: do they run?"
                    " (`tailrace status`, `tailrace run`)"
                )
            if time.monotonic() - asked >= ASK_EVERY:
                asked = time.monotonic()
                await asyncio.to_thread(give, kafka, version, order)
        await asyncio.sleep(_LOOK_EVERY)


def _written(admin: AdminClient, order: str, lanes: Sequence[LaneId], ends: Offsets) -> tuple[Offsets, set[Part]]:
    """How far the slowest lane of each partition is, and the partitions whose lanes have followed the order."""
    written: dict[Part, int] = {}
    late: set[Part] = set()
    for lane in lanes:
        parts = [part for part in ends if part[0] in lane.topics]
        for part, (offset, follows) in (_commits(admin, lane.group, parts) if parts else {}).items():
            written[part] = min(offset, written.get(part, offset))
            if follows != order:
                late.add(part)
    return written, set(written) - late


def _commits(admin: AdminClient, group: str, parts: Sequence[Part]) -> Mapping[Part, tuple[int, str]]:
    """Each partition's committed offset and the order that its worker followed last."""
    found = {}
    for part in committed(admin, group, parts):
        told = told_from(part.metadata)
        found[part.topic, part.partition] = (max(0, part.offset), "" if told is None else told.order)
    return found
