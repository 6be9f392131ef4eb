"""Both producers write the same records into the same partitions, and tell the same ends."""

import time
from typing import Protocol

import pytest
from streams_events import COLLATIONS
from streams_readers import NATIVE, World, packets, topology
from test_streams_native import STREAM

from changes.envelope import Headers, headers_from
from streams.capture.engine import native_module
from streams.capture.outlet import ConfluentOutlet, NativeOutlet, Outlet, loaded_librdkafka, outlet_of
from streams.kafka import KafkaUrl, TopicSpec, ensure_topics, read_topic

pytestmark = NATIVE

SECONDS = 30.0


class Running(Protocol):
    """The stack that the session shares."""

    admin: dict[str, dict[str, str]]


def written(kafka: KafkaUrl, outlet: Outlet, native: bool) -> dict[tuple[str, int], int]:
    """The captured stream, and one record beside it, in one transaction; the ends that the outlet told."""
    world = World(topology("kinds", "everything"), COLLATIONS)
    layouts = world.layouts()
    reader = world.readers(layouts)[native]
    outlet.init(SECONDS)
    outlet.begin()
    for read in reader.read(iter([memoryview(packets(STREAM))])):
        outlet.send(read.batch, layouts, frozenset({1}))
    outlet.produce("future.kinds.everything", b"beside", None, Headers(7, 8, "0" * 16).to_kafka())
    assert outlet.flush(SECONDS)
    ends = outlet.ends()
    outlet.commit(SECONDS)
    outlet.close()
    return ends


@pytest.fixture(scope="module")
def kafka(stack: Running) -> KafkaUrl:
    url = KafkaUrl.parse(stack.admin["future"]["kafka"])
    ensure_topics(url, [TopicSpec("future.kinds.everything", 4, {})])
    return url


def settings(kafka: KafkaUrl, name: str) -> dict[str, object]:
    return kafka.config(
        transactional_id=f"both.{name}", partitioner="murmur2_random", compression_type="lz4", linger_ms=20
    )


def told(kafka: KafkaUrl, count: int) -> list[tuple[int | None, object, object, Headers]]:
    """The topic's records, once there are ``count``: what is committed is seen a moment later, when the coordinator has
    written its markers into each partition."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = [
            (message.partition(), message.key(), message.value(), headers_from(message.headers()))
            for message in read_topic(kafka, "future.kinds.everything")
        ]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_both_write_the_same_records_into_the_same_partitions(kafka: KafkaUrl) -> None:
    module, library = native_module({"TAILRACE_ENGINE": "native"}), loaded_librdkafka()
    assert module is not None
    assert library is not None
    first_ends = written(kafka, ConfluentOutlet(settings(kafka, "plain")), native=False)
    first = told(kafka, 10)  # ten of the stream but the one left out, and the one beside
    second_ends = written(kafka, NativeOutlet(module, library, settings(kafka, "native")), native=True)
    both = told(kafka, 20)
    assert (len(first), len(both)) == (10, 20)
    by_partition = {number: [row for row in both if row[0] == number] for number in range(4)}
    for number, rows in by_partition.items():
        half = len(rows) // 2
        assert rows[:half] == [row for row in first if row[0] == number]
        assert rows[half:] == rows[:half]
    assert first_ends.keys() == second_ends.keys()
    assert all(second_ends[at] > end for at, end in first_ends.items())


def test_without_the_module_confluent_kafka_writes(kafka: KafkaUrl) -> None:
    outlet = outlet_of(None, settings(kafka, "other"))
    assert isinstance(outlet, ConfluentOutlet)
    outlet.close()
