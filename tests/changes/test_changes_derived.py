"""Derived data: its generation in headers and records, its targets and topics, and what of them is refused."""

from collections.abc import Callable, Mapping

import pytest
from changes_examples import NOTES, target
from hypothesis import given
from hypothesis import strategies as st

from changes.envelope import Delivered, Headers, decode, headers_from
from changes.errors import Misconfigured
from changes.expand import collapse, expand
from changes.key import key_of
from changes.position import LAST_GENERATION
from changes.record import BucketSum, Record
from changes.target import Target
from changes.topology import Topology, load

INPUT = "00000000000000ab"


@given(st.integers(0, LAST_GENERATION), st.sampled_from(["", INPUT]))
def test_generation_and_input_are_read_back(generation: int, input_: str) -> None:
    headers = Headers(77, 1, "0123456789abcdef", generation, input_)
    assert headers_from([*headers.to_kafka()]) == headers


def test_they_are_written_only_where_there_are_any() -> None:
    assert len(Headers(77, 1, "0123456789abcdef").to_kafka()) == 3
    assert Headers(77, 1, "0123456789abcdef", 12, INPUT).to_kafka()[3:] == [
        ("tr-gen", b"12"),
        ("tr-input", b"00000000000000ab"),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tr-gen", b"-1"),
        ("tr-gen", b""),
        ("tr-gen", b"100000"),
        ("tr-input", b"ab"),
        ("tr-input", b"00000000000000AB"),
    ],
)
def test_headers_of_another_form_are_refused(name: str, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"generation|input"):
        headers_from([*Headers(77, 1, "0123456789abcdef").to_kafka(), (name, value)])


def test_a_vector_is_delivered_as_numbers() -> None:
    assert decode(b'{"op":"c","after":{"id":1,"v":[1,0.5,-0.0]}}').after == {"id": 1, "v": [1.0, 0.5, -0.0]}


def test_records_and_deletes_carry_the_generation() -> None:
    headers = Headers(77, 1, NOTES.fingerprint, 3)
    before, after = ({"id": 1, "user_id": user, "text": "a", "phone": None} for user in (1, 2))
    moved = expand(Delivered("u", before=before, after=after), headers, NOTES, target(), lambda _, row: str(row))
    gone = expand(Delivered("d", before=before), headers, NOTES, target(), lambda _, row: "")
    assert [(record.row is None, record.order) for record in (*moved, *gone)] == [
        (True, (3, 77)),
        (False, (3, 77)),
        (True, (3, 77)),
    ]


def test_of_two_records_the_one_of_the_newer_generation_survives() -> None:
    def record(position: int, generation: int) -> Record:
        return Record(target(), key_of(NOTES, {"id": 1}), position, None, 0, NOTES, generation=generation)

    old, new = record(90, 1), record(10, 2)
    assert collapse([old, new]) == collapse([new, old]) == [new]


def test_sums_of_buckets_add_up_beyond_64_bits() -> None:
    one = BucketSum(2**40, 2**72, 2**32 - 1)
    assert one + one == BucketSum(2**41, 2**73, 2**33 - 2)
    assert BucketSum() + one == one


def no_patterns(target: Target) -> None:
    if "{" in target.place:
        raise Misconfigured(f"place `{target.place}` is a pattern")


def owned(target: Target) -> None:
    if target.user is None:
        raise Misconfigured("nobody owns it")


SINKS: Mapping[str, Callable[[Target], None]] = {"postgres": no_patterns, "sqlite": owned}

RIGHT = """\
versions:
  future: {database: jobfirst_future}
tables:
  - table: resumes
    key: [id]
    user: user_id
    columns: {personal: [phone]}
    enrich:
      embedding: {kind: embed, vectors: {content: [content]}, carry: [user_id, phone]}
      analysis: {kind: resume_analysis, read: [content]}
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: postgres, tier: realtime, of: embedding, place: resume_embeddings}
      - {sink: sqlite, tier: local, of: embedding, columns: [content], personal: allow}
  - table: users
    key: [id]
    user: id
    enrich:
      embedding: {kind: embed, vectors: {bio: [bio]}}
    sinks:
      - {sink: sqlite, tier: local, of: embedding}
"""


def read(text: str) -> Topology:
    return load(text, "topics.yaml", SINKS)


def test_derived_targets_stand_in_the_order_of_the_file() -> None:
    topology = read(RIGHT)
    assert [target.place for target in topology.targets("future")] == ["resumes"]
    postgres, sqlite, users = topology.derived_targets("future")
    assert (postgres.table, postgres.source, postgres.of) == ("resumes.embedding", "resumes", "embedding")
    assert (postgres.place, postgres.key, postgres.user) == ("resume_embeddings", ("id",), "user_id")
    assert (postgres.hidden, sqlite.hidden) == (frozenset({"phone"}), frozenset())
    assert (sqlite.place, sqlite.only) == ("resumes_embedding", frozenset({"content"}))
    assert (users.table, users.user) == ("users.embedding", "id")


def test_a_target_knows_its_topic() -> None:
    topology = read(RIGHT)
    assert topology.derived_topic("future", "resumes", "analysis") == "future.enriched.resumes.analysis"
    assert [topology.topic_of(target) for target in topology.derived_targets("future")] == [
        "future.enriched.resumes.embedding",
        "future.enriched.resumes.embedding",
        "future.enriched.users.embedding",
    ]
    (rows,) = topology.targets("future")
    assert topology.topic_of(rows) == "future.jobfirst_future.resumes"
    assert rows.source == rows.table == "resumes"


MISTAKES = {
    "an owner that is not carried": (
        "of: embedding, place",
        "of: analysis, place",
        "13: what `analysis` makes of `resumes` belongs to the row's `user_id`, which it does not hold:"
        " add `user_id` to `carry` of the enricher",
    ),
    "a place that its sink refuses": ("place: resume_embeddings", 'place: "e:{id}"', "13: place `e:{id}` is a pattern"),
    "two of them at one place": (
        "columns: [content], personal: allow",
        "place: users_embedding",
        "21: `users_embedding` in sqlite is already the place of table `resumes`",
    ),
    "a generation beyond five digits": (
        "vectors: {bio: [bio]}",
        "vectors: {bio: [bio]}, generation: 100000",
        "19: Input should be less than or equal to 99999 (in tables.1.enrich.embedding.embed.generation)",
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line(old: str, new: str, told: str) -> None:
    assert RIGHT.count(old) == 1
    with pytest.raises(Misconfigured) as caught:
        read(RIGHT.replace(old, new))
    assert str(caught.value).splitlines() == [f"topics.yaml:{told}"]
