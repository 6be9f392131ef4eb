"""The dead-letter topic: records that a store refuses, with all that is needed to find and mend them."""

from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from changes.errors import Transient
from changes.progress import internal_topic
from streams.deliver.prepare import Consumed
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified


@dataclass(frozen=True)
class DeadLetter:
    """A refused message; ``attempts`` counts how often it was tried."""

    message: Consumed
    sink: str
    target: str
    reason: str
    attempts: int = 1


class DeadLetters:
    """Header names are Kafka Connect's, so its tools read them; ours stand beside them."""

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._version = version
        self._topic = internal_topic(version, "dlq")
        self._producer = Producer(
            url.config(acks="all", enable_idempotence=True, partitioner="murmur2_random", message_max_bytes=8 << 20)
        )
        self._failed: KafkaError | None = None

    def park(self, letters: list[DeadLetter]) -> None:
        """Write the letters and wait until Kafka has them: a commit behind a letter that is lost loses a change.

        Raises `Transient` where Kafka did not take them.
        """
        for letter in letters:
            message = letter.message
            headers: list[tuple[str, str | bytes | None]] = [
                *dict(message.headers() or ()).items(),
                ("__connect.errors.topic", (message.topic() or "").encode()),
                ("__connect.errors.partition", str(message.partition()).encode()),
                ("__connect.errors.offset", str(message.offset()).encode()),
                ("__connect.errors.connector.name", f"{self._version}.{letter.sink}".encode()),
                ("__connect.errors.stage", b"TASK_PUT"),
                ("__connect.errors.exception.message", letter.reason.encode("utf-8", "replace")),
                ("tr-version", self._version.encode()),
                ("tr-sink", letter.sink.encode()),
                ("tr-target", letter.target.encode()),
                ("tr-attempts", str(letter.attempts).encode()),
            ]
            try:
                self._producer.produce(
                    self._topic, key=message.key(), value=message.value(), headers=headers, on_delivery=self._told
                )
            except (KafkaException, BufferError) as error:
                raise Transient(f"a dead letter could not be written: {error}") from error
        if self._producer.flush(OPERATION_SECONDS):
            raise Transient("dead letters were not written in time")
        if self._failed is not None:
            refused, self._failed = self._failed, None
            raise classified(refused, "writing dead letters")

    def _told(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = error
