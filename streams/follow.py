"""Which keys of a topic changed after given offsets."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from changes.progress import Offsets
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

_BATCH = 1000


@dataclass(frozen=True)
class Span:
    """How far a `Follower` has read: offsets by partition, the end excluded."""

    ends: dict[int, int]


class Follower:
    """One change topic, followed. Blocking; raises `Transient` where Kafka cannot be reached.

    Kafka is asked only while somebody drains: a consumer that is merely open asks a hundred times a second, and holds
    what comes in memory. ``settings`` are librdkafka's, with ``_`` for ``.``.
    """

    def __init__(self, url: KafkaUrl, version: str, topic: str, **settings: Any) -> None:
        self._topic = topic
        self._consumer = Consumer(url.reading(version, "audit", **settings))
        self._at: dict[int, int] = {}
        self._closed = False

    @property
    def topic(self) -> str:
        return self._topic

    def start(self, ends: Offsets) -> None:
        """Go on from ``ends``, from the beginning where they do not name a partition; from where the topic ends where
        that is before them: it has lost what was there."""
        with _translated(self._topic):
            metadata = self._consumer.list_topics(self._topic, timeout=OPERATION_SECONDS).topics[self._topic]
            self._at = {}
            for partition in sorted(metadata.partitions):
                low, high = self._watermarks(partition)
                self._at[partition] = max(low, min(high, ends.get((self._topic, partition), 0)))

    def drain(self) -> Generator[Message]:
        """Every record from where the last drain ended to where the topic ends now."""
        with _translated(self._topic):
            ends = {partition: self._watermarks(partition)[1] for partition in self._at}
            behind = [TopicPartition(self._topic, part, at) for part, at in self._at.items() if at < ends[part]]
            if not behind:
                return
            self._consumer.assign(behind)
            try:
                while any(self._at[partition] < end for partition, end in ends.items()):
                    yield from self._next()
            finally:
                if not self._closed:  # whoever gave up in the middle may have closed first
                    self._consumer.unassign()

    def _next(self) -> Generator[Message]:
        for message in self._consumer.consume(_BATCH, 0.02):
            error, partition, offset = message.error(), message.partition(), message.offset()
            if partition is None or offset is None:
                continue
            if error is None:
                self._at[partition] = max(self._at[partition], offset + 1)
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                # the end lies behind the marks of transactions, which are no records
                self._at[partition] = max(self._at[partition], offset)
            elif not error.retriable():
                raise classified(error, f"reading topic `{self._topic}`")

    @property
    def span(self) -> Span:
        return Span(dict(self._at))

    def _watermarks(self, partition: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(
            TopicPartition(self._topic, partition), timeout=OPERATION_SECONDS
        )
        return int(low), int(high)

    def close(self) -> None:
        self._closed = True
        self._consumer.close()


@contextmanager
def _translated(topic: str) -> Generator[None]:
    try:
        yield
    except KafkaException as error:
        raise classified(error.args[0], f"reading topic `{topic}`") from error
