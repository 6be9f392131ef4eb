"""Vectors: those of the published model, the same bits every time, and nothing but checked weights."""

import asyncio
import math
import os
import shutil
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changes.canonical import Value, canonical_row, row_hash
from changes.errors import Misconfigured
from changes.schema import Kind
from changes.topology.model import EmbedDecl
from enrichers.embed import chunks
from enrichers.embed.enricher import EmbedEnricher
from enrichers.embed.model import MiniLM
from enrichers.embed.weights import TOKENIZER, WEIGHTS, checked, locate
from enrichers.settings import Settings

GOLDEN = Path(__file__).parent / "golden" / "minilm.json"


class Published(msgspec.Struct):
    """What sentence-transformers 5 made of ``text`` with the same weights."""

    text: str
    vector: list[float]


PUBLISHED = msgspec.json.decode(GOLDEN.read_bytes(), type=list[Published])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the session: the graph is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def model(folder: Path) -> MiniLM:
    return MiniLM(locate(), folder / "models")


def enricher(folder: Path, threads: int = 2, **vectors: list[str]) -> EmbedEnricher:
    decl = EmbedDecl(kind="embed", vectors=vectors or {"title": ["title"], "overall": ["title", "body"]})
    return EmbedEnricher(decl, Settings(version="future", cache_folder=folder, threads=threads))


@pytest.fixture(scope="module")
async def embed(folder: Path, model: MiniLM) -> AsyncIterator[EmbedEnricher]:
    opened = enricher(folder)
    await opened.open()
    yield opened
    await opened.close()
    await opened.close()


def vector_of(model: MiniLM, text: str) -> list[float]:
    vector, _ = model.embed(text)
    assert vector is not None
    return vector


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda published: published.text[:12])
def test_a_vector_is_that_of_the_published_model(model: MiniLM, published: Published) -> None:
    vector = vector_of(model, published.text)
    assert max(abs(a - b) for a, b in zip(vector, published.vector, strict=True)) < 1e-6
    assert math.isclose(sum(number * number for number in vector), 1, abs_tol=1e-6)


texts = st.text(max_size=30) | st.sampled_from([published.text for published in PUBLISHED])
rows = st.lists(st.fixed_dictionaries({"title": st.none() | texts, "body": st.none() | texts}), min_size=1, max_size=5)


@settings(max_examples=15)
@given(rows, st.randoms())
async def test_the_same_row_has_the_same_bits_whatever_it_is_made_with(
    folder: Path, embed: EmbedEnricher, rows: list[dict[str, str | None]], random: object
) -> None:
    columns = embed.output_columns()
    inputs = [embed.read(row) for row in rows]
    alone = [(await embed.run([input]))[0].columns for input in inputs]
    shuffled = random.sample(inputs, len(inputs))  # type: ignore[attr-defined]
    together = dict(zip(shuffled, await embed.run(shuffled), strict=True))
    for input, columns_alone in zip(inputs, alone, strict=True):
        assert together[input].columns == columns_alone
        assert row_hash(columns, together[input].columns) == row_hash(columns, columns_alone)


async def test_another_process_s_model_makes_the_same_bits_on_any_number_of_threads(
    folder: Path, embed: EmbedEnricher
) -> None:
    inputs = [embed.read({"title": published.text, "body": "负责" * n}) for n, published in enumerate(PUBLISHED)]
    made = [output.columns for output in await embed.run(inputs)]
    for threads in (1, 4):
        other = enricher(folder, threads)
        first, second = await asyncio.gather(other.run(inputs), other.run(inputs[::-1]))
        assert [output.columns for output in first] == made
        assert [output.columns for output in second[::-1]] == made
        await other.close()


async def test_a_vector_for_each_name_and_none_where_there_is_no_text(embed: EmbedEnricher, model: MiniLM) -> None:
    rows: list[dict[str, Value]] = [
        {"id": 1, "title": "Data Engineer", "body": "SQL"},
        {"id": 2, "title": "  ", "body": "SQL"},
        {"id": 3, "title": None, "body": None},
        {"id": 4, "title": "\u200b", "body": ""},
    ]
    both, body, none, blank = [output.columns for output in await embed.run([embed.read(row) for row in rows])]
    assert (both["title"], both["overall"]) == (
        vector_of(model, "Data Engineer"),
        vector_of(model, "Data Engineer\nSQL"),
    )
    assert (body["title"], body["overall"]) == (None, vector_of(model, "SQL"))
    assert (none["title"], none["overall"], blank["title"], blank["overall"]) == (None, None, None, None)
    assert (both["provider"], both["model"], both["dims"]) == ("local", "all-MiniLM-L6-v2", 384)


async def test_the_columns_are_those_that_are_made(embed: EmbedEnricher) -> None:
    columns = embed.output_columns()
    (output,) = await embed.run([embed.read({"title": "x"})])
    assert {column.name for column in columns} == output.columns.keys()
    assert [(column.kind, column.type) for column in columns[:2]] == [(Kind.VECTOR, "vector(384)")] * 2
    assert len(canonical_row(columns[:1], output.columns)) > 4 * 384
    assert (output.degraded, output.tokens, output.cost) == (False, 2, 0.0)


async def test_no_inputs_no_outputs(embed: EmbedEnricher) -> None:
    assert await embed.run([]) == []


def test_a_key_tells_means_apart_and_inputs(folder: Path, embed: EmbedEnricher) -> None:
    row, other = {"title": "a", "body": "b"}, {"title": "a", "body": "c"}
    read = embed.read(row)
    assert embed.cache_key(read) == enricher(folder).cache_key(read)
    assert embed.cache_key(read) != embed.cache_key(embed.read(other))
    assert embed.cache_key(read) != enricher(folder, title=["title"], overall=["body", "title"]).cache_key(read)


def test_what_is_beyond_the_window_counts_by_its_length(model: MiniLM) -> None:
    first, rest = "log " * 254, "water " * 100
    whole = np.array(vector_of(model, first + rest))
    parts = 254 * np.array(vector_of(model, first)) + 100 * np.array(vector_of(model, rest))
    np.testing.assert_allclose(whole, parts / np.linalg.norm(parts), atol=1e-6)
    assert not np.allclose(whole, vector_of(model, first), atol=1e-3)


def test_a_text_without_end_is_read_to_a_limit(model: MiniLM) -> None:
    tokens = 254 * chunks.MOST_CHUNKS
    assert len(chunks.chunks(range(10 * tokens), 256, 1, 2)) == chunks.MOST_CHUNKS
    assert [len(piece) for piece in chunks.chunks(range(255), 256, 1, 2)] == [256, 3]
    assert chunks.chunks([], 256, 1, 2) == []
    vector, found = model.embed("a" * 10_000_000)
    assert vector is not None
    assert found == 1


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_numbers_become_the_same_single_precision_again(numbers: list[float]) -> None:
    written = chunks.numbers(np.array(numbers, np.float64))
    size = f"<{len(numbers)}f"
    assert struct.pack(size, *written) == struct.pack(size, *(number + 0.0 for number in numbers))


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    for name in (WEIGHTS, TOKENIZER):
        with pytest.raises(Misconfigured, match="cannot be read"):
            checked(tmp_path, name)
        data = bytearray((locate() / name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Misconfigured, match="is not the published file: its SHA-256 is"):
            checked(tmp_path, name)
        (tmp_path / name).unlink()


async def test_an_enricher_with_wrong_weights_does_not_open(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(locate() / TOKENIZER, model)
    (model / WEIGHTS).write_bytes(b"no weights")
    decl = EmbedDecl(kind="embed", vectors={"t": ["t"]})
    wrong = EmbedEnricher(decl, Settings(version="v", cache_folder=tmp_path), model=model)
    with pytest.raises(Misconfigured, match="not the published file"):
        await wrong.run([wrong.read({"t": "x"})])
    await wrong.close()


def test_a_graph_that_was_damaged_is_made_again(folder: Path, model: MiniLM) -> None:
    (graph,) = (folder / "models").glob("*.onnx")
    whole = graph.stat()
    with graph.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    assert vector_of(MiniLM(locate(), folder / "models"), "x") == vector_of(model, "x")
    assert graph.stat().st_ino != whole.st_ino
    assert graph.stat().st_size == whole.st_size
    assert sorted(path.suffix for path in (folder / "models").iterdir()) == [".onnx", ".sha256"]
    again = graph.stat()
    MiniLM(locate(), folder / "models")
    assert graph.stat().st_ino == again.st_ino


def test_a_cache_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Misconfigured, match="`TAILRACE_CACHE`"):
        MiniLM(locate(), tmp_path / "file" / "models")
    assert os.listdir(tmp_path) == ["file"]
