"""The client's parts by value: breaker, bucket, waiting, money."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.llm import money
from enrichers.llm.breaker import Breaker
from enrichers.llm.bucket import Bucket
from enrichers.llm.prompt import Prompt
from enrichers.llm.retry import backoff, retry_after
from enrichers.settings import Endpoint


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_call_through_at_a_time() -> None:
    breaker = Breaker(failures=2, cooldown=10)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(1)
    assert breaker.allows(1)
    breaker.failed(2)
    assert not breaker.allows(11.9)
    assert breaker.allows(12)
    assert not breaker.allows(12)
    assert breaker.allows(22)
    breaker.succeeded()
    assert breaker.allows(22)


def test_a_trial_that_fails_keeps_it_open_and_the_longer_of_two_times_counts() -> None:
    breaker = Breaker(failures=1, cooldown=10)
    breaker.open(0, 100)
    breaker.failed(5)
    assert not breaker.allows(99)
    assert breaker.allows(100)
    breaker.failed(101)
    assert not breaker.allows(110)
    assert breaker.allows(111)


@given(st.floats(0.1, 50), st.floats(1, 20), st.lists(st.floats(0, 5), max_size=60))
def test_no_more_calls_than_the_rate_and_the_burst_allow(rate: float, burst: float, pauses: list[float]) -> None:
    bucket, now, used = Bucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        used.append(now + bucket.take(now))
    for start in range(len(used)):
        for end in range(start, len(used)):
            assert end - start + 1 <= burst + rate * (used[end] - used[start]) + 1e-6


def test_after_a_pause_a_rate_is_what_it_was() -> None:
    bucket = Bucket(1, 2)
    assert [bucket.take(0) for _ in range(4)] == [0, 0, 1, 2]
    assert [bucket.take(100) for _ in range(3)] == [0, 0, 1]


@given(st.integers(0, 50), st.floats(0, 1))
def test_backing_off_is_bounded(attempt: int, random: float) -> None:
    assert 0 <= backoff(attempt, random) <= 8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("3", 3.0),
        (" 120 ", 120.0),
        ("9" * 400, 999999999.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:01:40", 90.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_what_retry_after_asks_for(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, 10.0) == seconds


def test_costs_are_exact_and_rounded_up() -> None:
    paid = Endpoint(name="p", base_url="http://x", model="m", price_in=Decimal("0.14"), price_out=Decimal("0.28"))
    assert money.cost(paid, 1_000_000, 1_000_000) == 420_000
    assert money.cost(paid, 1, 0) == 1
    assert money.amount(Decimal("0.0000019")) == 1


@given(st.text(), st.text(), st.integers(1, 5000))
def test_a_call_is_never_thought_cheaper_than_a_token_for_each_byte(system: str, user: str, most: int) -> None:
    paid = Endpoint(name="p", base_url="http://x", model="m", price_in=Decimal(2), price_out=Decimal(3))
    size = len((system + user).encode("utf-8", "replace"))
    assert money.most(paid, Prompt(system, user, most)) > 2 * size + 3 * most
