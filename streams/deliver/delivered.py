"""The accounts of lanes beside those in their commits: ``<version>.tailrace.delivered``, compacted.

Whoever moves a group's offsets by hand leaves its commits without metadata; what was accounted for is found here.
"""

import itertools
from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import Producer

from changes.progress import internal_topic
from streams.deliver.account import Account, Part
from streams.kafka import KafkaUrl, read_topic


class Delivered:
    """One lane's accounts, kept. Nothing waits for them: the commits are what counts."""

    def __init__(self, url: KafkaUrl, version: str, group: str) -> None:
        self._url, self._topic, self._group = url, internal_topic(version, "delivered"), group
        self._producer = Producer(url.config(enable_idempotence=True, linger_ms=100))

    def keep(self, accounts: Mapping[Part, Account]) -> None:
        for (topic, partition), account in accounts.items():
            key = f"{self._group}|{topic}|{partition}".encode()
            self._producer.produce(self._topic, key=key, value=msgspec.json.encode(account))
        self._producer.poll(0)

    def kept(self) -> dict[Part, Account]:
        """Blocks while the topic is read. Raises `Transient` where Kafka cannot be reached."""
        self.flush()
        found: dict[Part, Account] = {}
        for message in read_topic(self._url, self._topic):
            group, _, place = (message.key() or b"").decode().partition("|")
            value = message.value()
            if group == self._group and value is not None:
                topic, _, partition = place.rpartition("|")
                found[topic, int(partition)] = msgspec.json.decode(value, type=Account)
        return found

    def flush(self) -> None:
        self._producer.flush(5.0)

    def records_in(self, part: Part, offsets: range) -> int:
        """How many records stand at these offsets. Blocks. Raises `Transient` where Kafka cannot be reached."""
        topic, partition = part
        records = read_topic(self._url, topic, partition=partition, start=lambda low, high: offsets.start)
        below = itertools.takewhile(lambda message: (message.offset() or 0) < offsets.stop, records)
        found = sum(1 for _ in below)
        records.close()
        return found

    def any_in(self, spans: Iterable[tuple[Part, range]]) -> bool:
        """Whether a record stands at any of these offsets. Blocks and raises as `records_in` does."""
        return any(self.records_in(part, offsets) for part, offsets in spans)
