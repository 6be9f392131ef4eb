"""Vectors from an endpoint: of the declared model or none at all, and one bad text fails no other."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from enrichers_server import Handler, Waiting, dies, embeds, endpoint, half, refuses, sends, server

from changes.errors import Misconfigured, Transient
from changes.topology.model import EmbedDecl
from enrichers.embed.endpoint import MOST_TEXTS, PATIENCE, EndpointMaker
from enrichers.embed.enricher import EmbedEnricher
from enrichers.llm.budget import Budget, MemoryLedger
from enrichers.llm.client import Client
from enrichers.registry import SPECS
from enrichers.settings import Endpoint, Settings, settings_from

DIMS = 8


def made_by(url: str, waiting: Waiting, limit: int | None = None, **declared: Any) -> EmbedEnricher:
    one = endpoint(url, **declared)
    client = Client([one], Budget("v", limit, MemoryLedger(), lambda: waiting.time), world=waiting.world())
    maker = EndpointMaker(one, DIMS, client, clock=lambda: waiting.time)
    decl = EmbedDecl(kind="embed", model=one.model, dims=DIMS, vectors={"title": ["title"], "body": ["body"]})
    return EmbedEnricher(decl, Settings(version="v", cache_folder=Path("unused")), maker=maker)


async def columns_of(enricher: EmbedEnricher, *rows: dict[str, str | None]) -> list[dict[str, Any]]:
    try:
        return [output.columns for output in await enricher.run([enricher.read(row) for row in rows])]
    finally:
        await enricher.close()


async def test_each_text_gets_its_vector_of_length_one() -> None:
    with server(embeds(DIMS)) as (url, script):
        first, second = await columns_of(made_by(url, Waiting()), {"title": "ab", "body": "abcd"}, {"title": "ab"})
    assert first["title"] == second["title"]
    assert first["title"][:2] == pytest.approx([2 / math.sqrt(5), 1 / math.sqrt(5)])
    assert first["body"][0] == pytest.approx(4 / math.sqrt(17))
    assert second["body"] is None
    assert (first["provider"], first["model"], first["dims"], first["degraded"]) == ("first", "first-model", DIMS, 0)
    (request,) = script.requests
    assert (request["path"], request["model"], sorted(request["input"])) == (
        "/v1/embeddings",
        "first-model",
        ["ab", "abcd"],
    )


async def test_texts_go_in_batches() -> None:
    with server(embeds(DIMS)) as (url, script):
        rows = [{"title": "x" * number} for number in range(1, MOST_TEXTS + 2)]
        await columns_of(made_by(url, Waiting()), *rows)
    assert sorted(len(request["input"]) for request in script.requests) == [1, MOST_TEXTS]


BAD: dict[str, Callable[[Handler], None]] = {
    "500": refuses(500),
    "429": refuses(429),
    "dies": dies,
    "half": half,
    "no JSON": sends(b"no"),
    "none": sends(b'{"data": []}'),
    "other dimensions": embeds(DIMS + 1),
    "not a number": sends(b'{"data": [{"index": 0, "embedding": [0, 0, 0, 0, 0, 0, 0, 0]}]}'),
    "refused": refuses(401),
}


@pytest.mark.parametrize("name", BAD)
async def test_rows_wait_for_an_endpoint_that_fails_and_then_have_no_vector(name: str) -> None:
    waiting = Waiting()
    with server(BAD[name]) as (url, _):
        enricher = made_by(url, waiting)
        inputs = [enricher.read({"title": "ab"})]
        with pytest.raises(Transient):
            await enricher.run(inputs)
        waiting.time += PATIENCE
        (output,) = await enricher.run(inputs)
        await enricher.close()
    assert (output.degraded, output.columns["title"], output.columns["degraded"]) == (True, None, 1)


async def test_a_text_that_is_refused_fails_no_other() -> None:
    def act(handler: Handler) -> None:
        (refuses(400) if "bad" in handler.body["input"] else embeds(DIMS))(handler)

    with server(act) as (url, _):
        good, bad = await columns_of(made_by(url, Waiting()), {"title": "good"}, {"title": "bad"})
    assert (good["title"] is None, good["degraded"]) == (False, 0)
    assert (bad["title"], bad["degraded"]) == (None, 1)


async def test_what_the_budget_does_not_allow_is_not_asked() -> None:
    with server(embeds(DIMS)) as (url, script):
        enricher = made_by(url, Waiting(), 10, price_in=1_000_000)
        with pytest.raises(Transient):
            await enricher.run([enricher.read({"title": "abcdefgh"})])
        await enricher.close()
    assert script.requests == []


def test_a_model_needs_its_endpoint() -> None:
    decl = EmbedDecl(kind="embed", model="other", dims=DIMS, vectors={"title": ["title"]})
    environ = {"F_EMBED_URL": "http://127.0.0.1:1/v1", "F_EMBED_MODEL": "another", "HOME": "/nowhere"}
    for given in ({"HOME": "/nowhere"}, environ):
        with pytest.raises(Misconfigured, match="the embedding model `other` is declared"):
            SPECS["embed"].build(decl, settings_from("future", "F_", given))
    settings = settings_from("future", "F_", environ | {"F_EMBED_MODEL": "other"})
    assert isinstance(settings.embed, Endpoint)
    columns = SPECS["embed"].build(decl, settings).output_columns()
    assert [column.type for column in columns if column.name == "title"] == [f"vector({DIMS})"]


def test_a_price_for_embeddings_needs_a_budget_too() -> None:
    environ = {"F_EMBED_URL": "http://127.0.0.1:1/v1", "F_EMBED_MODEL": "m", "F_EMBED_PRICE_IN": "1"}
    with pytest.raises(Misconfigured, match="F_LLM_BUDGET"):
        settings_from("future", "F_", environ)
