"""The schedule by a clock that stands still, and the gate by threads that are waited for."""

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.example.pacing import Gate, Schedule


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_work_is_due_at_once_and_then_at_the_rate() -> None:
    clock = Clock()
    schedule = Schedule(50, clock)
    assert schedule.delay() == 0
    schedule.spend(10)
    assert schedule.delay() == pytest.approx(0.2)
    clock.now += 0.15
    assert schedule.delay() == pytest.approx(0.05)


def test_a_slow_piece_is_made_up_for_but_an_outage_is_not() -> None:
    clock = Clock()
    schedule = Schedule(10, clock, patience=1.0)
    clock.now += 0.5
    schedule.spend(1)
    assert schedule.delay() == 0
    clock.now += 60
    schedule.spend(10)
    assert schedule.delay() == 0
    schedule.spend(1)
    assert schedule.delay() == pytest.approx(0.1)


def test_nothing_is_owed_for_a_pause() -> None:
    clock = Clock()
    schedule = Schedule(10, clock)
    clock.now += 0.9
    schedule.restart()
    schedule.spend(1)
    assert schedule.delay() == pytest.approx(0.1)


@given(st.floats(0.5, 5000), st.lists(st.integers(0, 50), min_size=1))
def test_one_who_waits_as_told_keeps_the_rate(rate: float, work: list[int]) -> None:
    clock = Clock()
    schedule = Schedule(rate, clock)
    for units in work:
        schedule.spend(units)
        clock.now += schedule.delay()
    assert clock.now - 100.0 == pytest.approx(sum(work) / rate, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Schedule(rate, Clock())


def test_a_shut_gate_has_nobody_inside() -> None:
    gate = Gate()
    assert gate.enter()
    shut = threading.Thread(target=gate.shut)
    shut.start()
    assert shut.is_alive()
    gate.leave()
    shut.join(timeout=5)
    assert not shut.is_alive()


def test_a_gate_opens_again_and_closes_for_good() -> None:
    gate = Gate()
    gate.shut()
    entered: list[bool] = []
    waiting = threading.Thread(target=lambda: entered.append(gate.enter()))
    waiting.start()
    gate.open()
    waiting.join(timeout=5)
    assert entered == [True]
    gate.leave()
    gate.shut()
    gate.close()
    assert not gate.enter()
