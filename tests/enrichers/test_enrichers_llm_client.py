"""The client against real servers that are slow, refuse, break off, answer nonsense or die."""

import asyncio
import json
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from enrichers_server import (
    SECRET,
    Handler,
    Waiting,
    dies,
    drips,
    endpoint,
    floods,
    half,
    hangs,
    refuses,
    reply,
    says,
    sends,
    server,
)
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Transient
from enrichers.llm import Client, Completion, Prompt, money
from enrichers.llm.budget import Budget, MemoryLedger
from enrichers.llm.client import Limits
from enrichers.settings import Endpoint

PROMPT = Prompt("be brief", "private words of somebody", 50)
QUICK = Limits(call=1.0, connect=5.0)
PRICES: dict[str, Any] = {"price_in": Decimal(1), "price_out": Decimal(16)}
MOST = money.most(endpoint("http://x", **PRICES), PROMPT)


def upper(text: str) -> str:
    if text == "unusable":
        raise ValueError(text)
    return text.upper()


class Asked:
    """A client over real HTTP in a world of its own."""

    def __init__(self, *endpoints: Endpoint, budget: int | None = None, limits: Limits = QUICK) -> None:
        self.waiting = Waiting()
        self.ledger = MemoryLedger()
        self.http = httpx.AsyncClient(trust_env=False)
        world = self.waiting.world()
        self.client = Client(
            endpoints, Budget("v", budget, self.ledger, world.now), world=world, limits=limits, http=self.http
        )

    async def complete(self) -> Completion[str]:
        return await self.client.complete(PROMPT, upper)

    async def __aenter__(self) -> "Asked":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.http.aclose()

    @property
    def spent(self) -> int:
        return sum(self.ledger.months.values())


async def test_an_answer_with_its_tokens_and_its_cost() -> None:
    with server(says("hello")) as (url, script):
        async with Asked(endpoint(f"{url}/", **PRICES), budget=10**9) as asked:
            done = await asked.complete()
        assert (done.value, done.tokens, done.cost, done.calls) == ("HELLO", 120, 100 + 16 * 20, 1)
        assert asked.spent == done.cost
        assert script.headers[0]["authorization"] == f"Bearer {SECRET}"
        assert script.requests == [
            {
                "path": "/v1/chat/completions",
                "model": "first-model",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "private words of somebody"},
                ],
                "max_tokens": 50,
                "temperature": 0,
                "stream": False,
            }
        ]


FAILURES: dict[str, tuple[Callable[[Handler], None], int, bool]] = {
    # what it does, how often it is asked, whether the call may have been billed
    "500": (refuses(500), 3, False),
    "503 with words": (refuses(503, retry_after="soon"), 3, False),
    "429": (refuses(429), 3, False),
    "429, for too long": (refuses(429, retry_after="600"), 1, False),
    "400": (refuses(400), 1, False),
    "401": (refuses(401), 1, False),
    "404": (refuses(404), 1, False),
    "a redirect": (refuses(302, location="http://127.0.0.1:1/"), 1, False),
    "half a body": (half, 3, True),
    "dies": (dies, 3, True),
    "hangs": (hangs, 3, True),
    "drips": (drips, 3, True),
    "floods": (floods, 1, True),
    "no JSON": (sends(b"<html>"), 3, True),
    "no UTF-8": (sends(b'{"choices": [{"message": {"content": "\xff"}}]}'), 3, True),
    "half of JSON": (sends(reply("x")[:-5]), 3, True),
    "JSON of something else": (sends(b'{"choices": 7}'), 3, True),
    "deep JSON": (sends(b"[" * 100_000), 3, True),
    "no choices": (sends(b'{"choices": []}'), 1, True),
    "no text": (sends(b'{"choices": [{"message": {"content": null}}]}'), 1, True),
    "nothing": (sends(b""), 3, True),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_an_endpoint_that_fails_is_passed_over(failure: str) -> None:
    act, calls, billed = FAILURES[failure]
    with server(act) as (bad, script), server(says("second")) as (good, _):
        async with Asked(endpoint(bad, **PRICES), endpoint(good, "second"), budget=10**9) as asked:
            done = await asked.complete()
        assert done.value == "SECOND"
        assert done.endpoint is not None
        assert done.endpoint.name == "second"
        assert len(script.requests) == calls
        assert done.calls == calls + 1
        assert asked.spent == done.cost == (MOST * calls if billed else 0)


@pytest.mark.parametrize("failure", FAILURES)
async def test_where_all_fail_there_is_no_value_and_no_error(failure: str) -> None:
    with server(FAILURES[failure][0]) as (url, _):
        async with Asked(endpoint(url)) as asked:
            done = await asked.complete()
    assert (done.value, done.endpoint) == (None, None)


async def test_an_endpoint_that_nobody_listens_at() -> None:
    with server(says("x")) as (url, _):
        pass
    async with Asked(endpoint(url, **PRICES), budget=10**9) as asked:
        done = await asked.complete()
    assert (done.value, done.calls, asked.spent) == (None, 3, 0)


async def test_without_endpoints_there_is_no_value() -> None:
    async with Asked() as asked:
        assert await asked.complete() == Completion(None, None, 0, 0, 0)


@pytest.mark.parametrize(("headers", "waited"), [({"retry_after": "7"}, 7.0), ({}, 0.0)])
async def test_it_waits_as_long_as_it_is_asked_to(headers: dict[str, str], waited: float) -> None:
    with server(refuses(429, **headers), says("at last")) as (url, script):
        async with Asked(endpoint(url, requests_per_minute=6000)) as asked:
            done = await asked.complete()
    assert done.value == "AT LAST"
    assert len(script.requests) == 2
    assert asked.waiting.slept == [waited]


async def test_an_endpoint_that_asks_for_too_much_time_gets_it() -> None:
    with server(refuses(503, retry_after="600"), says("back")) as (url, script):
        async with Asked(endpoint(url)) as asked:
            assert (await asked.complete()).value is None
            asked.waiting.time += 599
            assert (await asked.complete()).calls == 0
            asked.waiting.time += 1
            assert (await asked.complete()).value == "BACK"
    assert len(script.requests) == 2
    assert asked.waiting.slept == []


async def test_an_endpoint_that_refuses_us_is_left_alone_and_somebody_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server(refuses(401), says("mended")) as (url, script):
        async with Asked(endpoint(url)) as asked:
            await asked.complete()
            await asked.complete()
            assert [r.levelno for r in caplog.records if r.name.startswith("enrichers")] == [logging.ERROR]
            asked.waiting.time += 300
            assert (await asked.complete()).value == "MENDED"
    assert len(script.requests) == 2


async def test_an_endpoint_that_keeps_failing_is_tried_with_one_call() -> None:
    with server(refuses(500)) as (url, script):
        async with Asked(endpoint(url, requests_per_minute=60_000)) as asked:
            for _ in range(10):
                await asked.complete()
            assert len(script.requests) == 5
            asked.waiting.time += 30
            await asked.complete()
            await asked.complete()
            assert len(script.requests) == 6
            script.acts.append(says("well"))
            asked.waiting.time += 30
            assert (await asked.complete()).value == "WELL"
            assert (await asked.complete()).value == "WELL"


async def test_a_prompt_that_is_refused_says_nothing_of_the_endpoint() -> None:
    with server(*[refuses(400)] * 20, says("fine")) as (url, _):
        async with Asked(endpoint(url, requests_per_minute=60_000)) as asked:
            for _ in range(20):
                assert (await asked.complete()).value is None
            assert (await asked.complete()).value == "FINE"


async def test_an_answer_of_no_use_is_paid_and_the_next_endpoint_asked() -> None:
    with server(says("unusable")) as (bad, script), server(says("useful")) as (good, _):
        async with Asked(endpoint(bad, **PRICES), endpoint(good, "second"), budget=10**9) as asked:
            done = await asked.complete()
    assert (done.value, len(script.requests), done.tokens) == ("USEFUL", 1, 240)
    assert asked.spent == done.cost == 420


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": -1, "completion_tokens": 5}])
async def test_what_an_endpoint_does_not_count_is_taken_for_the_most(usage: dict[str, int]) -> None:
    with server(says("x", usage)) as (url, _):
        async with Asked(endpoint(url, **PRICES), budget=10**9) as asked:
            done = await asked.complete()
    assert (done.value, done.tokens, asked.spent) == ("X", 0, MOST)


async def test_the_rate_is_kept() -> None:
    with server(says("x")) as (url, _):
        async with Asked(endpoint(url, requests_per_minute=60)) as asked:
            for _ in range(4):
                await asked.complete()
    assert asked.waiting.slept == [1.0, 1.0, 1.0]


async def test_a_paid_endpoint_is_not_asked_beyond_the_budget_and_a_free_one_is() -> None:
    with server(says("paid")) as (paid, script), server(says("free")) as (free, _):
        async with Asked(endpoint(paid, **PRICES), endpoint(free, "second"), budget=MOST + 419) as asked:
            values = [(await asked.complete()).value for _ in range(4)]
    assert values == ["PAID", "FREE", "FREE", "FREE"]
    assert len(script.requests) == 1
    assert asked.spent == 420


@given(
    st.integers(0, 4 * MOST),
    st.lists(st.tuples(st.sampled_from(["ok", "500", "cut", "junk", "silent"]), st.integers(0, 100)), max_size=12),
)
async def test_whatever_endpoints_do_the_budget_holds(limit: int, plan: list[tuple[str, int]]) -> None:
    answers = iter(plan)
    billed = [0]

    def respond(request: httpx.Request) -> httpx.Response:
        act, share = next(answers, ("ok", 50))
        size = sum(len(message["content"]) for message in json.loads(request.content)["messages"])
        usage = {"prompt_tokens": size * share // 100, "completion_tokens": 50 * share // 100}
        if act != "500":
            billed[0] += usage["prompt_tokens"] + 16 * usage["completion_tokens"]
        if act == "cut":
            raise httpx.ReadError("cut", request=request)
        bodies = {"ok": reply("x", usage), "junk": b"{", "silent": reply("x", {})}
        return httpx.Response(500) if act == "500" else httpx.Response(200, content=bodies[act])

    waiting, ledger = Waiting(), MemoryLedger()
    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        world = waiting.world()
        budget = Budget("v", limit, ledger, world.now)
        client = Client([endpoint("http://x", **PRICES)], budget, world=world, http=http)
        done = await asyncio.gather(*(client.complete(PROMPT, upper) for _ in range(6)))
    assert billed[0] <= sum(ledger.months.values()) <= limit
    assert sum(one.cost for one in done) == sum(ledger.months.values())


async def test_what_is_logged_of_a_call_holds_neither_prompt_nor_secret(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), server(refuses(500), half, says("unusable")) as (url, _):
        async with Asked(endpoint(url, **PRICES), budget=10**9) as asked:
            await asked.complete()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("enrichers")]
    assert [text.partition(": ")[2].partition(",")[0] for text in ours[:3]] == [
        "status 500",
        "broken: RemoteProtocolError",
        "answered",
    ]
    assert "100 tokens in, 20 out, cost 0.000420" in ours[2]
    for text in caplog.messages:
        assert SECRET not in text
        assert "private words" not in text
        assert "unusable" not in text


async def test_a_ledger_that_is_away_is_told() -> None:
    class Away(MemoryLedger):
        async def reserve(self, month: str, amount: int, limit: int) -> int | None:
            raise Transient("away")

    client = Client([endpoint("http://x", **PRICES)], Budget("v", 100, Away(), lambda: 0.0))
    with pytest.raises(Transient, match="away"):
        await client.complete(PROMPT, upper)
    await client.close()
    await client.close()


@pytest.mark.parametrize(("then", "values"), [(says("hello"), {"HELLO"}), (refuses(500), {None})])
async def test_while_one_tries_an_endpoint_that_failed_others_wait_for_how_it_ends(
    then: Callable[[Handler], None], values: set[str | None]
) -> None:
    with server(refuses(500), then) as (url, script):
        async with Asked(endpoint(url), limits=Limits(failures=1, attempts=1, cooldown=10)) as asked:
            assert (await asked.complete()).value is None
            assert (await asked.complete()).calls == 0, "left alone"
            asked.waiting.time += 10
            done = await asyncio.gather(*(asked.complete() for _ in range(5)))
        assert {one.value for one in done} == values
        assert len(script.requests) == (6 if values == {"HELLO"} else 2)
