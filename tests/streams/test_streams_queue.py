"""The read-ahead queue: bounded by bytes, and nothing is lost or hidden when its source ends."""

import threading
from collections.abc import Iterator

import pytest

from changes.errors import Transient
from streams.capture.batch import PlainBatch, Read
from streams.capture.queue import BatchQueue

LONG = 5.0


def read(name: str, size: int) -> Read:
    return Read(PlainBatch(gtid=name, size=size))


def test_batches_come_out_in_the_order_they_went_in() -> None:
    queue = BatchQueue(100)
    reads = [read(name, 1) for name in "abcde"]
    assert all(queue.put(item) for item in reads)
    assert [queue.get(0) for _ in range(6)] == [*reads, None]


def test_a_full_queue_makes_its_source_wait_until_there_is_room() -> None:
    queue = BatchQueue(10)
    queue.put(read("x", 6))
    done = threading.Event()

    def put() -> None:
        queue.put(read("y", 5))
        done.set()

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    assert not done.wait(0.05)
    assert queue.get(0) == read("x", 6)
    assert done.wait(LONG)
    assert queue.get(0) == read("y", 5)
    thread.join(LONG)


def test_the_bound_may_be_reached_exactly() -> None:
    queue = BatchQueue(10)
    assert queue.put(read("x", 6))
    assert queue.put(read("y", 4))


def test_a_batch_larger_than_the_bound_passes_alone() -> None:
    queue = BatchQueue(10)
    assert queue.put(read("x", 50))
    assert queue.get(0) == read("x", 50)


def test_closing_ends_a_source_that_waits() -> None:
    queue = BatchQueue(10)
    queue.put(read("x", 10))
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(queue.put(read("y", 1))), daemon=True)
    thread.start()
    queue.close()
    thread.join(LONG)
    assert answers == [False]


def test_a_closed_queue_takes_nothing() -> None:
    queue = BatchQueue(10)
    queue.close()
    assert not queue.put(read("x", 1))


def test_a_failure_is_raised_behind_everything_that_came_before_it() -> None:
    queue = BatchQueue(10)
    queue.put(read("x", 1))
    queue.fail(Transient("gone"))
    assert queue.get(0) == read("x", 1)
    for _ in range(2):
        with pytest.raises(Transient, match="gone"):
            queue.get(LONG)


def test_a_failure_wakes_whoever_waits() -> None:
    queue = BatchQueue(10)
    thread = threading.Timer(0.01, queue.fail, [Transient("gone")])
    thread.start()
    with pytest.raises(Transient, match="gone"):
        queue.get(LONG)
    thread.join(LONG)


def test_what_a_source_raises_reaches_the_reader() -> None:
    def reads() -> Iterator[Read]:
        yield read("a", 1)
        raise Transient("the connection broke")

    queue = BatchQueue(10)
    queue.fill(reads()).join(LONG)
    assert queue.get(0) == read("a", 1)
    with pytest.raises(Transient, match="the connection broke"):
        queue.get(0)
