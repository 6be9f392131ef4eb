"""Kafka, which versions share: its door, a canary, a search."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search
from changes.errors import Transient
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

Ends = dict[tuple[str, int], int]
"""Where partitions end."""

SILENT = logging.getLogger(f"{__name__}.probes")
"""Takes what the client library says of being refused: here that is what should happen."""
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False

PROBE = "isolation-probe"
SECONDS = 10.0
"""How long the broker has for one answer."""
_STRANGER = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
_THERE = KafkaError.TOPIC_ALREADY_EXISTS
ABSENT = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


def enter(url: str) -> Answer:
    """Ask for the list of topics, as `audit.isolation.stores.Store.enter`."""
    heard: list[KafkaError] = []
    admin = AdminClient(KafkaUrl.parse(url).config() | {"error_cb": heard.append}, logger=SILENT)
    deadline = time.monotonic() + SECONDS
    said = "it does not answer"
    while time.monotonic() < deadline:
        try:
            admin.list_topics(timeout=1.0)
        except KafkaException as error:
            said = error.args[0].str()
            admin.poll(0.1)
            for one in (error.args[0], *heard):
                if one.code() in _STRANGER:
                    return Answer("refused", one.str())
        else:
            return INSIDE
    return Answer("unknown", said)


def plant(url: str, version: str, token: str) -> None:
    """Write ``token`` to a topic of its own. Raises `Transient` or `Misconfigured`."""
    kafka, topic = KafkaUrl.parse(url), _topic(version)
    with translated("writing a canary"):
        admin = AdminClient(kafka.config())
        try:
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(OPERATION_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != _THERE:
                raise
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: object) -> None:
            failed.extend([] if error is None else [error])

        producer = Producer(kafka.config(acks="all", message_timeout_ms=int(SECONDS * 1000)))
        _known(producer, topic)
        producer.produce(topic, token.encode(), b"canary", on_delivery=delivered)
        if producer.flush(OPERATION_SECONDS):
            raise Transient("Kafka does not take a canary in time")
        if failed:
            raise classified(failed[0], "writing a canary")


def remove(url: str, version: str) -> None:
    """Delete that topic; idempotent."""
    topic = _topic(version)
    with translated("deleting a canary's topic"):
        admin = AdminClient(KafkaUrl.parse(url).config())  # answers come only for as long as it lives
        try:
            admin.delete_topics([topic])[topic].result(OPERATION_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in ABSENT:
                raise


def ends(url: str) -> Ends:
    """Where all partitions that the principal may see end now. Raises `Transient` or `Misconfigured`."""
    with translated("asking where topics end"), consumer_of(url, "") as consumer:
        there = consumer.list_topics(timeout=OPERATION_SECONDS).topics
        return {
            (topic, part): consumer.get_watermark_offsets(TopicPartition(topic, part), timeout=OPERATION_SECONDS)[1]
            for topic, about in there.items()
            for part in about.partitions
        }


def search(url: str, tokens: Sequence[str], since: Ends) -> Found:
    """The bytes of every record (key, value, headers) of every topic that the principal sees, from where it ended at
    ``since``: an older record cannot hold a newer token. Records of aborted transactions are looked at too.

    Raises `Transient` or `Misconfigured`.
    """
    seen = Search(tokens)
    now = ends(url)
    left = {where: end for where, end in now.items() if end > since.get(where, 0)}
    with translated("reading topics"), consumer_of(url, "", isolation_level="read_uncommitted") as consumer:
        consumer.assign([TopicPartition(*where, since.get(where, 0)) for where in left])
        deadline = time.monotonic() + OPERATION_SECONDS
        while left and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.2):
                where = (message.topic() or "", message.partition() or 0)
                error = message.error()
                if error is None:
                    deadline = time.monotonic() + OPERATION_SECONDS
                    headers = [header[1] for header in message.headers() or ()]
                    seen.see(f"topic `{where[0]}`", message.key(), message.value(), headers)
                elif error.code() != KafkaError._PARTITION_EOF:
                    if not error.retriable():
                        raise classified(error, f"reading topic `{where[0]}`")
                    continue
                if error is not None or (message.offset() or 0) >= left.get(where, 0) - 1:
                    left.pop(where, None)
    seen.count(len(now))
    for topic in sorted({topic for topic, _ in left}):
        seen.leave(f"topic `{topic}`: it could not be read to its end in time")
    return seen.found()


@contextmanager
def consumer_of(url: str, group: str, **more: Any) -> Iterator[Consumer]:
    """``group``: "" for a name that nobody is asked about, for nothing is committed or joined."""
    kafka = KafkaUrl.parse(url)
    consumer = Consumer(
        kafka.config(
            group_id=group or f"{kafka.user or 'nobody'}.{PROBE}",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=10,
            **more,
        ),
        logger=SILENT,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _known(producer: Producer, topic: str) -> None:
    """Until the broker tells of a topic that was made just now."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if producer.list_topics(topic, timeout=SECONDS).topics[topic].error is None:
            return
        time.sleep(0.05)


def _topic(version: str) -> str:
    return f"{version}.tailrace.canary"


@contextmanager
def translated(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise classified(error.args[0], what) from error
    except TimeoutError as error:
        raise Transient(f"{what}: Kafka does not answer in time") from error
