"""The replays of a version: ``<version>.tailrace.replays``. Blocking."""

from collections.abc import Mapping

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from changes.errors import Transient
from changes.progress import internal_topic
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic
from streams.replay.asked import Replay


class Book:
    """All raise `Transient` where Kafka cannot be reached."""

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._url, self._topic = url, internal_topic(version, "replays")
        self._producer = Producer(url.config(acks="all", enable_idempotence=True))
        self._read_to = 0

    def replays(self) -> dict[str, Replay]:
        """By id, in the order in which they were begun."""
        found: dict[str, Replay] = {}
        for message in read_topic(self._url, self._topic):
            value = message.value()
            if value is not None:
                replay = msgspec.json.decode(value, type=Replay)
                found[replay.id] = replay
                self._read_to = (message.offset() or 0) + 1
        return found

    def write(self, replay: Replay) -> None:
        """Returns once Kafka has it."""
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        value = msgspec.json.encode(replay)
        self._producer.produce(self._topic, key=replay.id.encode(), value=value, on_delivery=told)
        if self._producer.flush(OPERATION_SECONDS):
            raise Transient("a replay's state was not written in time")
        if failed:
            raise classified(failed[0], "writing a replay's state")

    def claim(self, replay: Replay) -> bool:
        """Write that this process begins a replay, or goes on with it; whether it may.

        Of processes that read the same `replays` and then claim one to the same places, the one whose claim Kafka has
        first may.
        """
        self.write(replay)
        for message in read_topic(self._url, self._topic, start=lambda low, high: self._read_to):
            other = msgspec.json.decode(message.value() or b"{}", type=Replay)
            if other.rivals(replay) and other.state == "running":
                return other.run == replay.run
        return False


def unfinished(replays: Mapping[str, Replay], wanted: Replay) -> Replay | None:
    """The first that has not ended of those to the places of ``wanted``."""
    return next((one for one in replays.values() if one.rivals(wanted) and one.state == "running"), None)
