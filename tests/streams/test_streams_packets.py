"""The read-ahead queue: bounded by bytes, and nothing is lost or hidden when its source ends."""

import threading
from collections.abc import Iterator

import pytest

from changes.errors import Transient
from streams.capture.packets import PacketQueue

LONG = 5.0


def test_events_come_out_in_the_order_they_went_in() -> None:
    queue = PacketQueue(100)
    assert all(queue.put(b"%d" % number) for number in range(5))
    assert [queue.get(0) for _ in range(6)] == [b"0", b"1", b"2", b"3", b"4", None]


def test_a_full_queue_makes_its_source_wait_until_there_is_room() -> None:
    queue = PacketQueue(10)
    queue.put(b"x" * 6)
    done = threading.Event()

    def put() -> None:
        queue.put(b"y" * 5)
        done.set()

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    assert not done.wait(0.05)
    assert queue.get(0) == b"x" * 6
    assert done.wait(LONG)
    assert queue.get(0) == b"y" * 5
    thread.join(LONG)


def test_the_bound_may_be_reached_exactly() -> None:
    queue = PacketQueue(10)
    assert queue.put(b"x" * 6)
    assert queue.put(b"y" * 4)


def test_an_event_larger_than_the_bound_passes_alone() -> None:
    queue = PacketQueue(10)
    assert queue.put(b"x" * 50)
    assert queue.get(0) == b"x" * 50


def test_closing_ends_a_source_that_waits() -> None:
    queue = PacketQueue(10)
    queue.put(b"x" * 10)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(queue.put(b"y")), daemon=True)
    thread.start()
    queue.close()
    thread.join(LONG)
    assert answers == [False]


def test_a_closed_queue_takes_nothing() -> None:
    queue = PacketQueue(10)
    queue.close()
    assert not queue.put(b"x")


def test_a_failure_is_raised_behind_everything_that_came_before_it() -> None:
    queue = PacketQueue(10)
    queue.put(b"x")
    queue.fail(Transient("gone"))
    assert queue.get(0) == b"x"
    for _ in range(2):
        with pytest.raises(Transient, match="gone"):
            queue.get(LONG)


def test_a_failure_wakes_whoever_waits() -> None:
    queue = PacketQueue(10)
    thread = threading.Timer(0.01, queue.fail, [Transient("gone")])
    thread.start()
    with pytest.raises(Transient, match="gone"):
        queue.get(LONG)
    thread.join(LONG)


def test_what_a_source_raises_reaches_the_reader() -> None:
    def events() -> Iterator[bytes]:
        yield b"a"
        raise Transient("the connection broke")

    queue = PacketQueue(10)
    queue.fill(events()).join(LONG)
    assert queue.get(0) == b"a"
    with pytest.raises(Transient, match="the connection broke"):
        queue.get(0)
