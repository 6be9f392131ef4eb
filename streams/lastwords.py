"""The last record of given keys in a change topic."""

from collections.abc import Mapping
from dataclasses import dataclass

from changes.envelope import headers_from
from streams.kafka import KafkaUrl, read_topic


@dataclass(frozen=True)
class LastWord:
    """``deleted``: the record is the delete's tombstone. ``partition`` and ``offset`` are where it stands."""

    position: int
    hash: int
    deleted: bool
    partition: int
    offset: int


def last_words(kafka: KafkaUrl, topic: str, spans: Mapping[bytes, Mapping[int, int]]) -> dict[bytes, LastWord]:
    """By Kafka key, its last record before the ends that it is given, by partition; keys without one are left out.

    Reads the topic from its beginning. Raises `Transient` where Kafka cannot be reached.
    """
    found: dict[bytes, LastWord] = {}
    for message in read_topic(kafka, topic):
        key, partition, offset = message.key(), message.partition(), message.offset()
        if not isinstance(key, bytes) or partition is None or offset is None:
            continue
        ends = spans.get(key)
        if ends is not None and offset < ends.get(partition, 0):
            headers = headers_from(message.headers())
            found[key] = LastWord(headers.position, headers.hash, message.value() is None, partition, offset)
    return found
