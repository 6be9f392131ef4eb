"""Cypher, values, keys and edges of the Neo4j sink: no server."""

import math
import struct
from typing import Any

import pytest
from conformance import PLAIN, schema_of, target_of
from hypothesis import given
from hypothesis import strategies as st
from neo4j.exceptions import AuthError, ConfigurationError, Neo4jError, ServiceUnavailable
from sinks_values import COLUMNS

from changes.canonical import canonical_row
from changes.errors import Misconfigured, Rejected, Transient
from changes.schema import Column, Kind
from changes.target import Edge
from sinks.neo4j import NEO4J, statements
from sinks.neo4j.edges import End, Held, Tie, broken, check_edges, compared, implied
from sinks.neo4j.errors import classify
from sinks.neo4j.sink import Neo4jSink, _parts
from sinks.neo4j.values import encoder, key_text, value_of
from sinks.sql.table import table_of

ID, NAME = Column("id", Kind.INTEGER, "bigint"), Column("name", Kind.TEXT, "varchar(9)")
PROPERTIES = (bool, int, float, str, bytes, list)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.type)
def test_every_value_becomes_a_property_and_the_same_value_again(column: Column) -> None:
    for value in COLUMNS[column]:
        property_ = encoder(column)(column, value)
        assert type(property_) in PROPERTIES
        assert not (type(property_) is int and not -(2**63) <= property_ < 2**63)
        read = value_of(column, property_)
        assert canonical_row((column,), {column.name: read}) == canonical_row((column,), {column.name: value})
    assert (encoder(column)(column, None), value_of(column, None)) == (None, None)


def test_a_vector_is_a_list_of_floats_that_are_its_float32s() -> None:
    column = Column("made", Kind.VECTOR, "vector(3)")
    numbers = encoder(column)(column, [0.1, 1, -3.4028234663852886e38])
    assert [type(number) for number in numbers] == [float] * 3
    assert struct.pack("<3f", *numbers) == struct.pack("<3f", 0.1, 1, -3.4028234663852886e38)
    assert numbers[0] != 0.1


@pytest.mark.parametrize(
    ("type_", "kind", "value"),
    [
        ("text", Kind.TEXT, "no \ud800 text"),
        ("json", Kind.JSON, '"\udfff"'),
        ("blob", Kind.BYTES, "no base64"),
        ("vector(2)", Kind.VECTOR, [1.0]),
        ("vector(2)", Kind.VECTOR, [1.0, 1e300]),
        ("vector(2)", Kind.VECTOR, "[1, 2]"),
    ],
)
def test_what_is_no_value_is_refused(type_: str, kind: Kind, value: Any) -> None:
    column = Column("c", kind, type_)
    with pytest.raises(Rejected, match=r"^Neo4j: `c` is no "):
        encoder(column)(column, value)


@pytest.mark.parametrize(
    ("kind", "value"), [(Kind.BYTES, "AAA="), (Kind.INTEGER, True), (Kind.TEXT, b"a"), (Kind.DOUBLE, False)]
)
def test_a_property_of_another_type_equals_no_value(kind: Kind, value: Any) -> None:
    column = Column("c", kind, "")
    with pytest.raises(ValueError, match="no "):
        canonical_row((column,), {"c": value_of(column, value)})


def test_keys_that_name_one_row_have_one_text_whatever_the_column() -> None:
    assert key_text((ID,), (7,)) == "7" == key_text((Column("user_id", Kind.INTEGER, "int"),), (7,))
    assert key_text((Column("u", Kind.INTEGER, "bigint unsigned"),), (2**64 - 1,)) == "18446744073709551615"
    assert key_text((NAME,), ("7",)) == "7"
    assert key_text((Column("d", Kind.DECIMAL, "decimal(9,2)"),), ("7.10",)) == "7.1"
    assert key_text((Column("b", Kind.BYTES, "binary(2)"),), ("AP8=",)) == "00ff"
    assert key_text((Column("t", Kind.DATE, "date"),), ("2024-02-29Z",)) == "2024-02-29"
    assert key_text((ID, NAME), (7, "1:a")) == "1:73:1:a"


@given(st.lists(st.tuples(st.text("1:é", max_size=3), st.text("1:a", max_size=4)), min_size=2, max_size=2, unique=True))
def test_different_keys_have_different_texts(keys: list[tuple[str, str]]) -> None:
    one, other = (key_text((NAME, NAME), key) for key in keys)
    assert one != other


def test_a_key_that_no_index_holds_is_refused() -> None:
    assert len(key_text((NAME,), ("x" * 7000,))) == 7000
    with pytest.raises(Rejected, match="`name` has 7002 bytes"):
        key_text((NAME,), ("数" * 2334,))
    with pytest.raises(Rejected, match="`name`"):
        key_text((NAME,), ("\ud800",))
    with pytest.raises(Rejected, match="`id`"):
        key_text((ID,), ("seven",))


@pytest.mark.parametrize("name", ["plain", "with space", "`", "a`) DETACH DELETE n //", "数据", "'\"$x{}"])
def test_a_name_is_quoted_whole(name: str) -> None:
    quoted = statements.quote(name)
    assert quoted[0] == quoted[-1] == "`"
    assert quoted[1:-1].replace("``", "") == name.replace("`", "")
    assert quoted[1:-1].replace("``", "`") == name


@pytest.mark.parametrize("name", ["a\\u0060", "\\", "a\0b"])
def test_a_name_that_cypher_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="backslash"):
        statements.quote(name)
    for target in (target_of("neo4j", name), target_of("neo4j", "A", edges=(Edge(name, end="B", end_key="x"),))):
        with pytest.raises(Misconfigured, match="backslash"):
            NEO4J.check(target)


@pytest.mark.parametrize(
    "target",
    [
        target_of("neo4j", ""),
        target_of("neo4j", "job:{id}"),
        target_of("neo4j", "_tailrace_tombstone"),
        target_of("neo4j", "x" * 201),
        target_of("neo4j", "Job", keep="cache", keep_for=60),
        target_of("neo4j", "Job", owns="rows"),
        target_of("neo4j", "Job", edges=(Edge("T", end="_tailrace_meta", end_key="x"),)),
    ],
)
def test_what_cannot_be_served_is_misconfigured(target: Any) -> None:
    with pytest.raises(Misconfigured):
        NEO4J.check(target)


def test_an_edge_needs_its_columns() -> None:
    columns = {column.name: column for column in PLAIN.columns}
    check_edges(target_of("neo4j", "A", edges=(Edge("T", end="B", end_key="title"),)), columns)
    with pytest.raises(Misconfigured, match="the edge `T` needs the column `other`"):
        check_edges(target_of("neo4j", "A", edges=(Edge("T", end="B", end_key="other"),)), columns)


EDGES = (
    Edge("IN", "User", "user_id", "Session", "session"),
    Edge("HAS", "Session", "session"),
    Edge("OF", end="User", end_key="user_id"),
)
TALKS = {c.name: c for c in schema_of(("id", "bigint"), ("user_id", "bigint"), ("session", "varchar(9)")).columns}
TALK = target_of("neo4j", "Talk", edges=EDGES)
OWN, USER, SESSION = End("Talk", "1"), End("User", "7"), End("Session", "s")
TIES = {Tie("IN", USER, SESSION), Tie("HAS", SESSION, OWN), Tie("OF", OWN, USER)}


def held(tie: Tie, *labels: str) -> Held:
    return Held(f"{tie}", tie.type, "a", [*labels, tie.start.label], tie.start.key, "b", [tie.end.label], tie.end.key)


def test_a_row_implies_the_edges_whose_columns_are_not_null() -> None:
    assert implied(TALK, TALKS, {"id": 1, "user_id": 7, "session": "s"}, "1") == TIES
    assert implied(TALK, TALKS, {"id": 1, "user_id": None, "session": "s"}, "1") == {Tie("HAS", SESSION, OWN)}
    assert implied(TALK, TALKS, {"id": 1, "user_id": None, "session": None}, "1") == frozenset()


def test_edges_are_compared_by_type_and_ends() -> None:
    one, other, third = sorted(TIES)
    assert compared(TIES, [held(tie, "Another") for tie in TIES]) == ([], [])
    assert compared(TIES, [held(one)]) == ([other, third], [])
    doubled = held(one)
    assert compared([one], [held(one), doubled]) == ([], [doubled])
    elsewhere = held(Tie(one.type, one.start, End("Other", one.end.key)))
    assert compared([one], [elsewhere]) == ([one], [elsewhere])


def test_a_row_is_broken_in_the_columns_of_the_edges_that_differ() -> None:
    row: dict[str, Any] = {"id": 1, "user_id": 7, "session": "s"}
    whole = [held(tie) for tie in TIES]
    assert broken(TALK, TALKS, row, "1", whole) == ()
    assert broken(TALK, TALKS, row, "1", [one for one in whole if one.type != "IN"]) == ("user_id", "session")
    assert broken(TALK, TALKS, row, "1", [one for one in whole if one.type != "OF"]) == ("user_id",)
    assert broken(TALK, TALKS, {**row, "session": None}, "1", whole) == ("user_id", "session")
    assert broken(TALK, TALKS, {**row, "user_id": "seven"}, "1", whole) == ("user_id", "session")


def test_what_a_table_needs_is_named_after_its_labels_and_types() -> None:
    table = table_of(TALK, schema_of(("id", "bigint"), ("user_id", "bigint"), ("session", "varchar(9)")))
    made = statements.setup(table)
    assert list(made) == [
        *(f"_tailrace_key_{label}" for label in ("Talk", "User", "Session")),
        *("_tailrace_bucket_Talk", "_tailrace_columns_Talk"),
        *(f"_tailrace_made_{type_}" for type_ in ("IN", "HAS", "OF")),
    ]
    name = "_tailrace_key_User"
    assert statements.create(name, made[name]) == (
        "CREATE CONSTRAINT `_tailrace_key_User` IF NOT EXISTS FOR (n:`User`) REQUIRE n._tr_key IS UNIQUE"
    )


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("Neo.TransientError.Transaction.DeadlockDetected", Transient),
        ("Neo.ClientError.Transaction.TransactionTimedOut", Transient),
        ("Neo.ClientError.Transaction.Terminated", Transient),
        ("Neo.DatabaseError.General.UnknownError", Transient),
        ("Neo.ClientError.Security.AuthenticationRateLimit", Transient),
        ("Neo.ClientError.Statement.EntityNotFound", Transient),
        ("Neo.ClientError.Schema.ConstraintValidationFailed", Rejected),
        ("Neo.ClientError.Statement.TypeError", Rejected),
        ("Neo.ClientError.Schema.ConstraintCreationFailed", Misconfigured),
        ("Neo.ClientError.Security.Forbidden", Misconfigured),
        ("Neo.ClientError.Database.DatabaseNotFound", Misconfigured),
        ("Neo.ClientError.Statement.SyntaxError", Misconfigured),
    ],
)
def test_what_a_code_means(code: str, kind: type[Exception]) -> None:
    error = classify(Neo4jError._hydrate_neo4j(code=code, message="words"))
    assert type(error) is kind
    assert str(error) == f"Neo4j: words ({code})"


def test_what_the_drivers_own_errors_mean() -> None:
    assert type(classify(ServiceUnavailable("away"))) is Transient
    assert type(classify(ConfigurationError("wrong"))) is Misconfigured
    assert type(classify(TimeoutError())) is Transient
    assert str(classify(TimeoutError())) == "Neo4j: TimeoutError"
    assert issubclass(AuthError, Neo4jError)


def test_a_url_in_its_parts() -> None:
    assert _parts("bolt://a%40b:p%2Fw@host:17/") == ("bolt://host:17", ("a@b", "p/w"), None)
    assert _parts("neo4j+s://u:p@[::1]/other") == ("neo4j+s://[::1]:7687", ("u", "p"), "other")
    assert _parts("bolt://host") == ("bolt://host:7687", None, None)
    for url in ("http://u:secret@host", "bolt://u:secret@", "bolt://u:secret@host:no", "nothing"):
        with pytest.raises(Misconfigured, match="cannot be read") as caught:
            Neo4jSink(url)
        assert "secret" not in str(caught.value)


def test_a_double_that_json_wrote_without_a_point_is_a_float() -> None:
    column = Column("ratio", Kind.DOUBLE, "double")
    assert type(encoder(column)(column, 1)) is float
    assert math.copysign(1, encoder(column)(column, -0.0)) == -1
