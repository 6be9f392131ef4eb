"""A budget is never overspent, whoever shares its ledger; the ledgers are alike."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Misconfigured, Transient
from enrichers.llm.budget import Budget, Ledger, MemoryLedger, Reservation
from enrichers.llm.ledger import PostgresLedger

NOVEMBER, DECEMBER = 1_795_000_000.0, 1_797_000_000.0


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    stack: Any = request.getfixturevalue("stack")
    opened = PostgresLedger(stack.endpoints["future"]["postgres"], secrets.token_hex(8))
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_ledger_reserves_within_its_limit_and_settles(ledger: Ledger) -> None:
    assert await ledger.reserve("2026-11", 60, 100) == 60
    assert await ledger.reserve("2026-11", 41, 100) is None
    assert await ledger.reserve("2026-11", 40, 100) == 100
    assert await ledger.settle("2026-11", -30) == 70
    assert await ledger.reserve("2026-12", 101, 100) is None
    assert await ledger.reserve("2026-12", 100, 100) == 100
    assert await ledger.settle("2027-01", 5) == 5


async def test_many_at_once_do_not_pass_the_limit(ledger: Ledger) -> None:
    found = await asyncio.gather(*(ledger.reserve("2026-11", 7, 100) for _ in range(40)))
    assert sorted(total for total in found if total is not None) == [7 * n for n in range(1, 15)]


async def test_what_was_spent_outlives_the_process(stack: Any) -> None:
    url, version = stack.endpoints["future"]["postgres"], secrets.token_hex(8)
    for expected in (60, None):
        ledger = PostgresLedger(url, version)
        assert await ledger.reserve("2026-11", 60, 100) == expected
        await ledger.close()
        await ledger.close()


async def test_a_ledger_that_is_away_is_transient() -> None:
    with pytest.raises(Transient, match="PostgreSQL"):
        await PostgresLedger("postgresql://u:p@127.0.0.1:1/d", "v").reserve("2026-11", 1, 1)
    with pytest.raises(Misconfigured, match="looks like") as caught:
        await PostgresLedger("postgresql://u:secret@127.0.0.1:port/d", "v").reserve("2026-11", 1, 1)
    assert "secret" not in str(caught.value)


async def test_a_ledger_that_refuses_us_is_misconfigured(stack: Any) -> None:
    scheme, _, rest = stack.endpoints["future"]["postgres"].partition("://")
    url = f"{scheme}://nobody:wrong@{rest.rpartition('@')[2]}"
    with pytest.raises(Misconfigured, match="SQLSTATE 28"):
        await PostgresLedger(url, "v").settle("2026-11", 1)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 60), st.sampled_from([NOVEMBER, DECEMBER])),
        st.tuples(st.just("settle"), st.integers(0, 100), st.integers(0, 100)),
    ),
    max_size=60,
)


@given(st.integers(0, 200), steps)
async def test_calls_under_way_and_done_never_cost_more_than_the_budget(
    limit: int, plan: list[tuple[Any, ...]]
) -> None:
    time = [NOVEMBER]
    budget = Budget("future", limit, MemoryLedger(), lambda: time[0])
    open_: list[Reservation] = []
    spent: dict[str, int] = {}
    for step, number, more in plan:
        if step == "reserve":
            time[0] = more
            if (reservation := await budget.reserve(number)) is not None:
                open_.append(reservation)
        elif open_:
            reservation = open_.pop(number % len(open_))
            cost = more * reservation.amount // 100
            await budget.settle(reservation, cost)
            spent[reservation.month] = spent.get(reservation.month, 0) + cost
        for month in {reservation.month for reservation in open_} | spent.keys():
            assert sum(r.amount for r in open_ if r.month == month) + spent.get(month, 0) <= limit


async def test_it_warns_at_four_fifths_once_a_month_and_when_it_is_used_up(caplog: pytest.LogCaptureFixture) -> None:
    time = [NOVEMBER]
    budget = Budget("future", 100, MemoryLedger(), lambda: time[0])

    async def spend(amount: int) -> bool:
        reservation = await budget.reserve(amount)
        if reservation is not None:
            await budget.settle(reservation, amount)
        return reservation is not None

    with caplog.at_level(logging.WARNING):
        assert await spend(79)
        assert caplog.messages == []
        assert await spend(1)
        assert await spend(1)
        assert len(caplog.messages) == 1
        assert "80%" in caplog.messages[0]
        assert not await spend(20)
        assert not await spend(20)
        assert len(caplog.messages) == 2
        assert "used up" in caplog.messages[1]
        time[0] = DECEMBER
        assert await spend(90)
    assert len(caplog.messages) == 3


async def test_without_a_budget_only_what_is_free_is_to_be_had() -> None:
    budget = Budget("future", None, MemoryLedger(), lambda: NOVEMBER)
    assert await budget.reserve(0) is not None
    assert await budget.reserve(1) is None


async def test_a_provider_that_bills_more_is_entered_in_full() -> None:
    ledger = MemoryLedger()
    budget = Budget("future", 100, ledger, lambda: NOVEMBER)
    reservation = await budget.reserve(10)
    assert reservation is not None
    await budget.settle(reservation, 130)
    assert ledger.months == {"2026-11": 130}
    assert await budget.reserve(1) is None
