"""A lane's Kafka consumer, in a thread of its own: librdkafka's calls block."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from changes.errors import Misconfigured, Transient
from changes.tier import Tier
from streams.kafka import KafkaUrl, classified

log = logging.getLogger(__name__)

BATCH_BYTES = 16 << 20
"""A batch is cut once it holds so many bytes, whatever the tier says of rows."""
_STEP = 100
_LINGER_FROM = 0.05
"""Tiers that flush sooner than this (seconds) write what is there at once; slower ones wait for a portion."""

_FENCED = {KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED, KafkaError._FATAL}

T = TypeVar("T")


class Fenced(Transient):
    """Another worker has joined under this one's name; under another name both share the work."""


class LaneConsumer:
    """Reads committed records of ``topics`` for the group ``group``.

    ``instance`` makes the member static: a worker that was killed comes back under the same name without waiting for
    its old self to time out, and a second worker under that name shuts out the first.
    """

    def __init__(self, url: KafkaUrl, group: str, instance: str, topics: Sequence[str]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"consume-{group}")
        self._topics = list(topics)
        self._paused = False
        self._consumer = Consumer(
            url.config(
                group_id=group,
                group_instance_id=instance,
                client_id=instance,
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="error",
                partition_assignment_strategy="cooperative-sticky",
                session_timeout_ms=10_000,
                heartbeat_interval_ms=2_000,
                max_poll_interval_ms=600_000,
                fetch_wait_max_ms=500,
                fetch_message_max_bytes=9 << 20,
                fetch_max_bytes=16 << 20,
                queued_max_messages_kbytes=32 << 10,
            )
        )

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def start(self) -> None:
        await self._do(lambda: self._consumer.subscribe(self._topics, on_assign=self._assigned, on_lost=_lost))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """A group without an offset begins at the beginning, said explicitly; one whose offset is gone must not."""
        for part in consumer.committed(partitions, timeout=30):
            if part.offset < 0:
                part.offset = OFFSET_BEGINNING
            consumer.incremental_assign([part])
        if self._paused:
            consumer.pause(partitions)

    async def fetch(self, tier: Tier) -> list[Message]:
        """The next messages, none where none came within a moment. Raises `Transient` or `Misconfigured`."""
        return await self._do(lambda: self._fetch(tier))

    def _fetch(self, tier: Tier) -> list[Message]:
        first = self._consumer.poll(0.1)
        if first is None:
            return []
        batch = self._checked([first])
        size = sum(len(m.value() or b"") for m in batch)
        until = time.monotonic() + tier.flush if tier.flush >= _LINGER_FROM else 0.0
        while len(batch) < tier.rows and size < BATCH_BYTES:
            wait = max(0.0, min(0.1, until - time.monotonic()))
            more = self._checked(self._consumer.consume(min(_STEP, tier.rows - len(batch)), wait))
            if not more and time.monotonic() >= until:
                break
            batch += more
            size += sum(len(m.value() or b"") for m in more)
        return batch

    @staticmethod
    def _checked(messages: list[Message]) -> list[Message]:
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise Misconfigured(
                    f"{error.str()}: this lane was away for longer than its topics keep what it needs; "
                    "empty the store and delete the consumer group, then it fills again from the beginning"
                )
            elif error.fatal() or error.code() in _FENCED:
                raise Fenced(f"another worker of the same name has joined: {error.str()}")
            elif not error.retriable() and error.code() not in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}:
                raise classified(error, "reading changes")
        return good

    async def rest(self, seconds: float) -> None:
        """Wait while staying a member of the group: partitions paused, polling going on."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            await self._do(self._poll_paused)
            await asyncio.sleep(min(0.5, left))

    def _poll_paused(self) -> None:
        if not self._paused:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        message = self._consumer.poll(0)
        if message is not None:
            self._checked([message])

    async def resume(self) -> None:
        if self._paused:
            self._paused = False
            await self._do(lambda: self._consumer.resume(self._consumer.assignment()))

    async def commit(self, offsets: Sequence[TopicPartition], *, wait: bool = False) -> None:
        """Tell the group how far it is. Partitions that were taken away meanwhile are left to their new owner."""
        try:
            await self._do(lambda: self._commit(list(offsets), wait))
        except KafkaException as error:
            log.info("offsets were not committed, the records will come again: %s", error)

    def _commit(self, offsets: list[TopicPartition], wait: bool) -> None:
        if wait:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        else:
            self._consumer.commit(offsets=offsets)

    async def close(self) -> None:
        await self._do(self._consumer.close)
        self._thread.shutdown(wait=False)


def _lost(_: Consumer, partitions: list[TopicPartition]) -> None:
    log.warning("lost %d partitions: taken for dead; what was not committed comes again", len(partitions))
