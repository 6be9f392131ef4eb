"""Taking a person's records out of the dead letters: Kafka takes out no single record, only all before one.

The others' letters that stand among them are written again behind them, as they were and with their time, and then
all up to the last of the person's go. Killed in between, some letters are there twice, which is one letter.
"""

from collections.abc import Callable
from contextlib import closing

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from changes.errors import Transient
from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic
from streams.topics import LARGEST_RECORD


def taken_out(kafka: KafkaUrl, version: str, theirs: Callable[[Message], bool]) -> int:
    """Take out the dead letters that are ``theirs``; how many. Blocking. Raises `Transient`."""
    topic = internal_topic(version, "dlq")
    found = [message.offset() or 0 for message in read_topic(kafka, topic) if theirs(message)]
    if not found:
        return 0
    end = found[-1] + 1
    _again(kafka, topic, end, frozenset(found))
    admin = AdminClient(kafka.config())
    for future in admin.delete_records([TopicPartition(topic, 0, end)]).values():
        try:
            future.result(OPERATION_SECONDS)
        except KafkaException as error:
            raise classified(error.args[0], "taking letters out") from error
        except TimeoutError as error:
            raise Transient("Kafka does not say in time whether letters are taken out") from error
    return len(found)


def _again(kafka: KafkaUrl, topic: str, end: int, theirs: frozenset[int]) -> None:
    """Write the letters below ``end`` again but those at the offsets ``theirs``."""
    producer = Producer(
        kafka.config(
            acks="all", enable_idempotence=True, partitioner="murmur2_random", message_max_bytes=LARGEST_RECORD
        )
    )
    failed: list[KafkaError] = []

    def told(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    with closing(read_topic(kafka, topic)) as letters:
        for message in letters:
            offset = message.offset() or 0
            if offset >= end:
                break
            if offset not in theirs:
                producer.produce(
                    topic,
                    key=message.key(),
                    value=message.value(),
                    headers=message.headers(),
                    timestamp=message.timestamp()[1],
                    on_delivery=told,
                )
                producer.poll(0)
    if producer.flush(OPERATION_SECONDS):
        raise Transient("letters were not written again in time; nothing was taken out")
    if failed:
        raise classified(failed[0], "writing letters again")
