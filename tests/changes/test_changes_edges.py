"""The relationships that ``topics.yaml`` declares: as the sink gets them, and every mistake with its line."""

import msgspec
import pytest

from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema
from changes.target import Edge, Target
from changes.topology import Topology, load

RIGHT = """\
versions:
  future: {database: jobfirst_future}
tables:
  - table: conversations
    key: [id]
    columns: {personal: [email]}
    enrich:
      analysis: {kind: conversation_analysis, read: [text], carry: [user_id]}
    sinks:
      - sink: neo4j
        tier: async
        place: Conversation
        edges:
          - {type: HAS_SESSION, from: User, from_key: user_id, to: Session, key: session_id}
          - {type: CONTAINS, from: Session, from_key: session_id}
          - {type: USES_MODEL, to: Model, key: model_name}
      - {sink: neo4j, tier: async, of: analysis, place: Analysis, edges: [{type: OF, to: Conversation, key: id}]}
      - {sink: redis, tier: async, place: "conversation:{id}"}
  - table: users
    key: [id]
    sinks: [{sink: neo4j, tier: async, place: User}]
  - table: skills
    key: [resume_id, skill_id]
    sinks: [{sink: neo4j, tier: async, place: Skill, edges: [{type: OF_USER, to: User, key: skill_id}]}]
"""


def read(text: str) -> Topology:
    return load(text, "topics.yaml", dict.fromkeys(("neo4j", "redis"), lambda _: None))


def test_an_end_that_is_not_named_is_the_rows_own_node() -> None:
    conversations, cached, users, skills = read(RIGHT).targets("future")
    assert conversations.edges == (
        Edge("HAS_SESSION", "User", "user_id", "Session", "session_id"),
        Edge("CONTAINS", "Session", "session_id"),
        Edge("USES_MODEL", end="Model", end_key="model_name"),
    )
    assert (cached.edges, users.edges) == ((), ())
    assert skills.edges == (Edge("OF_USER", end="User", end_key="skill_id"),)
    (analysis,) = read(RIGHT).derived_targets("future")
    assert analysis.edges == (Edge("OF", end="Conversation", end_key="id"),)


def test_an_edge_names_the_columns_of_its_ends() -> None:
    assert Edge("T", "A", "a", "B", "b").columns == ("a", "b")
    assert Edge("T", end="B", end_key="b").columns == ("b",)


def test_edges_are_part_of_the_mapping_only_where_there_are_any() -> None:
    conversations, _, users, _ = read(RIGHT).targets("future")
    with_none = msgspec.structs.replace(conversations, edges=())
    other = msgspec.structs.replace(conversations, edges=conversations.edges[:2])
    assert len({conversations.mapping, with_none.mapping, other.mapping}) == 3
    assert users.mapping == 239449305  # as it was before there were edges


MISTAKES = {
    "edges of another store": (
        'place: "conversation:{id}"}',
        'place: "conversation:{id}", edges: [{type: T, to: User, key: id}]}',
        ["18: `edges` are for `neo4j`: redis has no relationships"],
    ),
    "one half of an end": (
        "{type: CONTAINS, from: Session, from_key: session_id}",
        "{type: CONTAINS, from: Session}",
        [
            "15: Value error, `from` is a label and `from_key` the column with its node's key: declare both or neither"
            " (in tables.0.sinks.0.edges.1)"
        ],
    ),
    "the other half of an end": (
        "{type: USES_MODEL, to: Model, key: model_name}",
        "{type: USES_MODEL, key: model_name}",
        [
            "16: Value error, `to` is a label and `key` the column with its node's key: declare both or neither"
            " (in tables.0.sinks.0.edges.2)"
        ],
    ),
    "no end": (
        "{type: USES_MODEL, to: Model, key: model_name}",
        "{type: USES_MODEL}",
        [
            "16: Value error, it would lead from a row's node to itself: declare `to` and `key`"
            " (in tables.0.sinks.0.edges.2)"
        ],
    ),
    "an edge twice": (
        "{type: USES_MODEL, to: Model, key: model_name}",
        "{type: CONTAINS, from: Session, from_key: session_id}",
        ["16: this edge `CONTAINS` is declared twice"],
    ),
    "an end whose key has several columns": (
        "to: Model, key: model_name",
        "to: Skill, key: model_name",
        ["16: a `Skill` is a row of `skills`, whose key is (resume_id, skill_id): one column cannot name it"],
    ),
    "a personal column": (
        "key: model_name",
        "key: email",
        ["16: the edge `USES_MODEL` needs `email`, which is personal: declare `personal: allow`"],
    ),
    "a column that does not go there": (
        "place: Conversation\n",
        "place: Conversation\n        columns: [user_id, session_id]\n",
        ["17: the edge `USES_MODEL` needs `model_name`, which is not among `columns`"],
    ),
    "a column that is dropped": (
        "{personal: [email]}",
        "{drop: [model_name]}",
        ["16: column `model_name` of `conversations` is dropped at capture and needed here"],
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line(old: str, new: str, told: list[str]) -> None:
    assert RIGHT.count(old) == 1
    with pytest.raises(Misconfigured) as caught:
        read(RIGHT.replace(old, new))
    assert str(caught.value).splitlines() == [f"topics.yaml:{line}" for line in told]


def test_a_column_that_the_table_lacks_is_told() -> None:
    columns = tuple(Column(name, Kind.TEXT, "text") for name in ("id", "user_id", "text", "email", "session_id"))
    found = read(RIGHT).check_table(TableSchema("d", "conversations", columns, ()), ("id",))
    assert [str(problem) for problem in found] == ["topics.yaml:16: table `conversations` has no column `model_name`"]


def test_a_target_knows_its_edges_by_value() -> None:
    one, other = (read(RIGHT).targets("future")[0] for _ in range(2))
    assert isinstance(one, Target)
    assert (one, hash(one), one.mapping) == (other, hash(other), other.mapping)
