"""A sweep and a stream that goes on: nothing is told by the one that the other has told."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from confluent_kafka import Producer
from test_streams_sweep import PLAN

from changes.canonical import Value
from streams.capture.sweep import Sweep, TopicEnds
from streams.kafka import KafkaUrl, TopicSpec, ensure_topics

TOPIC = "future.d.swept"
SECONDS = 30.0


class Running(Protocol):
    """The stack that the session shares."""

    endpoints: dict[str, dict[str, str]]


def row(number: int) -> bytes:
    return b'{"after":{"id":%d,"owner":"ann"}}' % number


def key(number: int) -> bytes:
    return b'{"id":%d}' % number


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_the_stream_wrote_meanwhile_is_waited_for_and_not_asked(stack: Running) -> None:
    kafka = KafkaUrl.parse(stack.endpoints["future"]["kafka"])
    ensure_topics(kafka, [TopicSpec(TOPIC, 1, {})])
    stream = Producer(kafka.config(transactional_id="future.tailrace.swept"))
    stream.init_transactions(SECONDS)
    stream.begin_transaction()
    for number in range(1, 5):
        stream.produce(TOPIC, row(number), key(number))
    stream.commit_transaction(SECONDS)
    ends = TopicEnds(kafka, "future")
    sweep = Sweep(kafka, "future", TOPIC, "swept", ends(TOPIC), ends)
    sweep.start()
    until(lambda: sweep.ready)

    def asked() -> list[tuple[Value, ...]]:
        """What is asked for while a transaction is open, which is committed only a moment later."""
        found: list[list[tuple[Value, ...]]] = []
        asking = threading.Thread(target=lambda: found.append(list(sweep.keys(PLAN))))
        asking.start()
        time.sleep(0.5)
        assert not found
        stream.commit_transaction(SECONDS)
        asking.join()
        return found[0]

    stream.begin_transaction()
    stream.produce(TOPIC, None, key(2))
    stream.produce(TOPIC, row(3), key(3))
    stream.flush(SECONDS)
    assert asked() == [(1,), (4,)]
    stream.begin_transaction()
    stream.produce(TOPIC, row(4), key(4))
    stream.flush(SECONDS)
    assert asked() == [(1,)], "the page is asked for once more, and is the same but for what was told"
    sweep.go_on()
    assert (list(sweep.keys(PLAN)), sweep.ended) == ([], True)
    sweep.close()


def test_a_sweep_is_given_up_while_its_topic_is_read(stack: Running) -> None:
    kafka, topic = KafkaUrl.parse(stack.endpoints["future"]["kafka"]), f"{TOPIC}.given_up"
    ensure_topics(kafka, [TopicSpec(topic, 1, {})])
    stream = Producer(kafka.config(transactional_id="future.tailrace.given_up"))
    stream.init_transactions(SECONDS)
    stream.begin_transaction()
    stream.produce(topic, row(1), key(1))
    stream.commit_transaction(SECONDS)
    ends = TopicEnds(kafka, "future")
    sweep = Sweep(kafka, "future", topic, "swept", ends(topic), ends)
    sweep.start()
    until(lambda: sweep.ready)
    stream.begin_transaction()
    stream.produce(topic, row(2), key(2))
    stream.flush(SECONDS)
    found: list[list[tuple[Value, ...]]] = []
    asking = threading.Thread(target=lambda: found.append(list(sweep.keys(PLAN))))
    asking.start()
    time.sleep(0.2)
    sweep.close()
    asking.join(SECONDS)
    assert not asking.is_alive()
    assert list(sweep.keys(PLAN)) == []
    stream.abort_transaction(SECONDS)
