"""Kafka: every record of every topic of a version, its key, its value and its headers."""

import asyncio
from collections.abc import Callable

from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient

from audit.search.found import Found
from audit.search.needles import Needles
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic

Each = Callable[[Message], None]


async def find(url: str, needles: Needles, version: str) -> list[Found]:
    """One for each topic. Raises `Transient` or `Misconfigured`."""
    kafka = KafkaUrl.parse(url)
    topics = await asyncio.to_thread(topics_of, kafka, version)
    return [await asyncio.to_thread(topic, kafka, name, needles) for name in topics]


def topics_of(kafka: KafkaUrl, version: str) -> list[str]:
    """All topics of a version, ours and others that begin like them."""
    try:
        there = AdminClient(kafka.config()).list_topics(timeout=OPERATION_SECONDS).topics
    except KafkaException as error:
        raise classified(error.args[0], "listing topics") from error
    return sorted(name for name in there if name.startswith(f"{version}."))


def topic(kafka: KafkaUrl, name: str, needles: Needles, each: Each = lambda _: None) -> Found:
    """Records of transactions that were given up are looked at too: any consumer may ask for them. ``each`` sees every
    record. Blocking."""
    found = Found(name, needles)
    for message in read_topic(kafka, name, committed=False):
        each(message)
        found.look(place_of(message), *parts_of(message))
    return found.end()


def parts_of(message: Message) -> list[bytes]:
    """All that a record holds: key, value, and what stands in its headers."""
    headers = [value.encode() if isinstance(value, str) else value for value in dict(message.headers() or ()).values()]
    return [message.key() or b"", message.value() or b"", *(value for value in headers if value is not None)]


def place_of(message: Message) -> str:
    return f"{message.topic()}/{message.partition()}/{message.offset()}"
