"""What one version's principal can do with another's topics, groups and transactions, on the Kafka that they share."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    TopicDescription,
)

from audit.isolation.kafka import ABSENT, PROBE, SECONDS, SILENT, consumer_of, translated
from audit.isolation.stores.answers import INSIDE, Answer
from streams.kafka import OPERATION_SECONDS, KafkaUrl

_WRITTEN = 3
"""Topics that one may not even describe, and tries to write to all the same: the broker allows no writing without."""
_AT_ONCE: dict[str, Any] = {"topic_metadata_propagation_max_ms": 100}
"""The library would give a topic that it does not see half a minute to appear."""
_REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


def belongings(url: str, version: str) -> tuple[list[str], list[str]]:
    """The topics and the groups whose names begin with the version's. Raises `Transient` or `Misconfigured`."""
    with translated("listing topics and groups"):
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
    transactional id is made up, no offset is committed, what is created is only asked about, and a rule that is
    taken away is not there.
    """
    kafka = KafkaUrl.parse(url)
    tried = tuple(dict.fromkeys([*topics, f"{victim}.{PROBE}"]))
    admin = AdminClient(kafka.config(), logger=SILENT)
    yield "list topics", _listed(admin, victim)
    yield "list groups", _groups_listed(admin, victim)
    asked = admin.describe_topics(
        TopicCollection(list(tried)), request_timeout=SECONDS, include_authorized_operations=True
    )
    described = {name: _outcome(future, _rights) for name, future in asked.items()}
    yield "describe topics", _worst(described.items())
    for group, future in admin.describe_consumer_groups(list(dict.fromkeys([*groups, f"{victim}.{PROBE}"]))).items():
        yield f"describe the group `{group}`", _outcome(future)
    yield "read topics", _reads(url, principal, tried)
    known = [topic for topic in tried if described[topic].met != "refused"]
    yield "write to topics", _writes(kafka, principal, dict.fromkeys([*known, *tried[-_WRITTEN:]]))
    yield "join a group", _joins(admin, f"{victim}.{PROBE}", f"{principal}.{PROBE}")
    yield "use a transactional id", _transacts(kafka, f"{victim}.{PROBE}")
    probe = NewTopic(f"{victim}.{PROBE}", 1, 1)
    created = admin.create_topics([probe], validate_only=True, request_timeout=SECONDS)
    yield "create topics", _worst((name, _outcome(future)) for name, future in created.items())
    altered = admin.delete_acls([_no_rule(victim)], request_timeout=SECONDS)
    yield "change the rules", _worst(("rules", _outcome(future)) for future in altered.values())


def _no_rule(victim: str) -> AclBindingFilter:
    """Matches a rule that nobody has made."""
    return AclBindingFilter(
        ResourceType.TOPIC,
        f"{victim}.{PROBE}",
        ResourcePatternType.LITERAL,
        f"User:{PROBE}",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )


def _listed(admin: AdminClient, victim: str) -> Answer:
    try:
        there = admin.list_topics(timeout=SECONDS).topics
    except KafkaException as error:
        return _said(error.args[0])
    return _named([name for name in there if name.startswith(f"{victim}.")])


def _groups_listed(admin: AdminClient, victim: str) -> Answer:
    try:
        groups = admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS).valid
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")
    return _named([group.group_id for group in groups if group.group_id.startswith(f"{victim}.")])


def _named(names: Sequence[str]) -> Answer:
    return Answer("inside", f"{len(names)} of them, such as `{min(names)}`") if names else Answer("refused")


def _outcome(future: "Future[Any]", told: Callable[[Any], str] = lambda _: "") -> Answer:
    """``told``: words for what was answered."""
    try:
        return Answer("inside", told(future.result(SECONDS)))
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")


def _rights(topic: TopicDescription) -> str:
    return ", ".join(sorted(right.name for right in topic.authorized_operations or ()))


def _said(error: KafkaError) -> Answer:
    """That something is not there is told only to those who may know."""
    if error.code() in _REFUSED:
        return Answer("refused", error.str())
    return Answer("inside" if error.code() in ABSENT else "unknown", error.str())


def _done(error: KafkaError) -> Answer:
    """As `_said`, of something that cannot be done with a topic that is not there, whoever tries."""
    return Answer("refused", error.str()) if error.code() in ABSENT else _said(error)


def _worst(answers: Iterable[tuple[str, Answer]]) -> Answer:
    """One answer for all: what could be done somewhere, else what is not known, else a refusal."""
    by_met: dict[str, list[tuple[str, Answer]]] = {}
    for name, answer in answers:
        by_met.setdefault(answer.met, []).append((name, answer))
    if inside := by_met.get("inside"):
        rights = sorted({answer.said for _, answer in inside} - {""})
        listed = _named([name for name, _ in inside])
        return Answer("inside", listed.said + (f" ({rights[-1]})" if rights else ""))
    if unknown := by_met.get("unknown"):
        name, answer = unknown[0]
        return Answer("unknown", f"`{name}`: {answer.said}")
    return Answer("refused")


def _reads(url: str, principal: str, topics: Sequence[str]) -> Answer:
    """Subscribe to them, in a group of one's own: a record, or the end of a partition, says that one may."""
    answers: dict[str, Answer] = {}
    with consumer_of(url, f"{principal}.{PROBE}", allow_auto_create_topics=False, **_AT_ONCE) as consumer:
        consumer.subscribe(list(topics))
        deadline = time.monotonic() + SECONDS
        while len(answers) < len(topics) and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            may = error is None or error.code() == KafkaError._PARTITION_EOF
            answer = INSIDE if may or error is None else _done(error)
            if answer.met != "unknown":
                answers[message.topic() or ""] = answer
    silent = Answer("unknown", "neither a record nor a refusal came in time")
    return _worst((topic, answers.get(topic, silent)) for topic in topics)


def _writes(kafka: KafkaUrl, principal: str, topics: Iterable[str]) -> Answer:
    """One record to each, in transactions of one's own that are aborted: no reader of committed records sees it."""
    answers: dict[str, Answer] = {}
    producer: Producer | None = None
    try:
        for topic in topics:
            if producer is None:
                producer = Producer(
                    kafka.config(
                        transactional_id=f"{principal}.{PROBE}", message_timeout_ms=int(SECONDS * 1000), **_AT_ONCE
                    ),
                    logger=SILENT,
                )
                producer.init_transactions(SECONDS)
            producer.begin_transaction()
            answers[topic] = _writes_one(producer, topic)
            try:
                producer.abort_transaction(SECONDS)
            except KafkaException:  # of a transaction that was refused its only partition the broker knows nothing
                producer = None
    except KafkaException as error:
        return Answer("unknown", error.args[0].str())
    return _worst(answers.items())


def _writes_one(producer: Producer, topic: str) -> Answer:
    told: list[KafkaError | None] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        told.append(error)

    try:
        producer.produce(topic, b"probe", b"probe", on_delivery=delivered)
        producer.flush(SECONDS)
        if told and told[0] is not None and told[0].code() == KafkaError._PURGE_QUEUE:
            producer.begin_transaction()  # which cannot be: of one that failed it is told why
    except KafkaException as error:
        return _done(error.args[0])
    if not told:
        return Answer("unknown", "the broker did not say in time")
    return INSIDE if told[0] is None else _done(told[0])


def _joins(admin: AdminClient, group: str, topic: str) -> Answer:
    """Commit an offset, for which one needs what joining needs, of a topic that is not there: nothing is committed."""
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    try:
        told = admin.alter_consumer_group_offsets([wanted], request_timeout=SECONDS)[group].result(SECONDS)
    except KafkaException as error:
        return _said(error.args[0])
    except TimeoutError:
        return Answer("unknown", "Kafka does not answer in time")
    errors = [part.error for part in told.topic_partitions if part.error is not None]
    return _said(errors[0]) if errors else INSIDE


def _transacts(kafka: KafkaUrl, name: str) -> Answer:
    producer = Producer(kafka.config(transactional_id=name), logger=SILENT)
    try:
        producer.init_transactions(SECONDS)
    except KafkaException as error:
        return _said(error.args[0])
    return INSIDE
