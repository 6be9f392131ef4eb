"""What MySQL held at a mark in the stream, by capture's own count."""

from collections import deque

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from changes.progress import Bucket, internal_topic
from streams.capture.sums import Told
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

_BATCH = 1000


class SumsTail:
    """The sums topic, read up to one mark after the other. Blocking; not safe for several threads."""

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._topic = internal_topic(version, "sums")
        self._consumer = Consumer(url.reading(version, "sums", auto_offset_reset="earliest"))
        self._assigned = False
        self._ahead: deque[Message] = deque()
        self._told = Told()

    def at(self, end: int, table: str) -> dict[int, Bucket] | None:
        """A table's buckets as the records before the offset ``end`` tell them; ``None`` where they are not known.

        ``end`` must be a mark's and not less than the one before. Raises `Transient` where Kafka cannot be reached.
        """
        try:
            self._read(end)
        except KafkaException as error:
            raise classified(error.args[0], f"reading topic `{self._topic}`") from error
        known = self._told.tables.get(table)
        return None if known is None else known[1].buckets()

    def _read(self, end: int) -> None:
        if not self._assigned:
            low, _ = self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=OPERATION_SECONDS)
            self._consumer.assign([TopicPartition(self._topic, 0, low)])
            self._assigned = True
            self._at = low
        while True:
            while self._ahead and (self._ahead[0].offset() or 0) < end:
                message = self._ahead.popleft()
                self._at = (message.offset() or 0) + 1
                self._told.take(_text(message.key()), message.value() or b"")
            if self._ahead or self._at >= end:
                return
            for message in self._consumer.consume(_BATCH, 0.02):
                error = message.error()
                if error is None:
                    self._ahead.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    # what is missing before it has been compacted away, for something newer stands behind it
                    self._at = max(self._at, message.offset() or 0)
                elif not error.retriable():
                    raise classified(error, f"reading topic `{self._topic}`")

    def close(self) -> None:
        self._consumer.close()


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
