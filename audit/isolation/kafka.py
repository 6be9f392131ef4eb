"""Kafka, which versions share: what one version's principal can do with another's topics, groups and transactions."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search
from changes.errors import Transient
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified

Ends = dict[tuple[str, int], int]
"""Where partitions end."""

_SILENT = logging.getLogger(f"{__name__}.probes")
"""Takes what the client library says of being refused: here that is what should happen."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

_PROBE = "isolation-probe"
_WRITTEN = 3
"""Topics that one may not even describe, and tries to write to all the same: the broker allows no writing without."""
_SECONDS = 10.0
_AT_ONCE: dict[str, Any] = {"topic_metadata_propagation_max_ms": 100}
"""The library would give a topic that it does not see half a minute to appear."""
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_STRANGER = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
_THERE = KafkaError.TOPIC_ALREADY_EXISTS
_ABSENT = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}


def enter(url: str) -> Answer:
    """Ask for the list of topics, as `audit.isolation.stores.Store.enter`."""
    heard: list[KafkaError] = []
    admin = AdminClient(KafkaUrl.parse(url).config() | {"error_cb": heard.append}, logger=_SILENT)
    deadline = time.monotonic() + _SECONDS
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
    with _translated("writing a canary"):
        admin = AdminClient(kafka.config())
        try:
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(OPERATION_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != _THERE:
                raise
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: object) -> None:
            failed.extend([] if error is None else [error])

        producer = Producer(kafka.config(acks="all", message_timeout_ms=int(_SECONDS * 1000)))
        _known(producer, topic)
        producer.produce(topic, token.encode(), b"canary", on_delivery=delivered)
        if producer.flush(OPERATION_SECONDS):
            raise Transient("Kafka does not take a canary in time")
        if failed:
            raise classified(failed[0], "writing a canary")


def remove(url: str, version: str) -> None:
    """Delete that topic; idempotent."""
    topic = _topic(version)
    with _translated("deleting a canary's topic"):
        admin = AdminClient(KafkaUrl.parse(url).config())  # answers come only for as long as it lives
        try:
            admin.delete_topics([topic])[topic].result(OPERATION_SECONDS)
        except KafkaException as error:
            if error.args[0].code() not in _ABSENT:
                raise


def ends(url: str) -> Ends:
    """Where all partitions that the principal may see end now. Raises `Transient` or `Misconfigured`."""
    with _translated("asking where topics end"), _consumer(url, "") as consumer:
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
    with _translated("reading topics"), _consumer(url, "", isolation_level="read_uncommitted") as consumer:
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


def belongings(url: str, version: str) -> tuple[list[str], list[str]]:
    """The topics and the groups whose names begin with the version's. Raises `Transient` or `Misconfigured`."""
    with _translated("listing topics and groups"):
        admin = AdminClient(KafkaUrl.parse(url).config())
        topics = admin.list_topics(timeout=OPERATION_SECONDS).topics
        groups = admin.list_consumer_groups().result(OPERATION_SECONDS).valid
        mine = f"{version}."
        return (
            sorted(name for name in topics if name.startswith(mine)),
            sorted(group.group_id for group in groups if group.group_id.startswith(mine)),
        )


def trespass(
    url: str, principal: str, victim: str, topics: Sequence[str], groups: Sequence[str]
) -> Iterator[tuple[str, Answer]]:
    """What ``principal``, whose credentials ``url`` has, can do with what is ``victim``'s: each deed, and the answer.

    Nothing is harmed should the broker allow it: what is written stands in transactions that are aborted, a group or
    transactional id is made up, and no offset is committed.
    """
    kafka = KafkaUrl.parse(url)
    tried = tuple(dict.fromkeys([*topics, f"{victim}.{_PROBE}"]))
    admin = AdminClient(kafka.config(), logger=_SILENT)
    yield "list topics", _listed(admin, victim)
    yield "list groups", _groups_listed(admin, victim)
    asked = admin.describe_topics(TopicCollection(list(tried)), request_timeout=_SECONDS)
    described = {name: _outcome(future) for name, future in asked.items()}
    yield "describe topics", _worst(described.items())
    for group, future in admin.describe_consumer_groups(list(dict.fromkeys([*groups, f"{victim}.{_PROBE}"]))).items():
        yield f"describe the group `{group}`", _outcome(future)
    yield "read topics", _reads(url, principal, tried)
    known = [topic for topic in tried if described[topic].met != "refused"]
    yield "write to topics", _writes(kafka, principal, dict.fromkeys([*known, *tried[-_WRITTEN:]]))
    yield "join a group", _joins(admin, f"{victim}.{_PROBE}", f"{principal}.{_PROBE}")
    yield "use a transactional id", _transacts(kafka, f"{victim}.{_PROBE}")


def _listed(admin: AdminClient, victim: str) -> Answer:
    try:
        there = admin.list_topics(timeout=_SECONDS).topics
    except KafkaException as error:
        return _said(error.args[0])
    return _named([name for name in there if name.startswith(f"{victim}.")])


def _groups_listed(admin: AdminClient, victim: str) -> Answer:
    try:
        groups = admin.list_consumer_groups(request_timeout=_SECONDS).result(_SECONDS).valid
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")
    return _named([group.group_id for group in groups if group.group_id.startswith(f"{victim}.")])


def _named(names: Sequence[str]) -> Answer:
    return Answer("inside", f"{len(names)} of them, such as `{min(names)}`") if names else Answer("refused")


def _outcome(future: "Future[Any]") -> Answer:
    try:
        future.result(_SECONDS)
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")
    return INSIDE


def _said(error: KafkaError) -> Answer:
    """That something is not there is told only to those who may know."""
    if error.code() in _REFUSED:
        return Answer("refused", error.str())
    return Answer("inside" if error.code() in _ABSENT else "unknown", error.str())


def _worst(answers: Iterable[tuple[str, Answer]]) -> Answer:
    """One answer for all: what could be done somewhere, else what is not known, else a refusal."""
    by_met: dict[str, list[tuple[str, Answer]]] = {}
    for name, answer in answers:
        by_met.setdefault(answer.met, []).append((name, answer))
    if inside := by_met.get("inside"):
        return _named([name for name, _ in inside])
    if unknown := by_met.get("unknown"):
        name, answer = unknown[0]
        return Answer("unknown", f"`{name}`: {answer.said}")
    return Answer("refused")


def _reads(url: str, principal: str, topics: Sequence[str]) -> Answer:
    """Subscribe to them, in a group of one's own: a record, or the end of a partition, says that one may."""
    answers: dict[str, Answer] = {}
    with _consumer(url, f"{principal}.{_PROBE}", allow_auto_create_topics=False, **_AT_ONCE) as consumer:
        consumer.subscribe(list(topics))
        deadline = time.monotonic() + _SECONDS
        while len(answers) < len(topics) and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            may = error is None or error.code() == KafkaError._PARTITION_EOF
            answer = INSIDE if may or error is None else _said(error)
            if answer.met != "unknown":
                answers[message.topic() or ""] = answer
    silent = Answer("unknown", "neither a record nor a refusal came in time")
    return _worst((topic, answers.get(topic, silent)) for topic in topics)


def _writes(kafka: KafkaUrl, principal: str, topics: Iterable[str]) -> Answer:
    """One record to each, in transactions of one's own that are aborted: no reader of committed records sees it."""
    producer = Producer(
        kafka.config(transactional_id=f"{principal}.{_PROBE}", message_timeout_ms=int(_SECONDS * 1000), **_AT_ONCE),
        logger=_SILENT,
    )
    answers: dict[str, Answer] = {}
    try:
        producer.init_transactions(_SECONDS)
        for topic in topics:
            answers[topic] = _writes_one(producer, topic)
    except KafkaException as error:
        return Answer("unknown", error.args[0].str())
    finally:
        producer.purge()
    return _worst(answers.items())


def _writes_one(producer: Producer, topic: str) -> Answer:
    told: list[Answer] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        told.append(INSIDE if error is None else _said(error))

    producer.begin_transaction()
    try:
        producer.produce(topic, b"probe", b"probe", on_delivery=delivered)
        producer.flush(_SECONDS)
    except KafkaException as error:
        told.append(_said(error.args[0]))
    producer.abort_transaction(_SECONDS)
    return told[0] if told else Answer("unknown", "the broker did not say in time")


def _joins(admin: AdminClient, group: str, topic: str) -> Answer:
    """Commit an offset, for which one needs what joining needs, of a topic that is not there: nothing is committed."""
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    try:
        told = admin.alter_consumer_group_offsets([wanted], request_timeout=_SECONDS)[group].result(_SECONDS)
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")
    errors = [part.error for part in told.topic_partitions if part.error is not None]
    return _said(errors[0]) if errors else INSIDE


def _transacts(kafka: KafkaUrl, name: str) -> Answer:
    producer = Producer(kafka.config(transactional_id=name), logger=_SILENT)
    try:
        producer.init_transactions(_SECONDS)
    except KafkaException as error:
        return _said(error.args[0])
    return INSIDE


@contextmanager
def _consumer(url: str, group: str, **more: Any) -> Iterator[Consumer]:
    """``group``: "" for a name that nobody is asked about, for nothing is committed or joined."""
    kafka = KafkaUrl.parse(url)
    consumer = Consumer(
        kafka.config(
            group_id=group or f"{kafka.user or 'nobody'}.{_PROBE}",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=10,
            **more,
        ),
        logger=_SILENT,
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _known(producer: Producer, topic: str) -> None:
    """Until the broker tells of a topic that was made just now."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if producer.list_topics(topic, timeout=_SECONDS).topics[topic].error is None:
            return
        time.sleep(0.05)


def _topic(version: str) -> str:
    return f"{version}.tailrace.canary"


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise classified(error.args[0], what) from error
    except TimeoutError as error:
        raise Transient(f"{what}: Kafka does not answer in time") from error
