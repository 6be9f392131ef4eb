"""Chunks cover a text without a gap, and none is longer than declared."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from changes.topology.model import ChunkDecl, EmbedDecl
from enrichers.embed.pieces import MOST_PIECES, pieces


def test_words_and_characters_are_counted_as_models_do() -> None:
    assert [*pieces("职位 data engineer", 3, 0)] == [(0, 7), (8, 16)]
    assert [*pieces("  one two, three  ", 16, 0)] == [(2, 16)]
    assert [*pieces(" \n ", 16, 0)] == []


def test_chunks_overlap() -> None:
    assert [*pieces("a b c d e f", 4, 2)] == [(0, 7), (4, 11)]
    assert [*pieces("a b c d", 4, 2)] == [(0, 7)], "what is already in the one before is no chunk of its own"


@given(st.text(max_size=300), st.integers(4, 40), st.integers(0, 2))
def test_chunks_hold_everything_in_order(text: str, tokens: int, overlap: int) -> None:
    found = [*pieces(text, tokens, overlap)]
    covered = "".join(text[begins:ends] for begins, ends in found)
    assert all(character in covered for character in text if character.isalnum())
    for (begins, ends), (later, last) in pairwise(found):
        assert begins < later
        assert ends < last
        assert not text[ends:later].strip(), "nothing but blanks lies between two chunks"


def test_the_rest_of_an_endless_text_is_not_read() -> None:
    assert len([*pieces("word " * 100_000, 16, 0)]) == MOST_PIECES


@pytest.mark.parametrize(
    "wrong",
    [
        {"chunk": {"tokens": 8}},
        {"chunk": {"tokens": 20, "overlap": 11}},
        {"chunk": {"tokens": 20}, "vectors": {"a": ["a"], "b": ["b"]}},
        {"model": "other"},
        {"dims": 12},
    ],
)
def test_what_cannot_be_served_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EmbedDecl.model_validate({"kind": "embed", "vectors": {"a": ["a"]}} | wrong)


def test_an_overlap_of_half_advances() -> None:
    assert ChunkDecl(tokens=20, overlap=10).tokens == 20
