"""No place gets vectors of two models."""

from pathlib import Path

from changes.topology import Topology, load
from sinks.registry import SPECS
from streams.enrich.models import declared, refusals

TOPICS = """
versions: {{future: {{database: d, env: F_}}}}
tables:
  - table: jobs
    key: [id]
    enrich:
      embedding: {{kind: embed, vectors: {{title: [title]}}{more}}}
    sinks:
      - {{sink: postgres, tier: realtime, of: embedding, place: {place}}}
"""


def topology(more: str = "", place: str = "job_embeddings") -> Topology:
    checks = {name: spec.check for name, spec in SPECS.items()}
    return load(TOPICS.format(more=more, place=place), str(Path("topics.yaml")), checks)


def test_another_model_is_refused_where_vectors_are() -> None:
    before = dict(declared(topology(), "future"))
    assert before == {
        "future.enriched.jobs.embedding": "all-MiniLM-L6-v2, 384 numbers",
        "postgres job_embeddings": "all-MiniLM-L6-v2, 384 numbers",
    }
    assert [*refusals(before, before)] == []
    assert [*refusals(before, {})] == []
    other = dict(declared(topology(", model: other, dims: 384, generation: 2"), "future"))
    first, second = refusals(other, before)
    assert first.startswith(
        "`future.enriched.jobs.embedding` holds vectors of `all-MiniLM-L6-v2, 384 numbers`, and `other"
    )
    assert second.startswith("`postgres job_embeddings` holds")


def test_chunks_are_keyed_by_row_and_chunk() -> None:
    (target,) = topology(", chunk: {tokens: 200, overlap: 20}").derived_targets("future")
    assert target.key == ("id", "chunk")
