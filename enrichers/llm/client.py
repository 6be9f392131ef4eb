"""Language models in declared order: each asked within its rate and the budget, tried again, left alone when it fails.

What is logged of a call: the endpoint's name, the outcome, tokens, cost, seconds. Never the prompt, the answer, the
secret or an error's own text, which may quote them.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

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


class Told(Protocol):
    """An answer. ``tokens`` is (in, out) as the endpoint counts them, ``None`` where it does not say."""

    @property
    def tokens(self) -> tuple[int, int] | None: ...


A = TypeVar("A", bound=Told)
A_co = TypeVar("A_co", bound=Told, covariant=True)


class Question(Protocol[A_co]):
    """What endpoints are asked."""

    def most(self, endpoint: Endpoint) -> int:
        """The most that one call can cost, in millionths."""

    async def ask(self, http: httpx.AsyncClient, endpoint: Endpoint, *, seconds: float, now: float) -> A_co:
        """Ask once, for at most ``seconds``. Raises `Failed`."""


@dataclass(frozen=True)
class _Chat:
    prompt: Prompt

    def most(self, endpoint: Endpoint) -> int:
        return money.most(endpoint, self.prompt)

    async def ask(self, http: httpx.AsyncClient, endpoint: Endpoint, *, seconds: float, now: float) -> Answer:
        return await call(http, endpoint, self.prompt, seconds=seconds, now=now)


@dataclass(frozen=True)
class Limits:
    """Seconds, and counts. ``call`` bounds an endpoint's own ``timeout``. ``longest_wait``: an endpoint that asks for
    more is passed over for as long instead."""

    call: float = 600.0
    connect: float = 5.0
    attempts: int = 3
    longest_wait: float = 20.0
    failures: int = 5
    cooldown: float = 30.0
    misconfigured: float = 300.0


@dataclass(frozen=True)
class Completion(Generic[T]):
    """``value`` is ``None`` where no endpoint gave a usable answer. Tokens (in millionths: cost) of all calls made,
    those in vain included; ``endpoint`` is the one that answered. ``refused``: some endpoint has no answer to this
    question, whenever it is asked."""

    value: T | None
    endpoint: Endpoint | None
    tokens: int
    cost: int
    calls: int
    refused: bool = False


@dataclass
class _Line:
    endpoint: Endpoint
    breaker: Breaker
    bucket: Bucket
    trial: asyncio.Event | None = None


@dataclass
class _Bill:
    tokens: int = 0
    cost: int = 0
    calls: int = 0
    refused: bool = False


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

    def ready(self) -> bool:
        """Whether there is an endpoint that is not left alone now."""
        now = self._world.monotonic()
        return any(not line.breaker.is_open(now) for line in self._lines)

    async def complete(self, prompt: Prompt, accept: Callable[[str], T]) -> Completion[T]:
        """The first answer to a prompt that ``accept`` takes; it raises `ValueError` for one that is of no use.

        Raises `Transient` where the budget's ledger is away, and nothing else.
        """
        return await self.answer(_Chat(prompt), lambda answer: accept(answer.text))

    async def answer(self, question: Question[A], accept: Callable[[A], T]) -> Completion[T]:
        """Likewise for any question."""
        bill = _Bill()
        for line in self._lines:
            for attempt in range(self._limits.attempts):
                answer, pause = await self._attempt(line, question, bill, attempt)
                if answer is not None:
                    try:
                        value = accept(answer)
                    except ValueError:
                        log.warning("`%s` gave an answer that cannot be used", line.endpoint.name)
                        break
                    return Completion(value, line.endpoint, bill.tokens, bill.cost, bill.calls, bill.refused)
                if pause is None or attempt == self._limits.attempts - 1:
                    break
                await self._world.sleep(pause)
        return Completion(None, None, bill.tokens, bill.cost, bill.calls, bill.refused)

    async def _attempt(
        self, line: _Line, question: Question[A], bill: _Bill, attempt: int
    ) -> tuple[A | None, float | None]:
        """One call: an answer; or the seconds after which to try this endpoint again, ``None`` for not now.

        Where an endpoint that failed is tried with one call, others wait for how that ends.
        """
        while line.trial is not None:
            await line.trial.wait()
        if not line.breaker.allows(self._world.monotonic()):
            return None, None
        if line.breaker.is_closed:
            return await self._called(line, question, bill, attempt)
        line.trial = trial = asyncio.Event()
        try:
            return await self._called(line, question, bill, attempt)
        finally:
            trial.set()
            line.trial = None

    async def _called(
        self, line: _Line, question: Question[A], bill: _Bill, attempt: int
    ) -> tuple[A | None, float | None]:
        world, endpoint = self._world, line.endpoint
        reservation = await self._budget.reserve(question.most(endpoint))
        if reservation is None:
            return None, None
        if wait := line.bucket.take(world.monotonic()):
            await world.sleep(wait)
        started, seconds = world.monotonic(), min(self._limits.call, endpoint.timeout)
        answer: A | None = None
        failed: Failed | None = None
        try:
            answer = await question.ask(self._client(), endpoint, seconds=seconds, now=world.now())
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
        bill.refused |= failed.blame == "prompt"
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
