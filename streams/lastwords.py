"""The last record of given keys in a change topic."""

from collections.abc import Mapping
from dataclasses import dataclass

from changes.envelope import headers_from
from streams.kafka import KafkaUrl, read_topic


@dataclass(frozen=True)
class LastWord:
    """``deleted``: the record is the delete's tombstone. ``partition`` and ``offset`` are where it stands, and
    ``written_ms`` is when it was written, in milliseconds since 1970."""

    position: int
    hash: int
    deleted: bool
    partition: int
    offset: int
    written_ms: int


def last_words(kafka: KafkaUrl, topic: str, spans: Mapping[bytes, Mapping[int, int] | None]) -> dict[bytes, LastWord]:
    """By Kafka key, its last record before the ends that it is given by partition, or of all where it is given none.

    Keys without a record are left out.
    Reads the topic from its beginning. Raises `Transient` where Kafka cannot be reached.
    """
    found: dict[bytes, LastWord] = {}
    for message in read_topic(kafka, topic):
        key, partition, offset = message.key(), message.partition(), message.offset()
        if not isinstance(key, bytes) or partition is None or offset is None:
            continue
        if key not in spans:
            continue
        ends = spans[key]
        if ends is None or offset < ends.get(partition, 0):
            headers = headers_from(message.headers())
            found[key] = LastWord(
                headers.position, headers.hash, message.value() is None, partition, offset, int(message.timestamp()[1])
            )
    return found
