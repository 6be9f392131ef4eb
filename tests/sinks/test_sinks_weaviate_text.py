"""The pure parts of the Weaviate sink: names, types, ids, the guard, and what the server's words mean."""

from typing import Any

import pytest
from conformance import EVERY, EVERYTHING, PLAIN, schema_of, target_of

from changes.canonical import Value, bucket_of, row_hash
from changes.errors import Misconfigured, Rejected, Transient
from changes.key import key_of
from changes.position import to_text
from changes.record import Record
from changes.schema import TableSchema
from sinks.weaviate import WEAVIATE
from sinks.weaviate.errors import classify_grpc, classify_http, refused
from sinks.weaviate.schema import class_of, layout_of, missing, property_of, slots, type_of
from sinks.weaviate.statements import (
    Found,
    Stamp,
    bucket_of_id,
    lands,
    object_id,
    object_of,
    runs,
    stamp_from,
    stored_row,
    verdict,
)
from sinks.weaviate.values import written

NOTES = target_of("weaviate", "Notes")


def record(schema: TableSchema, row: dict[str, Value] | None, position: int = 10, **more: Any) -> Record:
    key = key_of(schema, row or {"id": 1})
    hash_ = 0 if row is None else row_hash(schema.columns, row, lenient=True)
    return Record(NOTES, key, position, row, hash_, schema, **more)


def test_columns_become_the_platform_s_properties() -> None:
    names = ("user_input", "ai_response", "sessionId", "Name", "a__b", "_x", "x_", "created_at_2", "id", "ID")
    assert [property_of(name) for name in names] == [
        *("userInput", "aiResponse", "sessionId", "name", "aB", "_x", "x_", "createdAt2", "rowId", "rowId")
    ]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("user_id", "userId", "userId"),
        ("user_id", "userid", "userid"),
        ("id", "row_id", "rowId"),
        ("born_as_text", "born", "bornAsText"),
    ],
)
def test_two_columns_that_would_share_a_property_are_refused(one: str, other: str, shared: str) -> None:
    with pytest.raises(Misconfigured, match=f"the columns `{one}` and `{other}` would share the property `{shared}`"):
        layout_of(target_of("weaviate", "Notes", key=(one,)), schema_of((one, "int"), (other, "int"), key=(one,)))


@pytest.mark.parametrize("name", ["_tr_pos", "_tr_deleted", "_tr_x", "_additional", "_id", "名称", "a b", "1st"])
def test_a_column_that_cannot_be_a_property_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="drop it in `columns`"):
        layout_of(NOTES, schema_of(("id", "int"), (name, "int")))


def test_a_key_that_is_not_the_table_s_is_refused() -> None:
    with pytest.raises(Misconfigured, match="is not the table's primary key"):
        layout_of(NOTES, schema_of(("id", "int"), ("n", "int"), key=("n",)))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"place": "notes"}, "begins with a capital letter"),
        ({"place": "Notes of {id}"}, "begins with a capital letter"),
        ({"place": "Tailrace_meta"}, "Tailrace's own class"),
        ({"place": "TAILRACE_META"}, "Tailrace's own class"),
        ({"keep": "cache", "keep_for": 60}, "declare `keep: mirror`"),
        ({"owns": "rows"}, "only `owns: table` is"),
    ],
)
def test_a_target_that_cannot_be_served_is_refused(declared: dict[str, Any], words: str) -> None:
    with pytest.raises(Misconfigured, match=words):
        WEAVIATE.check(target_of("weaviate", declared.pop("place", "Notes"), **declared))
    WEAVIATE.check(NOTES)


def test_a_type_of_weaviate_s_own_is_taken_where_it_is_exact() -> None:
    types = {column.type: type_of(column) for column in EVERYTHING.columns}
    assert types["int unsigned"] == types["year"] == types["tinyint(1)"] == "int"
    assert types["bigint"] == types["bigint unsigned"] == types["decimal(65,30)"] == types["time(6)"] == "text"
    assert types["decimal(10,2)"] == types["double"] == types["float"] == "number"
    assert types["date"] == types["datetime(6)"] == types["timestamp(6)"] == "date"
    assert types["json"] == types["varbinary(16)"] == types["longtext"] == "text"
    assert (types["bit(1)"], types["vector(5)"]) == ("boolean", "vector")


def test_prose_is_cut_into_words_and_names_are_kept_whole() -> None:
    schema = schema_of(("id", "int"), ("story", "text"), ("title", "varchar(200)"), ("model", "varchar(100)"))
    made = {one["name"]: one for one in class_of(layout_of(NOTES, schema), "gse")["properties"]}
    assert [made[name].get("tokenization") for name in ("story", "title", "model", "rowId")] == [
        *("gse", "gse", "field", None)
    ]
    assert [made[name]["indexSearchable"] for name in ("story", "title", "model")] == [True, True, False]
    assert not any(made[name]["indexFilterable"] for name in ("_tr_pos", "_tr_key", "_tr_h1"))


def where(schema: TableSchema, **have: str) -> list[Any]:
    layout = layout_of(NOTES, schema)
    types = have or {one["name"]: one["dataType"][0] for one in class_of(layout, "trigram")["properties"]}
    return slots(layout, types)


def test_a_row_comes_back_as_it_went() -> None:
    row = {name: value for name, (_, value) in EVERY.items()}
    found = where(EVERYTHING)
    made = object_of(record(EVERYTHING, row), found, 0)
    stored = stored_row(EVERYTHING, found, Found(made.id, dict(made.properties), dict(made.vectors)))
    assert stored is not None
    assert row_hash(EVERYTHING.columns, stored.row) == stored.hash == row_hash(EVERYTHING.columns, row)
    assert (stored.key.values, stored.place, stored.position) == ((7,), "", 10)


@pytest.mark.parametrize(
    "day", ["0000-00-00Z", "2026-00-00", "2025-02-29", "0000-01-01", "10000-01-01", "2026-01-02T03:04:05+01:00"]
)
def test_what_a_date_cannot_hold_is_kept_beside_it_as_text(day: str) -> None:
    (_, born) = where(schema_of(("id", "int"), ("born_on", "date")))
    assert written(born, day) == ("bornOnAsText", day)
    assert written(born, "2026-01-02Z") == ("bornOn", "2026-01-02T00:00:00Z")


def test_a_value_that_no_property_can_hold_is_rejected() -> None:
    schema = schema_of(("id", "int"), ("v", "vector(3)"))
    found = where(schema)
    for row in ({"id": 2**60, "v": None}, {"id": 1, "v": [1.0, 2.0]}, {"id": 1, "v": [1e39, 0, 0]}):
        with pytest.raises(Rejected):
            object_of(record(schema, row), found, 0)


def test_a_property_of_another_type_is_left_and_one_of_text_stands_in() -> None:
    schema = schema_of(("id", "int"), ("note", "varchar(9)"))
    have = {"rowId": "int", "note": "int"}
    assert [one["name"] for one in missing(layout_of(NOTES, schema), have, "trigram")] == ["noteAsText"]
    with pytest.raises(Misconfigured, match="has no property for `note`"):
        where(schema, **have)
    (_, note) = where(schema, **have, noteAsText="text")
    assert written(note, "seven") == ("noteAsText", "seven")
    found = Found(object_id(b"2:idi1:1"), {"rowId": 1, "note": 7})
    assert stored_row(schema, where(schema, **have, noteAsText="text"), found) is not None
    # One of text takes whatever the column becomes.
    have = {"rowId": "int", "note": "text"}
    older = schema_of(("id", "int"), ("note", "int"))
    assert missing(layout_of(NOTES, older), have, "trigram") == []
    assert written(where(older, **have)[1], 7) == ("note", "7")


def test_a_second_property_that_somebody_filled_makes_the_value_a_wrong_one() -> None:
    schema = schema_of(("id", "int"), ("born", "date"))
    found = Found("x", {"rowId": 1, "born": "2026-01-02T00:00:00Z", "bornAsText": "2026-01-02"})
    stored = stored_row(schema, where(schema), found)
    assert stored is not None
    assert stored.row["born"] == "'2026-01-02T00:00:00Z' and '2026-01-02'"


def test_an_object_s_id_is_frozen_and_begins_with_its_bucket() -> None:
    assert object_id(b"") == "6652c7cf-0881-85a9-9cf9-a3300407d264"
    for number in range(500):
        key = b"2:idi%d:%d" % (len(str(number)), number)
        assert bucket_of_id(object_id(key)) == bucket_of(key)
        assert object_id(key)[14] == "8"
        assert object_id(key)[19] in "89ab"


def test_buckets_that_follow_each_other_are_one_walk() -> None:
    assert list(runs([])) == []
    assert list(runs(range(1024))) == [(None, None)]
    assert list(runs([0, 1, 1023, 512, 2, 2])) == [
        (None, "00bfffff-ffff-ffff-ffff-ffffffffffff"),
        ("7fffffff-ffff-ffff-ffff-ffffffffffff", "803fffff-ffff-ffff-ffff-ffffffffffff"),
        ("ffbfffff-ffff-ffff-ffff-ffffffffffff", None),
    ]


def test_the_guard_compares_generation_and_position_and_yields_to_what_is_named() -> None:
    stored = Stamp(20, 1)
    row: dict[str, Value] = {"id": 1, "user_id": 1, "title": None, "amount": None}
    tried = ((19, 1), (20, 1), (99, 0), (1, 2))
    assert [lands(record(PLAIN, row, at, generation=of), stored) for at, of in tried] == [False, True, False, True]
    assert lands(record(PLAIN, row, 1, over=20), stored)
    assert not lands(record(PLAIN, row, 1, over=19), stored)
    assert lands(record(PLAIN, row, 0), None)
    assert [
        verdict(record(PLAIN, row, 20, generation=1), one) for one in (None, Stamp(19, 1), stored, Stamp(0, 2))
    ] == [*("lost", "lost", "applied", "stale")]


@pytest.mark.parametrize(
    "changed", [{"_tr_pos": "20"}, {"_tr_pos": 20}, {"_tr_key": "?"}, {"_tr_h1": None}, {"_tr_map": "x"}]
)
def test_a_stamp_that_somebody_spoilt_gives_way_to_anything(changed: dict[str, Any]) -> None:
    whole = {"_tr_pos": to_text(20), "_tr_h1": 1, "_tr_h2": 2, "_tr_map": 3, "_tr_key": "YQ==", "_tr_deleted": True}
    assert stamp_from(whole) == Stamp(20, 0, (1 << 32) + 2, 3, True, b"a")
    assert stamp_from(whole | changed) == Stamp()


def test_errors_are_told_apart() -> None:
    assert isinstance(classify_grpc("UNAVAILABLE", "connection refused"), Transient)
    full = classify_grpc("UNKNOWN", "store is read-only due to: disk usage too high")
    assert isinstance(full, Transient)
    assert "started again" in str(full)
    assert isinstance(classify_grpc("UNKNOWN", "extract auth: unauthorized: invalid api key"), Misconfigured)
    assert isinstance(classify_grpc("UNKNOWN", "could not find class Notes in schema"), Misconfigured)
    assert isinstance(classify_http(401, "unauthorized"), Misconfigured)
    assert isinstance(classify_http(422, "no such class"), Misconfigured)
    busy = classify_http(429, "slower", 3.0)
    assert isinstance(busy, Transient)
    assert busy.retry_after == 3.0
    assert isinstance(classify_http(503, "starting"), Transient)
    assert refused("invalid text property 'title' on class 'Notes': not a string, but float64")
    assert refused("Validate vector index v for target vector x: vector dimensions do not match the index dimensions")
    assert not refused("put object: store is read-only")
