"""Language models in declared order: each asked within its rate and the budget, tried again, left alone when it fails.

What is logged of a call: the endpoint's name, the outcome, tokens, cost, seconds. Never the prompt, the answer, the
secret or an error's own text, which may quote them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from enrichers.llm import money
from enrichers.llm.breaker import Breaker
from enrichers.llm.bucket import Bucket
from enrichers.llm.budget import Budget
from enrichers.llm.call import Answer, Failed, call
from enrichers.llm.prompt import Prompt
from enrichers.llm.retry import backoff
from enrichers.llm.world import World
from enrichers.settings import Endpoint

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Seconds, and counts. ``longest_wait``: an endpoint that asks for more is passed over for as long instead."""

    call: float = 60.0
    connect: float = 5.0
    attempts: int = 3
    longest_wait: float = 20.0
    failures: int = 5
    cooldown: float = 30.0
    misconfigured: float = 300.0


@dataclass(frozen=True)
class Completion(Generic[T]):
    """``value`` is ``None`` where no endpoint gave a usable answer. Tokens (in millionths: cost) of all calls made,
    those in vain included; ``endpoint`` is the one that answered."""

    value: T | None
    endpoint: Endpoint | None
    tokens: int
    cost: int
    calls: int


@dataclass
class _Line:
    endpoint: Endpoint
    breaker: Breaker
    bucket: Bucket


@dataclass
class _Bill:
    tokens: int = 0
    cost: int = 0
    calls: int = 0


class Client:
    """Safe for concurrent `complete`s. ``http`` is for tests; whoever gives it closes it."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        budget: Budget,
        *,
        world: World | None = None,
        limits: Limits | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._world = world or World()
        self._budget = budget
        self._lines = [
            _Line(
                endpoint,
                Breaker(self._limits.failures, self._limits.cooldown),
                Bucket(endpoint.requests_per_minute / 60, max(1.0, endpoint.requests_per_minute / 60)),
            )
            for endpoint in endpoints
        ]
        self._http = http
        self._owned: httpx.AsyncClient | None = None

    async def complete(self, prompt: Prompt, accept: Callable[[str], T]) -> Completion[T]:
        """The first answer that ``accept`` takes; it raises `ValueError` for one that is of no use.

        Raises `Transient` where the budget's ledger is away, and nothing else.
        """
        bill = _Bill()
        for line in self._lines:
            for attempt in range(self._limits.attempts):
                answer, pause = await self._attempt(line, prompt, bill, attempt)
                if answer is not None:
                    try:
                        value = accept(answer.text)
                    except ValueError:
                        log.warning("`%s` gave an answer that cannot be used", line.endpoint.name)
                        break
                    return Completion(value, line.endpoint, bill.tokens, bill.cost, bill.calls)
                if pause is None or attempt == self._limits.attempts - 1:
                    break
                await self._world.sleep(pause)
        return Completion(None, None, bill.tokens, bill.cost, bill.calls)

    async def _attempt(
        self, line: _Line, prompt: Prompt, bill: _Bill, attempt: int
    ) -> tuple[Answer | None, float | None]:
        """One call: an answer; or the seconds after which to try this endpoint again, ``None`` for not now."""
        world, endpoint = self._world, line.endpoint
        if not line.breaker.allows(world.monotonic()):
            return None, None
        reservation = await self._budget.reserve(money.most(endpoint, prompt))
        if reservation is None:
            return None, None
        if wait := line.bucket.take(world.monotonic()):
            await world.sleep(wait)
        started = world.monotonic()
        answer: Answer | None = None
        failed: Failed | None = None
        try:
            answer = await call(self._client(), endpoint, prompt, seconds=self._limits.call, now=world.now())
        except Failed as error:
            failed = error
        tokens = (0, 0) if answer is None or answer.tokens is None else answer.tokens
        if answer is not None and answer.tokens is not None:
            cost = money.cost(endpoint, *tokens)
        else:  # what is not known is taken for the most that it can be
            cost = reservation.amount if failed is None or failed.billed else 0
        await self._budget.settle(reservation, cost)
        bill.tokens += sum(tokens)
        bill.cost += cost
        bill.calls += 1
        ended = world.monotonic()
        log.info(
            "`%s`: %s, %d tokens in, %d out, cost %f, %.3f s",
            endpoint.name,
            "answered" if failed is None else failed.outcome,
            *tokens,
            money.shown(cost),
            ended - started,
        )
        if failed is None:
            line.breaker.succeeded()
            return answer, None
        return None, self._pause(line, failed, attempt)

    def _pause(self, line: _Line, failed: Failed, attempt: int) -> float | None:
        now = self._world.monotonic()
        if failed.blame == "set-up":
            log.error(
                "`%s` refuses us (%s): check its URL, model and secret; it is left alone for %d s",
                line.endpoint.name,
                failed.outcome,
                self._limits.misconfigured,
            )
            line.breaker.open(now, self._limits.misconfigured)
        elif failed.blame == "health":
            line.breaker.failed(now)
        if not failed.again:
            return None
        pause = max(failed.after or 0.0, backoff(attempt, self._world.random()))
        if pause > self._limits.longest_wait:
            line.breaker.open(now, pause)
            return None
        return pause

    def _client(self) -> httpx.AsyncClient:
        if self._http is not None:
            return self._http
        if self._owned is None:
            self._owned = httpx.AsyncClient(timeout=httpx.Timeout(self._limits.call, connect=self._limits.connect))
        return self._owned

    async def close(self) -> None:
        owned, self._owned = self._owned, None
        if owned is not None:
            await owned.aclose()
        await self._budget.close()
