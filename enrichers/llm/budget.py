"""A version's budget for a calendar month: reserved before a call, settled after it, never overspent.

What a call can cost at most is spent first and the rest given back afterwards, so that calls under way count, and so
does one whose process died in its middle. A provider that bills more than was agreed (it was told how many tokens it
may make) is entered in full, and what it took too much is missing afterwards.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from enrichers.llm.money import shown

log = logging.getLogger(__name__)

WARN_AT = 0.8


class Ledger(Protocol):
    """Where the spending of months is kept, in millionths. Raises `Transient` where that is away."""

    async def reserve(self, month: str, amount: int, limit: int) -> int | None:
        """Add ``amount`` if the month's total then is within ``limit``: the new total, or ``None`` and nothing is
        added. Atomic among all who share the ledger."""

    async def settle(self, month: str, difference: int) -> int:
        """Add ``difference``, which may be negative; the new total."""

    async def close(self) -> None:
        """Release everything; idempotent, never raises."""


class MemoryLedger:
    """A ledger that forgets with its process."""

    def __init__(self) -> None:
        self.months: dict[str, int] = {}

    async def reserve(self, month: str, amount: int, limit: int) -> int | None:
        total = self.months.get(month, 0) + amount
        if total > limit:
            return None
        self.months[month] = total
        return total

    async def settle(self, month: str, difference: int) -> int:
        self.months[month] = self.months.get(month, 0) + difference
        return self.months[month]

    async def close(self) -> None:
        pass


@dataclass(frozen=True)
class Reservation:
    month: str
    amount: int


class Budget:
    """``limit`` is for each month (UTC), in millionths; ``None``: only what is free may be asked for.

    ``now`` gives seconds since 1970.
    """

    def __init__(self, version: str, limit: int | None, ledger: Ledger, now: Callable[[], float]) -> None:
        self._version = version
        self._limit = limit
        self._ledger = ledger
        self._now = now
        self._said: set[tuple[str, str]] = set()

    async def reserve(self, amount: int) -> Reservation | None:
        """A reservation, or ``None`` where the month's budget has no room for it. Nothing is always to be had."""
        month = f"{datetime.fromtimestamp(self._now(), UTC):%Y-%m}"
        if amount == 0:
            return Reservation(month, 0)
        total = None if self._limit is None else await self._ledger.reserve(month, amount, self._limit)
        if total is None:
            self._say(month, "used up: endpoints with a price are not asked again in it")
            return None
        return Reservation(month, amount)

    async def settle(self, reservation: Reservation, cost: int) -> None:
        """The call came to ``cost``."""
        if reservation.amount == 0 and cost == 0:
            return
        total = await self._ledger.settle(reservation.month, cost - reservation.amount)
        if self._limit and total >= WARN_AT * self._limit:
            self._say(reservation.month, f"spent to {total / self._limit:.0%}: {shown(total)} of {shown(self._limit)}")

    async def close(self) -> None:
        await self._ledger.close()

    def _say(self, month: str, text: str) -> None:
        """Once a month for each thing there is to say."""
        what = (month, text.partition(":")[0].partition(" to ")[0])
        if what not in self._said:
            self._said.add(what)
            log.warning("the budget of `%s` for %s is %s", self._version, month, text)
