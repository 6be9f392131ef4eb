"""What the environment may say, and how it is told what is wrong without its secrets."""

from decimal import Decimal
from pathlib import Path

import pytest

from changes.errors import Misconfigured
from changes.topology.model import AnalysisDecl, EmbedDecl
from enrichers.registry import SPECS
from enrichers.settings import cache_folder, settings_from

FIRST = {"F_LLM_URL": "https://models.example.com/v1", "F_LLM_MODEL": "chat", "F_LLM_KEY": "sk-secret"}
SECOND = {"F_LLM_2_URL": "http://127.0.0.1:11434/v1", "F_LLM_2_MODEL": "small", "F_LLM_2_NAME": "local"}


def test_without_anything_there_are_rules() -> None:
    settings = settings_from("future", "F_", {"HOME": "/home/x"})
    assert (settings.endpoints, settings.budget, settings.postgres_url) == ((), None, None)
    assert settings.cache_folder == Path("/home/x/.cache/tailrace")


def test_endpoints_stand_in_their_order() -> None:
    paid = {"F_LLM_PRICE_IN": "1", "F_LLM_PRICE_OUT": "16", "F_LLM_BUDGET": "18.5"}
    settings = settings_from("future", "F_", {**SECOND, **FIRST, **paid, "D_LLM_3_URL": "x"})
    first, second = settings.endpoints
    assert (first.name, first.model, first.price_out, first.paid) == ("models.example.com", "chat", Decimal(16), True)
    assert (second.name, second.api_key, second.paid, second.requests_per_minute) == ("local", None, False, 60.0)
    assert settings.budget == Decimal("18.5")
    assert "sk-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"F_LLM_URL": ""}, "`F_LLM_URL` is missing"),
        ({"F_LLM_MODEL": ""}, "`F_LLM_MODEL` is missing"),
        ({"F_LLM_URL": "ftp://sk-secret"}, "`F_LLM_URL`: "),
        ({"F_LLM_URL": "https://user:sk-secret@host/v1"}, "`F_LLM_URL`: "),
        ({"F_LLM_PRICE_IN": "sk-secret"}, "`F_LLM_PRICE_IN`: "),
        ({"F_LLM_PRICE_IN": "-1"}, "`F_LLM_PRICE_IN`: "),
        ({"F_LLM_RPM": "0"}, "`F_LLM_RPM`: "),
        ({"F_LLM_PRICE_OUT": "2"}, "has a price: say in `F_LLM_BUDGET`"),
        ({"F_LLM_BUDGET": "sk-secret"}, "`F_LLM_BUDGET`: "),
        ({"F_LLM_BUDGET": "NaN"}, "`F_LLM_BUDGET`: "),
        ({"F_LLM_TIMEOUT": "sk-secret"}, "`F_LLM_TIMEOUT`: "),
        ({"F_LLM_RETRY": "0"}, "`F_LLM_RETRY`: "),
        ({"F_EMBED_URL": "http://x"}, "`F_EMBED_MODEL` is missing"),
        ({"F_LLM_3_URL": "http://x"}, "`F_LLM_3_URL` is given and `F_LLM_2_URL` is not"),
    ],
)
def test_what_is_wrong_is_named_and_never_quoted(changed: dict[str, str], message: str) -> None:
    with pytest.raises(Misconfigured, match=message.replace("(", r"\(")) as caught:
        settings_from("future", "F_", {**FIRST, **changed})
    assert "sk-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"TAILRACE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/tailrace"),
        ({"HOME": "/c"}, "/c/.cache/tailrace"),
    ],
)
def test_the_cache_folder(environ: dict[str, str], folder: str) -> None:
    assert cache_folder(environ) == Path(folder)


EMBED = EmbedDecl(kind="embed", vectors={"title": ["title"]})
OTHER = EmbedDecl(kind="embed", model="x", dims=8, vectors={"t": ["t"]})
ANALYSIS = AnalysisDecl(kind="job_analysis", read=["title"])


def test_the_registry_has_every_kind_that_can_be_declared() -> None:
    kinds = AnalysisDecl.model_json_schema()["properties"]["kind"]["enum"]
    assert set(SPECS) == {"embed", *kinds}
    assert all(name == spec.name for name, spec in SPECS.items())


@pytest.mark.parametrize(
    ("kind", "decl", "message"),
    [
        ("embed", ANALYSIS, "`job_analysis` is no declaration of vectors"),
        ("job_analysis", EMBED, "`embed` is no declaration of an analysis"),
        ("embed", OTHER, "the embedding model `x` is declared, and no endpoint is in the environment"),
        ("embed", EmbedDecl(kind="embed", vectors={"model": ["t"]}), "a vector cannot be called `model`"),
    ],
)
def test_a_declaration_that_cannot_be_served_is_refused(
    kind: str, decl: EmbedDecl | AnalysisDecl, message: str
) -> None:
    with pytest.raises(Misconfigured, match=message):
        SPECS[kind].build(decl, settings_from("future", "F_", {}))
