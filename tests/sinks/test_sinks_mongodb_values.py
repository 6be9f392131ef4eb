"""Values, keys, filters and documents of the MongoDB sink by value: no server."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from bson.codec_options import CodecOptions
from conformance import PLAIN, schema_of, target_of
from hypothesis import given
from hypothesis import strategies as st
from pymongo import errors as pymongo_errors

from changes.canonical import Value, canonical_json, canonical_row
from changes.errors import Misconfigured, Rejected, TailraceError, Transient
from changes.jsontext import write
from changes.key import Key, key_of
from changes.record import BucketSum, Record, StoredSums
from changes.schema import Column, TableSchema, kind_of
from changes.target import Target
from sinks.mongodb import LONGEST_NAME, check, decimals, jsonvalues
from sinks.mongodb.errors import classify, refusal, taken
from sinks.mongodb.jsonvalues import DEEPEST, KEPT, to_bson, to_text
from sinks.mongodb.statements import (
    LONGEST,
    guard,
    hashable,
    id_of,
    indexes,
    key_from,
    lands,
    layout_of,
    ready,
    sums_from,
    unchanged,
    view,
)
from sinks.mongodb.values import decoder, encoder

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROW: dict[str, Value] = {"id": 7, "user_id": 1, "title": "é", "amount": "1.50"}


def record(row: Mapping[str, Value] | None = ROW, position: int = 42, **changed: Any) -> Record:
    target = changed.pop("target", target_of("mongodb", "notes"))
    return Record(target, key_of(PLAIN, ROW), position, row, 0xABC, PLAIN, **changed)


def column(type_: str) -> Column:
    return Column("c", kind_of(type_), type_)


def stored(type_: str, value: Any) -> Any:
    encode = encoder(column(type_))
    return value if encode is None else encode(value)


@pytest.mark.parametrize(
    ("type_", "value", "wanted"),
    [
        ("int", 7, 7),
        ("bigint", 7, Int64(7)),
        ("bigint unsigned", 2**64 - 1, Decimal128("18446744073709551615")),
        ("decimal(10,2)", "1.50", Decimal128("1.50")),
        ("decimal(65,30)", "1.50", "1.50"),
        ("double", 1, 1.0),
        ("varbinary(8)", "AP8=", b"\0\xff"),
        ("date", "2024-02-29Z", "2024-02-29"),
        ("time(6)", "-00:00:00.500000Z", "-00:00:00.500000"),
        ("datetime", "2026-12-31T23:59:59Z", datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("datetime(3)", "2026-01-02T03:04:05.120", datetime(2026, 1, 2, 3, 4, 5, 120000)),
        ("datetime(3)", "0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00.000"),
        ("datetime(6)", "2026-01-02T03:04:05.120000Z", "2026-01-02T03:04:05.120000"),
        ("timestamp(6)", "2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05.123456Z"),
        ("bit(1)", True, True),
        ("json", '{"a": 1.50}', {"a": Decimal128("1.50")}),
    ],
)
def test_how_values_are_stored(type_: str, value: Value, wanted: object) -> None:
    found = stored(type_, value)
    assert (type(found), found) == (type(wanted), wanted)
    held = decoder(column(type_))(bson.decode(bson.encode({"c": found}))["c"])
    assert canonical_row([column(type_)], {"c": held}) == canonical_row([column(type_)], {"c": value})


_plain = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**29), max_value=10**29)


@given(
    st.one_of(
        _plain.map(lambda number: format(number, "f")), st.from_regex(r"-?[0-9]{1,17}(\.[0-9]{1,17})?", fullmatch=True)
    )
)
def test_a_decimal_is_what_the_drivers_own_would_be(text: str) -> None:
    assert decimals.from_text(text) == Decimal128(text)
    assert Decimal(decimals.to_text(Decimal128(text))) == Decimal(text)
    assert len(decimals.to_text(Decimal128(text)).partition(".")[2]) == len(text.partition(".")[2])


@pytest.mark.parametrize("text", ["", "1e5", "1_0", " 1", "NaN", "1" * 35, "0." + "1" * 35, "٣"])
def test_what_is_no_plain_decimal(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|no decimal"):
        decimals.from_text(text)


def test_decimals_that_others_have_put_there() -> None:
    assert [decimals.to_text(Decimal128(text)) for text in ("NaN", "-Infinity", "1E+3", "1E-40")] == [
        "NaN",
        "-Infinity",
        "1E+3",
        "1E-40",
    ]


_names = st.sampled_from(["", "a", "$b", "a.b", KEPT, "é"])
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


@given(_json)
def test_json_is_read_back_as_it_was(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    through = bson.decode(bson.encode({"c": to_bson(text)}))["c"]
    assert canonical_json(to_text(through)) == canonical_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "-0",
        '{"a": 1, "a": 2}',
        '{"$a": 1}',
        '{"a\\u0000": 1}',
        f'{{"{KEPT}": "1"}}',
        "1" * 35,
        "0." + "1" * 36,
        "1e400",
        '"\\ud800"',
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
    ],
)
def test_json_that_has_no_exact_form_is_kept_as_text(text: str) -> None:
    assert to_bson(text) == {KEPT: text}
    assert to_text({KEPT: text}) == text


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1e400, NaN]", "{'a': 1}"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the parser's own words
        to_bson(text)


def test_numbers_in_json_keep_their_digits() -> None:
    assert to_bson("[1, 1.5, 1.50, 1e22, 9223372036854775808, 12345678901234567890.5]") == [
        1,
        1.5,
        Decimal128("1.50"),
        1e22,
        Decimal128("9223372036854775808"),
        Decimal128("12345678901234567890.5"),
    ]


KEYED: list[tuple[str, list[Value]]] = [
    ("bigint unsigned", [0, 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]),
    ("varchar(9)", ["", "a", "A", "a ", "1", "数据"]),
    ("varbinary(9)", ["", "AA==", "AAA="]),
    ("bit(1)", [False, True]),
    ("double", [0.0, 0.1, -0.1]),
    ("decimal(40,2)", ["0.00", "0.10", "12345678901234567890123456789012345678.01"]),
    ("date", ["2024-02-29", "2024-03-01"]),
    ("datetime(6)", ["2024-02-29T00:00:00.000000", "2024-02-29T00:00:00.000001"]),
]


@pytest.mark.parametrize(("type_", "values"), KEYED)
def test_keys_are_told_apart_and_read_back(type_: str, values: list[Value]) -> None:
    single = schema_of(("k", type_), key=("k",))
    double = schema_of(("k", type_), ("n", "int"), key=("n", "k"))
    for schema in (single, double):
        layout = layout_of(target_of("mongodb", "notes", key=schema.key), schema)
        keys = [key_of(schema, {"k": value, "n": 1}) for value in values]
        ids = [id_of(layout, key) for key in keys]
        assert len({bytes(bson.encode({"_id": id_})) for id_ in ids}) == len(values)
        assert [key_from(layout, bson.decode(bson.encode({"_id": id_}))["_id"]) for id_ in ids] == keys


def test_keys_that_are_one_have_one_id() -> None:
    schema = schema_of(("k", "decimal(10,2)"), ("m", "datetime(6)"), key=("k", "m"))
    layout = layout_of(target_of("mongodb", "notes", key=schema.key), schema)
    keys = [
        key_of(schema, {"k": "1.50", "m": "2024-01-01T00:00:00.100000Z"}),
        key_of(schema, {"k": "1.5", "m": "2024-01-01T00:00:00.1"}),
    ]
    assert id_of(layout, keys[0]) == id_of(layout, keys[1]) == {"k": "1.5", "m": "2024-01-01T00:00:00.1"}
    assert hashable(id_of(layout, keys[0])) == (("k", "1.5"), ("m", "2024-01-01T00:00:00.1"))


@pytest.mark.parametrize("id_", ["7", True, 7.5, bson.ObjectId(), None, {"id": 7}, [7]])
def test_an_id_that_no_key_has(id_: object) -> None:
    assert key_from(layout_of(target_of("mongodb", "notes"), PLAIN), id_) is None


def test_the_document_of_a_row_and_of_a_tombstone() -> None:
    target = target_of("mongodb", "notes", tombstones_for=60)
    layout = layout_of(target, PLAIN)
    alive, gone = (ready(0, record(row, target=target), layout, NOW) for row in (ROW, None))
    reserved = {
        "_tr_pos": 42,
        "_tr_h1": 0,
        "_tr_h2": 0xABC,
        "_tr_bucket": alive.record.key.bucket,
        "_tr_map": target.mapping,
        "_tr_gen": 0,
    }
    aware: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
    found = bson.decode(alive.document.raw, aware)
    assert found == {"id": 7, "user_id": 1, "title": "é", "amount": Decimal128("1.50")} | reserved
    assert [type(found[name]) for name in ("id", "_tr_pos", "_tr_h1", "_tr_h2", "_tr_gen")] == [Int64] * 4 + [int]
    assert bson.decode(gone.document.raw, aware) == {"id": 7} | reserved | {
        "_tr_deleted": True,
        "_tr_until": NOW + timedelta(seconds=60),
    }
    cached = target_of("mongodb", "notes", keep="cache", keep_for=90, tombstones_for=60)
    lasting = ready(0, record(target=cached), layout_of(cached, PLAIN), NOW)
    assert bson.decode(lasting.document.raw, aware)["_tr_until"] == NOW + timedelta(seconds=90)


@pytest.mark.parametrize("title", ["\ud800", "x" * LONGEST, object()])
def test_a_row_that_makes_no_document_is_rejected(title: Any) -> None:
    one = record(ROW | {"title": title})
    with pytest.raises(Rejected):
        ready(0, one, layout_of(one.target, PLAIN), NOW)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (None, True),
        ({}, True),
        ({"_tr_pos": 42}, True),
        ({"_tr_pos": 43}, True),
        ({"_tr_pos": 43, "_tr_gen": 2}, False),
        ({"_tr_pos": 43, "_tr_gen": 1}, True),
        ({"_tr_pos": 1, "_tr_gen": 3}, False),
        ({"_tr_pos": 99, "_tr_gen": 3}, True),
        ({"_tr_pos": 98, "_tr_gen": 3}, False),
        ({"_tr_pos": "text", "_tr_gen": 2}, True),
    ],
)
def test_what_a_record_replaces(found: Mapping[str, Any] | None, wanted: bool) -> None:
    one = record(generation=2, over=99)
    assert lands(ready(0, one, layout_of(one.target, PLAIN), NOW), found) is wanted


def test_filters() -> None:
    first = ready(0, record(), layout_of(record().target, PLAIN), NOW)
    later = ready(0, record(generation=2, over=9), layout_of(record().target, PLAIN), NOW)
    older = {"$not": {"$gt": 42}}
    assert guard(first) == {"_id": 7, "_tr_gen": {"$not": {"$gt": 0}}, "_tr_pos": older}
    assert guard(later) == {
        "_id": 7,
        "$or": [
            {"$or": [{"_tr_gen": {"$not": {"$gte": 2}}}, {"_tr_gen": 2, "_tr_pos": older}]},
            {"_tr_pos": 9},
        ],
    }
    assert unchanged(first, None) == {"_id": 7, "_tr_gen": None, "_tr_pos": None}
    assert unchanged(first, {"_id": 7, "_tr_pos": 5}) == {"_id": 7, "_tr_gen": None, "_tr_pos": 5}


def test_indexes_and_the_view() -> None:
    target = target_of("mongodb", "notes", user="user_id", hidden=frozenset({"amount"}))
    made = [(keys, options) for keys, options in indexes(target, whole=False)]
    assert made == [
        ([("_tr_bucket", 1)], {}),
        ([("_tr_until", 1)], {"expireAfterSeconds": 0}),
        ([("user_id", 1)], {}),
        ([("_id", 1), ("_tr_gen", 1), ("_tr_pos", 1)], {"unique": True}),
    ]
    assert indexes(target, whole=True) == made[:3]
    reserved = ["_tr_pos", "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_gen", "_tr_until"]
    assert view(layout_of(target, PLAIN)) == [
        {"$match": {"_tr_deleted": {"$ne": True}}},
        {"$unset": [*reserved, "amount"]},
    ]


def test_groups_as_sums() -> None:
    layout = layout_of(target_of("mongodb", "notes"), PLAIN)
    key: Key = key_of(PLAIN, {"id": 7})
    groups = [
        {"_id": {"bucket": 5, "id": None}, "count": 2, "h1": Int64(2**33), "h2": 1, "pos": 9},
        {"_id": {"bucket": key.bucket, "id": Int64(7)}, "count": 1, "h1": 1, "h2": 1, "pos": 11},
        {"_id": {"id": Int64(8)}, "count": 1, "h1": 0, "h2": 0, "pos": None},  # somebody else's, in a row's place
        {"_id": {"id": bson.ObjectId()}, "count": 1, "h1": 0, "h2": 0, "pos": None},  # and in none
    ]
    foreign = key_of(PLAIN, {"id": 8}).bucket
    assert sums_from(layout, 10, groups, {}) == StoredSums(
        {5: BucketSum(2, 2**33, 1), foreign: BucketSum(1, 0, 0)}, {("", key.canonical): key.bucket}
    )


@pytest.mark.parametrize(
    "target",
    [
        *(target_of("mongodb", place) for place in ("", "_tr_x", "_tailrace_meta", "system.js", "jobs_app")),
        *(target_of("mongodb", place) for place in ("job:{id}", "a$b", "a\0b", "a" * (LONGEST_NAME + 1))),
        target_of("mongodb", "jobs", owns="columns"),
        target_of("mongodb", "jobs", keep="cache"),
        target_of("mongodb", "jobs", keep="cache", keep_for=3600),
    ],
)
def test_places_that_are_refused(target: Target) -> None:
    with pytest.raises(Misconfigured):
        check(target)


@pytest.mark.parametrize(
    "schema",
    [
        schema_of(("id", "int"), ("a.b", "int")),
        schema_of(("id", "int"), ("$a", "int")),
        schema_of(("id", "int"), ("_id", "int")),
        schema_of(("id", "int"), ("_tr_until", "int")),
        schema_of(("k", "int"), key=("k",)),
    ],
)
def test_columns_that_are_refused(schema: TableSchema) -> None:
    with pytest.raises(Misconfigured):
        layout_of(target_of("mongodb", "notes"), schema)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pymongo_errors.ServerSelectionTimeoutError("none"), Transient),
        (pymongo_errors.NetworkTimeout("late"), Transient),
        (pymongo_errors.NotPrimaryError("stepped down"), Transient),
        (pymongo_errors.CursorNotFound("gone", 43), Transient),
        (pymongo_errors.WTimeoutError("late", 64), Transient),
        (pymongo_errors.OperationFailure("not primary", 10107), Transient),
        (pymongo_errors.OperationFailure("no disk", 14031), Transient),
        (ConnectionResetError("reset"), Transient),
        (pymongo_errors.OperationFailure("no", 18), Misconfigured),
        (pymongo_errors.OperationFailure("no", 13), Misconfigured),
        (pymongo_errors.OperationFailure("other options", 85), Misconfigured),
        (pymongo_errors.ConfigurationError("too old"), Misconfigured),
    ],
)
def test_errors(error: pymongo_errors.PyMongoError | OSError, kind: type[TailraceError]) -> None:
    assert type(classify(error)) is kind


def test_what_a_write_of_a_bulk_failed_for() -> None:
    own = {"code": 11000, "errmsg": "E11000 duplicate key error collection: a.b index: _id_ dup key: { _id: 1 }"}
    other = {"code": 11000, "errmsg": "E11000 … index: title_1 dup key", "keyPattern": {"title": 1}}
    assert (taken(own), taken({**own, "keyPattern": {"_id": 1}}), taken(other)) == (True, True, False)
    wanted = {121: Rejected, 10334: Rejected, 2: Rejected, 13: Misconfigured, 112: Transient, 91: Transient}
    assert type(refusal(other)) is Rejected
    assert {code: type(refusal({"code": code, "errmsg": "no"})) for code in wanted} == wanted


STORED_JSON = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(Decimal128("1.50")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)  # fmt: skip


@given(STORED_JSON)
def test_the_quick_way_spells_documents_as_the_other_one_does(value: Any) -> None:
    assert to_text(value) == write(jsonvalues._plain(value)) or (isinstance(value, dict) and list(value) == [KEPT])


@pytest.mark.parametrize(
    "value", [float("nan"), [float("inf")], {"a": Decimal128("NaN")}, bson.ObjectId(), b"", bson.Regex("a")]
)
def test_what_is_no_value_of_json_is_told(value: Any) -> None:
    with pytest.raises(ValueError, match="is no value of JSON"):
        to_text(value)
