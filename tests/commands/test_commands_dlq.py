"""What `tailrace dlq retry` asks capture for."""

from typing import Any

from changes.progress import Asked
from changes.topology import load
from sinks.registry import SPECS
from streams.deliver.letters import Letter
from tailrace.letters import asked_for

TOPICS = """
versions:
  future: {database: shop, env: FUTURE_}
tables:
  - table: notes
    key: [id]
    user: user_id
    enrich:
      embedding: {kind: embed, vectors: {text: [text]}, carry: [user_id], chunk: {tokens: 64}}
    sinks:
      - {sink: sqlite, tier: local}
      - {sink: postgres, tier: realtime, of: embedding, place: note_vectors}
"""
TOPOLOGY = load(TOPICS, "topics.yaml", {name: spec.check for name, spec in SPECS.items()})
ROWS, VECTORS = "future.shop.notes", "future.enriched.notes.embedding"


def letter(topic: str, number: int, row: dict[str, Any], **key: Any) -> Letter:
    return Letter(f"{topic}/0/{number}", topic, "sqlite", "notes", key, 7, 0, "", False, "why", number, 1, row=row)


def test_rows_are_asked_for_by_their_keys_with_what_places_them_and_each_once() -> None:
    letters = [
        letter(ROWS, 1, {"id": 5, "user_id": 3, "text": "never told"}, id=5),
        letter(ROWS, 2, {"id": 5, "user_id": 4, "text": "never told"}, id=5),
        letter(ROWS, 3, {}, id=6),
    ]
    assert asked_for(TOPOLOGY, "future", letters) == (
        {("notes", ""): [Asked([5], {"user_id": 4}), Asked([6])]},
        [],
    )


def test_what_is_made_of_a_row_is_asked_of_its_enricher_up_to_the_highest_chunk() -> None:
    letters = [letter(VECTORS, number, {}, id=5, chunk=chunk) for number, chunk in ((1, 0), (2, 3), (3, 1))]
    assert asked_for(TOPOLOGY, "future", letters) == ({("notes", "embedding"): [Asked([5], chunk=3)]}, [])


def test_a_letter_of_no_declared_table_or_without_a_key_is_left_out() -> None:
    letters = [letter("future.shop.gone", 1, {}, id=5), letter(ROWS, 2, {})]
    assert asked_for(TOPOLOGY, "future", letters) == ({}, letters)
