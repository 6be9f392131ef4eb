"""A lane's Kafka consumer, in a thread of its own: librdkafka's calls block."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from changes.errors import Misconfigured, Transient
from changes.progress import Offsets
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

log = logging.getLogger(__name__)

BATCH_BYTES = 16 << 20
"""A batch is cut once it holds so many bytes, whatever the tier says of rows."""
_STEP = 100

_FENCED = {KafkaError.FENCED_INSTANCE_ID, KafkaError._FENCED, KafkaError._FATAL}

T = TypeVar("T")


class Fenced(Transient):
    """Another worker has joined under this one's name; under another name both share the work."""


@dataclass(frozen=True)
class Assigned:
    """A partition that came to this worker: ``offset`` is where it begins, ``metadata`` what the commit there said.

    ``committed``: the group had an offset of it.
    """

    topic: str
    partition: int
    offset: int
    metadata: str | None
    committed: bool = True


class LaneConsumer:
    """Reads committed records of ``topics`` for the group ``group``.

    ``instance`` makes the member static: a worker that was killed comes back under the same name without waiting for
    its old self to time out, and a second worker under that name shuts out the first.
    """

    def __init__(self, url: KafkaUrl, group: str, instance: str, topics: Sequence[str]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"consume-{group}")
        self._topics = list(topics)
        self._paused = False
        self.hurry = threading.Event()
        self._broken: KafkaException | None = None
        self._fenced: KafkaError | None = None
        self._kept: list[Message] = []
        self._assigned_now: deque[Assigned] = deque()
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
                # What is fetched is compressed, by ten times and more where rows are alike: this bounds memory, not
                # messages, of which one is always fetched whole.
                fetch_message_max_bytes=512 << 10,
                fetch_max_bytes=2 << 20,
                queued_max_messages_kbytes=16 << 10,
            )
        )

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def start(self) -> None:
        await self._do(lambda: self._consumer.subscribe(self._topics, on_assign=self._assigned, on_lost=_lost))

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Called by librdkafka, which no exception may pass through: it would end the thread, and nobody would know."""
        try:
            self._take_over(consumer, partitions)
        except KafkaException as error:
            self._broken = error

    def _take_over(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """A group without an offset begins at the beginning, said explicitly; one whose offset is gone must not."""
        for part in consumer.committed(partitions, timeout=OPERATION_SECONDS):
            begin = part.offset
            if begin < 0:
                begin, _ = consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)
            found = Assigned(part.topic, part.partition, begin, part.metadata, part.offset >= 0)
            self._assigned_now.append(found)
            part.offset = OFFSET_BEGINNING if part.offset < 0 else part.offset
            consumer.incremental_assign([part])
        if self._paused:
            consumer.pause(partitions)

    def assigned(self) -> list[Assigned]:
        """The partitions that came since the last call: before any message of theirs that `fetch` has returned."""
        return [self._assigned_now.popleft() for _ in range(len(self._assigned_now))]

    async def fetch(self, rows: int, linger: float) -> list[Message]:
        """The next messages, none where none came within a moment; at most ``rows``, waited for ``linger`` seconds
        behind the first, or until `hurry` is set. Raises `Transient` or `Misconfigured`."""
        return await self._do(lambda: self._fetch(rows, linger))

    def _fetch(self, rows: int, linger: float) -> list[Message]:
        try:
            batch = self._first()
            size = sum(len(m.value() or b"") for m in batch)
            until = time.monotonic() + linger
            while batch and len(batch) < rows and size < BATCH_BYTES:
                wait = 0.0 if self.hurry.is_set() else max(0.0, min(0.1, until - time.monotonic()))
                more = self._checked(self._consumer.consume(min(_STEP, rows - len(batch)), wait))
                if not more and (self.hurry.is_set() or time.monotonic() >= until):
                    break
                batch += more
                size += sum(len(m.value() or b"") for m in more)
        except KafkaException as error:
            raise classified(error.args[0], "reading changes") from error
        return batch

    def _first(self) -> list[Message]:
        kept, self._kept = self._kept, []
        if kept:
            return kept
        first = self._consumer.poll(0.1)
        return self._checked([] if first is None else [first])

    def _checked(self, messages: list[Message]) -> list[Message]:
        if self._broken is not None:
            raise classified(self._broken.args[0], "taking over partitions")
        self._not_fenced()
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
                self._fenced = error
                self._not_fenced()
            elif not error.retriable() and error.code() not in {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}:
                raise classified(error, "reading changes")
        return good

    def _not_fenced(self) -> None:
        """librdkafka says it once and is silent ever after: whoever asks next has to be told too."""
        if self._fenced is not None:
            raise Fenced(f"another worker of the same name has joined: {self._fenced.str()}")

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
        self._kept += self._checked([] if message is None else [message])

    async def resume(self) -> None:
        if self._paused:
            self._paused = False
            await self._do(lambda: self._consumer.resume(self._consumer.assignment()))

    async def seek(self, to: Mapping[tuple[str, int], int | None]) -> Offsets:
        """Go on at these offsets, at the beginning where one is ``None``; where that is, of the partitions that this
        worker still has. What was fetched and not returned is forgotten. Raises `Transient`."""
        return await self._do(lambda: self._seek(to))

    def _seek(self, to: Mapping[tuple[str, int], int | None]) -> Offsets:
        found: Offsets = {}
        self._kept = []
        try:
            mine = [part for part in self._consumer.assignment() if (part.topic, part.partition) in to]
            for part in mine:
                low, _ = self._consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)
                found[part.topic, part.partition] = max(low, to[part.topic, part.partition] or 0)
            self._consumer.incremental_unassign(mine)
            moved = [TopicPartition(topic, number, offset) for (topic, number), offset in found.items()]
            self._consumer.incremental_assign(moved)
            if self._paused:
                self._consumer.pause(moved)
        except KafkaException as error:
            raise classified(error.args[0], "going back in the topics") from error
        return found

    async def ends(self) -> Offsets:
        """Where the partitions of this worker end now. Raises `Transient`."""
        return await self._do(self._ends)

    def _ends(self) -> Offsets:
        try:
            return {
                (part.topic, part.partition): self._consumer.get_watermark_offsets(part, timeout=OPERATION_SECONDS)[1]
                for part in self._consumer.assignment()
            }
        except KafkaException as error:
            raise classified(error.args[0], "asking where topics end") from error

    async def commit(self, ends: Offsets, metadata: Mapping[tuple[str, int], str], *, wait: bool = False) -> None:
        """Tell the group how far it is. Partitions that were taken away meanwhile are left to their new owner."""
        try:
            await self._do(lambda: self._commit(ends, metadata, wait))
        except KafkaException as error:
            log.info("offsets were not committed, the records will come again: %s", error)

    def _commit(self, ends: Offsets, metadata: Mapping[tuple[str, int], str], wait: bool) -> None:
        mine = {(part.topic, part.partition) for part in self._consumer.assignment()}
        offsets = [
            TopicPartition(topic, number, offset, metadata[topic, number])
            for (topic, number), offset in ends.items()
            if (topic, number) in mine
        ]
        if not offsets:
            return
        if wait:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        else:
            self._consumer.commit(offsets=offsets)

    async def close(self) -> None:
        await self._do(self._consumer.close)
        self._thread.shutdown(wait=False)


def _lost(_: Consumer, partitions: list[TopicPartition]) -> None:
    log.warning("lost %d partitions: taken for dead; what was not committed comes again", len(partitions))
