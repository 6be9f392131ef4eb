"""Kafka as this project uses it: where it is, which topics it has, and topics read from end to end."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from changes.errors import Misconfigured, Transient

OPERATION_SECONDS = 30.0

_REFUSED = {
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


@dataclass(frozen=True)
class KafkaUrl:
    """``kafka://user:password@host:port[,host:port…][?mechanism=PLAIN]``; without a user, without SASL."""

    servers: str
    user: str | None
    password: str = field(repr=False)
    mechanism: str

    @classmethod
    def parse(cls, url: str) -> "KafkaUrl":
        """Raises `Misconfigured` where ``url`` is not of that form; the message holds no password."""
        parts = urlsplit(url)
        if parts.scheme != "kafka" or not parts.netloc:
            raise Misconfigured("a Kafka URL looks like kafka://user:password@host:9092")
        credentials, _, servers = parts.netloc.rpartition("@")
        user, _, password = credentials.partition(":")
        mechanism = parse_qs(parts.query).get("mechanism", ["PLAIN"])[0]
        return cls(servers, unquote(user) or None, unquote(password), mechanism)

    def config(self, **more: Any) -> dict[str, Any]:
        """librdkafka's configuration for this broker; ``more`` in its names with ``_`` for ``.``."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "broker.address.family": "v4",
            "log_level": 2,  # what it cannot reach, our own lines say once instead of ten times a second
            "reconnect.backoff.max.ms": 2000,
        }
        if self.user is not None:
            config |= {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        return config | {name.replace("_", "."): value for name, value in more.items()}

    def reading(self, version: str, who: str, **more: Any) -> dict[str, Any]:
        """`config` of a consumer that reads what is committed, joins no group and commits nothing; it is told where a
        partition ends. ``who`` is a name for the broker's eyes."""
        settings = {
            "group_id": f"{version}.tailrace.{who}",
            "enable_auto_commit": False,
            "enable_partition_eof": True,
            "isolation_level": "read_committed",
            "auto_offset_reset": "error",
            "fetch_wait_max_ms": 10,
            # An audit has many of these, each with as much ahead of it; one that has enough looks again after this
            # long, not librdkafka's second. Six that read 160,000 records each: 0.3 GB, not 1.4, and no slower.
            "queued_max_messages_kbytes": 4 << 10,
            "fetch_queue_backoff_ms": 20,
        }
        return self.config(**settings | more)


def classified(error: KafkaError, what: str) -> Exception:
    """`Misconfigured` where the broker refuses us, `Transient` otherwise."""
    if error.code() in _REFUSED:
        return Misconfigured(f"Kafka refuses {what}: {error.str()}")
    return Transient(f"{what}: {error.str()}")


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it must be."""

    name: str
    partitions: int
    config: Mapping[str, str]


def compacted(days: float, **more: str) -> dict[str, str]:
    """Settings of a topic whose last record of a key stays, and whose tombstones outlive ``days`` of lag. What is
    superseded goes within a day more: Kafka would keep it until half of the topic is."""
    lag = round(days * 86_400_000)
    return {
        "cleanup.policy": "compact",
        "delete.retention.ms": str(lag),
        "min.compaction.lag.ms": str(lag),
        "max.compaction.lag.ms": str(lag + 86_400_000),
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def ensure_topics(url: KafkaUrl, specs: list[TopicSpec], *, replicas: int = 1) -> list[str]:
    """Create the topics that are missing; the names of those.

    Raises `Misconfigured` where one is there with another number of partitions (keys would change theirs) or may
    not be created.
    """
    admin = AdminClient(url.config())
    try:
        there = admin.list_topics(timeout=OPERATION_SECONDS).topics
    except KafkaException as error:
        raise classified(error.args[0], "listing topics") from error
    for spec in specs:
        if spec.name in there and len(there[spec.name].partitions) != spec.partitions:
            raise Misconfigured(
                f"topic `{spec.name}` has {len(there[spec.name].partitions)} partitions, `topics.yaml` says "
                f"{spec.partitions}: the number is fixed at creation, for keys would change their partition"
            )
    missing = [spec for spec in specs if spec.name not in there]
    if not missing:
        return []
    futures = admin.create_topics(
        [NewTopic(s.name, s.partitions, replicas, config=dict(s.config)) for s in missing],
        operation_timeout=OPERATION_SECONDS,
    )
    for name, future in futures.items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise classified(error.args[0], f"creating topic `{name}`") from error
    return [spec.name for spec in missing]


def topic_ids(url: KafkaUrl, topics: Sequence[str]) -> list[str]:
    """The ids that the broker gave these topics when they were created: another of the same name has another.

    Raises `Transient` where the broker cannot be reached.
    """
    admin = AdminClient(url.config())  # answers come only for as long as it lives
    found = admin.describe_topics(TopicCollection([*topics]))
    try:
        return [str(found[topic].result(OPERATION_SECONDS).topic_id) for topic in topics]
    except KafkaException as error:
        raise classified(error.args[0], "asking for the ids of topics") from error
    except TimeoutError as error:
        raise Transient("Kafka does not tell the ids of topics in time") from error


def read_topic(
    url: KafkaUrl,
    topic: str,
    *,
    partition: int | None = None,
    start: Callable[[int, int], int] | None = None,
    committed: bool = True,
) -> Generator[Message]:
    """Every committed record of a topic from its beginning to where it ends now; those that were given up too, unless
    ``committed``.

    ``start`` gives the first offset wanted of a partition from its (low, high) watermarks. Raises `Transient`
    where the broker cannot be reached.
    """
    consumer = Consumer(
        url.reading(
            topic.partition(".")[0], "reader", isolation_level="read_committed" if committed else "read_uncommitted"
        )
    )
    try:
        metadata = consumer.list_topics(topic, timeout=OPERATION_SECONDS).topics[topic]
        if metadata.error is not None:
            raise classified(metadata.error, f"reading topic `{topic}`")
        assignment = []
        highs = {}
        for number in [partition] if partition is not None else sorted(metadata.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=OPERATION_SECONDS)
            first = low if start is None else max(low, min(high, start(low, high)))
            highs[number] = high
            assignment.append(TopicPartition(topic, number, first))
        consumer.assign(assignment)
        open_partitions = {part.partition for part in assignment}
        while open_partitions:
            for message in consumer.consume(1000, 0.1):
                error = message.error()
                if error is None:
                    yield message
                    # a topic that is written to all the time never shows its end: what was there at first will do
                    if (message.offset() or 0) >= highs[message.partition()] - 1:
                        open_partitions.discard(message.partition())
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                elif not error.retriable():
                    raise classified(error, f"reading topic `{topic}`")
    except KafkaException as error:
        raise classified(error.args[0], f"reading topic `{topic}`") from error
    finally:
        consumer.close()


def committed(admin: AdminClient, group: str, parts: Iterable[tuple[str, int]]) -> list[TopicPartition]:
    """What a consumer group has committed of these partitions: an offset below 0 where it has not, and the metadata.

    None at all where Kafka knows no such group. Raises `Transient` where Kafka cannot be reached.
    """
    request = [ConsumerGroupTopicPartitions(group, [TopicPartition(*part) for part in parts])]
    try:
        found = admin.list_consumer_group_offsets(request)[group].result(OPERATION_SECONDS).topic_partitions
        return list(found)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise classified(error.args[0], f"asking how far `{group}` is") from error
    except TimeoutError as error:
        raise Transient(f"Kafka does not say in time how far `{group}` is") from error


def record_at(url: KafkaUrl, topic: str, partition: int, offset: int) -> Message | None:
    """One record, or ``None`` where compaction has taken it. Raises `Transient` where the broker cannot be reached."""
    with closing(read_topic(url, topic, partition=partition, start=lambda low, high: offset)) as records:
        found = next(records, None)
    return found if found is not None and found.offset() == offset else None
