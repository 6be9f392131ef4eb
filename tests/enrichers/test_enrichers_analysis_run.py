"""Analysis enrichers: every input ends analysed or degraded, the same way every time, and is read no further."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from enrichers_server import Handler, Waiting, dies, endpoint, half, hangs, refuses, reply, says, sends, server

from changes.canonical import Value, row_hash
from changes.errors import Transient
from changes.schema import Kind
from changes.topology.model import AnalysisDecl
from enrichers.analysis.build import KINDS, build
from enrichers.analysis.enricher import AnalysisEnricher
from enrichers.llm import Client
from enrichers.llm.budget import Budget, MemoryLedger
from enrichers.llm.client import Limits
from enrichers.registry import SPECS
from enrichers.settings import Endpoint, Settings, settings_from

DECL = AnalysisDecl(kind="resume_analysis", read=["title", "content"], carry=["user_id"])
GOOD = json.dumps({"skills": ["Go"], "summary": "fine", "score": 90, "confidence_score": 0.9})
ROW: dict[str, Value] = {"id": 1, "user_id": 2, "title": "工程师", "content": "熟悉 Python。", "phone": "+86 555 0100"}


def enricher(
    *endpoints: Endpoint, http: httpx.AsyncClient | None = None, limits: Limits | None = None
) -> AnalysisEnricher:
    waiting = Waiting()
    world = waiting.world()
    settings = Settings(version="future", cache_folder="/nowhere", endpoints=endpoints)  # type: ignore[arg-type]
    client = Client(endpoints, Budget("v", None, MemoryLedger(), world.now), world=world, limits=limits, http=http)
    return AnalysisEnricher(KINDS[DECL.kind], DECL, settings, client, clock=world.monotonic)


async def test_what_a_model_made() -> None:
    with server(says(GOOD)) as (url, script):
        async with httpx.AsyncClient(trust_env=False) as http:
            made = enricher(endpoint(url), http=http)
            await made.open()
            (output,) = await made.run([made.read(ROW)])
            await made.close()
    assert output.columns == {
        "analysis": '{"skills":["Go"],"experience":[],"education":[],"summary":"fine","score":90,"suggestions":[]}',
        "confidence": 0.9,
        "provider": "first",
        "model": "first-model",
        "prompt_version": 1,
        "degraded": 0,
        "input_hash": made.read(ROW).hash,
    }
    assert (output.provider, output.model, output.degraded, output.tokens) == ("first", "first-model", False, 120)
    sent = json.dumps(script.requests, ensure_ascii=False)
    assert "熟悉 Python" in sent
    assert "555" not in sent


async def test_without_models_rules_make_the_same_every_time_and_say_so() -> None:
    one, other = (SPECS[DECL.kind].build(DECL, settings_from("future", "F_", {})) for _ in range(2))
    inputs = [one.read({"title": f"t{n}", "content": "SQL " * n}) for n in range(20)]
    made = [output.columns for output in await one.run(inputs)]
    assert made == [output.columns for output in (await other.run(inputs[::-1]))[::-1]]
    assert [row_hash(one.output_columns(), columns) for columns in made]
    assert {(columns["provider"], columns["model"], columns["degraded"]) for columns in made} == {
        ("rules", "resume_analysis-1", 1)
    }
    await one.close()
    await other.close()


async def test_a_row_without_text_has_no_analysis_and_nobody_is_asked() -> None:
    with server(says(GOOD)) as (url, script):
        made = enricher(endpoint(url))
        (output,) = await made.run([made.read({"title": " ", "content": None, "user_id": 1})])
        await made.close()
    assert script.requests == []
    assert (output.columns["analysis"], output.columns["confidence"], output.degraded) == (None, None, False)


CHAOS: list[Callable[[Handler], None]] = [
    says(GOOD),
    says("no JSON at all"),
    says(GOOD[:40]),
    sends(b"<html>"),
    sends(reply(GOOD)[:30]),
    refuses(500),
    refuses(429, retry_after="1"),
    half,
    dies,
    hangs,
]


@pytest.mark.parametrize("seed", range(3))
async def test_every_input_ends_analysed_or_degraded(seed: int) -> None:
    acts = random.Random(seed).choices(CHAOS, weights=[12] + [1] * 9, k=60)
    with server(*acts) as (url, _), server(*acts[::-1]) as (other, _):
        async with httpx.AsyncClient(trust_env=False) as http:
            made = enricher(endpoint(url), endpoint(other, "second"), http=http, limits=Limits(call=0.2, connect=0.2))
            inputs = [made.read({"title": f"title {n}", "content": "text"}) for n in range(40)]
            outputs = await made.run(inputs)
    assert [output.columns["input_hash"] for output in outputs] == [input.hash for input in inputs]
    assert {output.provider for output in outputs} <= {"first", "second", "rules"}
    for output in outputs:
        assert output.degraded == (output.provider == "rules") == bool(output.columns["degraded"])
        analysis: Any = output.columns["analysis"]
        assert set(json.loads(analysis)) == {"skills", "experience", "education", "summary", "score", "suggestions"}


async def test_a_text_without_end_holds_up_nobody() -> None:
    made = enricher()
    (output,) = await made.run([made.read({"title": "x", "content": "熟悉 Python。" * 500_000})])
    assert len(str(output.columns["analysis"])) < 10_000


async def test_no_more_calls_at_once_than_there_are_slots() -> None:
    at_once, most = [0], [0]

    async def respond(request: httpx.Request) -> httpx.Response:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        for _ in range(5):
            await asyncio.sleep(0)
        at_once[0] -= 1
        return httpx.Response(200, content=reply(GOOD))

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as http:
        made = enricher(endpoint("http://x", requests_per_minute=1e6), http=http)
        await made.run([made.read({"title": str(n)}) for n in range(30)])
    assert most == [4]


async def test_a_ledger_that_is_away_stops_the_run() -> None:
    settings = settings_from(
        "future",
        "F_",
        {"F_LLM_URL": "http://127.0.0.1:1", "F_LLM_MODEL": "m", "F_LLM_PRICE_IN": "1", "F_LLM_BUDGET": "1"}
        | {"F_POSTGRES_URL": "postgresql://u:p@127.0.0.1:1/d"},
    )
    made = build(DECL, settings)
    with pytest.raises(Transient):
        await made.run([made.read({"title": str(n)}) for n in range(10)])
    await made.close()


def test_a_key_tells_the_declared_model_and_the_input_and_not_the_ones_behind() -> None:
    first, second = endpoint("http://x"), endpoint("http://y", "second")
    read = enricher().read(ROW)
    keys = [enricher(*ends).cache_key(read) for ends in ((), (first,), (second,), (first, second))]
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3
    assert enricher().cache_key(enricher().read({"title": "x"})) != keys[0]
    assert keys[0].startswith("future:resume_analysis:")


def test_the_columns_are_typed() -> None:
    columns = {column.name: (column.kind, column.type) for column in enricher().output_columns()}
    assert columns["analysis"] == (Kind.JSON, "json")
    assert columns["confidence"] == (Kind.DOUBLE, "double")
    assert columns["degraded"] == (Kind.INTEGER, "tinyint")


async def test_what_came_back_degraded_may_be_bettered_once_an_endpoint_is_not_known_to_fail() -> None:
    assert not enricher().ready(), "rules alone stay what they are"
    with server(refuses(500), says(GOOD)) as (url, script):
        made = enricher(endpoint(url), limits=Limits(failures=1, attempts=1))
        assert made.ready()
        (output,) = await made.run([made.read(ROW)])
        assert output.degraded
        assert not made.ready()
        await made.close()
    assert len(script.requests) == 1


def test_what_it_would_take_is_guessed() -> None:
    url = "http://127.0.0.1:1/v1"
    asked = enricher(endpoint(url, price_in=1, price_out=2))
    guess = asked.estimate(asked.read(ROW))
    assert 100 < guess.tokens < 1000
    assert guess.tokens * 1e-6 < guess.cost < guess.tokens * 2e-6
    assert asked.estimate(asked.read({"title": None})).tokens == 0
    assert enricher().estimate(asked.read(ROW)).tokens == 0
