"""What was last said of each row, read off an enriched topic: for a memory that was lost."""

import asyncio
import logging

from changes.envelope import decode, decode_key, headers_from
from streams.enrich.derive import Emitted, Plan
from streams.enrich.said import Said
from streams.kafka import KafkaUrl, read_topic

log = logging.getLogger(__name__)

AT_ONCE = 1000


async def recall(plan: Plan, said: Said, kafka: KafkaUrl) -> None:
    """Where it is not known that all is remembered of ``plan``, read its topic from end to end and remember that.

    Without it a replay would ask models about values that rows have long left behind, and chunks that a row had would
    stay for good. Several workers may do so at once. Raises `Transient` where Kafka or PostgreSQL is away.
    """
    if await said.knows(plan.said_as):
        return
    found = await asyncio.to_thread(_read, plan, kafka)
    keys = sorted(found)
    for at in range(0, len(keys), AT_ONCE):
        await said.put_many(plan.said_as, {key: found[key] for key in keys[at : at + AT_ONCE]})
    await said.learnt(plan.said_as)
    if keys:
        log.warning("what was said on `%s` was forgotten; it was read off it: %d rows", plan.topic, len(keys))


def _read(plan: Plan, kafka: KafkaUrl) -> dict[bytes, Emitted]:
    found: dict[bytes, Emitted] = {}
    for message in read_topic(kafka, plan.topic):
        key, value = message.key(), message.value()
        if key is None:
            continue
        headers, after = headers_from(message.headers()), None if value is None else decode(value).after
        row_key = plan.row_key(decode_key(key))
        now = Emitted(headers.generation, headers.position, "", "")
        if after is not None:
            degraded, chunks, carried = bool(after.get("degraded")), plan.chunks_of(after), plan.carried_hash(after)
            now = Emitted(headers.generation, headers.position, headers.input, carried, degraded, chunks)
        before = found.get(row_key)
        # of a row's chunks those that are there tell more than those that are gone, at the same position
        if before is None or now.stands_over(before) or (not before.stands_over(now) and now.input):
            found[row_key] = now
    return found
