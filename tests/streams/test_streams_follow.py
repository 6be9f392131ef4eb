"""A topic that is followed, on a real Kafka."""

import time
from contextlib import closing
from typing import Protocol

import pytest
from confluent_kafka import Producer

from streams.follow import Follower
from streams.kafka import KafkaUrl, TopicSpec, ensure_topics, read_topic

SECONDS = 30


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


class Topic:
    """One of three partitions, written in transactions, whose marks no reader is given."""

    def __init__(self, kafka: KafkaUrl, name: str) -> None:
        self.kafka, self.name = kafka, name
        ensure_topics(kafka, [TopicSpec(name, 3, {})])
        self._producer = Producer(kafka.config(transactional_id=name))
        self._producer.init_transactions()
        self._written = 0

    def write(self, count: int) -> set[int]:
        self._producer.begin_transaction()
        told = set(range(self._written, self._written + count))
        for number in told:
            self._producer.produce(self.name, str(number).encode(), partition=number % 3)
        self._producer.commit_transaction()
        self._written += count
        # what is committed is seen a moment later: the coordinator writes its marks into each partition by itself
        deadline = time.monotonic() + SECONDS
        while sum(1 for _ in read_topic(self.kafka, self.name)) < self._written and time.monotonic() < deadline:
            time.sleep(0.05)
        return told

    def follower(self) -> Follower:
        return Follower(self.kafka, "follow", self.name)


@pytest.fixture
def topic(stack: Running, request: pytest.FixtureRequest) -> Topic:
    return Topic(KafkaUrl.parse(stack.admin["future"]["kafka"]), request.node.name)


def drained(follower: Follower) -> list[int]:
    return [int(message.value() or b"") for message in follower.drain()]


def test_each_drain_goes_on_where_the_last_one_ended(topic: Topic) -> None:
    first = topic.write(2500)
    with closing(topic.follower()) as follower:
        follower.start({})
        found = drained(follower)
        assert (len(found), set(found)) == (2500, first)
        assert drained(follower) == []
        second = topic.write(7)
        assert set(drained(follower)) == second
        assert not follower._consumer.assignment()  # nothing is asked of Kafka until the next one


def test_a_drain_that_is_given_up_loses_nothing(topic: Topic) -> None:
    told = topic.write(100)
    with closing(topic.follower()) as follower:
        follower.start({})
        drain = follower.drain()
        begun = {int(next(drain).value() or b"") for _ in range(5)}
        drain.close()
        rest = drained(follower)
        assert (len(rest), begun | set(rest)) == (95, told)


def test_one_that_is_closed_in_the_middle_ends_quietly(topic: Topic) -> None:
    topic.write(10)
    follower = topic.follower()
    follower.start({})
    drain = follower.drain()
    next(drain)
    follower.close()
    drain.close()
