"""Names, ids, mappings, documents, bodies and answers of Elasticsearch by value."""

import json
import struct
from typing import Any

import msgspec
import pytest
from conformance import PLAIN, schema_of, target_of
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import key_of
from changes.record import BucketSum, Record
from changes.schema import Column, Kind
from sinks.elasticsearch import LONGEST_NAME, alias_of, check, index_of
from sinks.elasticsearch.errors import Cause, cause_of, classify
from sinks.elasticsearch.mappings import ANALYZERS, Found, additions, creation, field_of, index_for, meta, outgrown
from sinks.elasticsearch.statements import MOST_IN_A_BUCKET, Held, Prepared, bulk, held, items, lands, page_of, sums
from sinks.elasticsearch.values import LONGEST_ID, Encoder, decoder, id_of
from sinks.elasticsearch.wire import Wire

ROW = {"id": 7, "user_id": 1, "title": "é", "amount": "1.50"}
IK = ANALYZERS[0]
TARGET = target_of("elasticsearch", "notes")


def record(row: dict[str, Any] | None = ROW, **changed: Any) -> Record:
    return Record(TARGET, key_of(PLAIN, ROW), 42, row, 0xABC00000DEF, PLAIN, **changed)


@pytest.mark.parametrize(
    ("place", "alias"),
    [
        ("notes", "shop_notes"),
        ("shop_notes", "shop_notes"),
        ("Shop_Notes", "shop_notes"),
        ("notes.v2", "shop_notes.v2"),
    ],
)
def test_a_place_is_an_alias_of_its_database_and_an_index_behind_it(place: str, alias: str) -> None:
    target = target_of("elasticsearch", place)
    check(target)
    assert (alias_of(target), index_of(target)) == (alias, f"{alias}_tr")


@pytest.mark.parametrize(
    ("place", "declared"),
    [
        *((place, {}) for place in ("", "a b", "a/b", "job:{id}", "a*", "a,b", 'a"', "a#b", "notes_tr", "notes_TR")),
        ("x" * LONGEST_NAME, {}),
        ("notes", {"keep": "cache", "keep_for": 60}),
        ("notes", {"owns": "rows"}),
    ],
)
def test_what_is_refused(place: str, declared: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured):
        check(target_of("elasticsearch", place, **declared))


@pytest.mark.parametrize("name", ["_tr_pos", "_tr_deleted", "_id", "_source", "a.b", " "])
def test_columns_that_cannot_be_fields(name: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be called"):
        index_for(TARGET, schema_of(("id", "bigint"), (name, "int")))


def test_the_declared_key_is_the_tables() -> None:
    with pytest.raises(Misconfigured, match="primary key"):
        index_for(TARGET, schema_of(("id", "bigint"), ("x", "int"), key=("id", "x")))


KEYED = schema_of(
    ("a", "varchar(300)"), ("b", "varchar(300)"), ("c", "decimal(9,2)"), ("d", "varbinary(9)"), key=("a", "b", "c", "d")
)


@pytest.mark.parametrize(
    ("types", "values", "id_"),
    [
        (("bigint",), (-7,), "-7"),
        (("varchar(9)",), ("a:b%c é",), "a%3Ab%25c é"),
        (("varchar(9)",), ("",), "%"),
        (("varchar(9)", "int"), ("", 5), "%:5"),
        (("decimal(9,2)",), ("1.50",), "1.5"),
        (("datetime(3)",), ("2026-01-02T03:04:05.120Z",), "2026-01-02T03%3A04%3A05.12"),
        (("bit(1)",), (True,), "1"),
        (("varbinary(9)",), ("AP8=",), "AP8="),
    ],
)
def test_ids(types: tuple[str, ...], values: tuple[Any, ...], id_: str) -> None:
    names = [f"k{place}" for place, _ in enumerate(types)]
    schema = schema_of(*zip(names, types, strict=True), key=tuple(names))
    columns = tuple(schema.column(name) for name in names)
    assert id_of(columns, key_of(schema, dict(zip(names, values, strict=True)))) == id_


def test_an_id_that_would_be_too_long_is_a_hash() -> None:
    schema = schema_of(("k", "varchar(600)"), key=("k",))
    columns = (schema.column("k"),)
    fits, longer = (id_of(columns, key_of(schema, {"k": "é" * count})) for count in (256, 257))
    assert len(fits.encode()) == LONGEST_ID
    assert len(longer) == 65
    assert longer != id_of(columns, key_of(schema, {"k": "é" * 258}))


_text = st.text("%:a3A25é", max_size=4)
_keys = st.tuples(_text, _text, st.sampled_from(["1.00", "1.0", "-1.00"]), st.sampled_from(["", "AAA="]))


@given(_keys, _keys)
def test_two_keys_have_one_id_exactly_where_they_are_equal(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    columns = tuple(KEYED.column(name) for name in KEYED.key)
    keys = [key_of(KEYED, dict(zip(KEYED.key, values, strict=True))) for values in (one, other)]
    assert (id_of(columns, keys[0]) == id_of(columns, keys[1])) == (keys[0] == keys[1])


@pytest.mark.parametrize(
    ("type_", "kind", "field"),
    [
        ("bigint unsigned", Kind.INTEGER, {"type": "long", "ignore_malformed": True}),
        ("decimal(10,2)", Kind.DECIMAL, {"type": "double", "ignore_malformed": True}),
        (
            "decimal(20,2)",
            Kind.DECIMAL,
            {
                "type": "double",
                "ignore_malformed": True,
                "fields": {"exact": {"type": "keyword", "ignore_above": 8191}},
            },
        ),
        ("varchar(100)", Kind.TEXT, {"type": "keyword", "ignore_above": 8191}),
        ("enum('a')", Kind.TEXT, {"type": "keyword", "ignore_above": 8191}),
        (
            "varchar(101)",
            Kind.TEXT,
            {
                "type": "text",
                "analyzer": "ik_max_word",
                "search_analyzer": "ik_smart",
                "fields": {"keyword": {"type": "keyword", "ignore_above": 256}},
            },
        ),
        ("json", Kind.JSON, {"type": "object", "enabled": False}),
        ("blob", Kind.BYTES, {"type": "object", "enabled": False}),
        ("time", Kind.TIME, {"type": "keyword", "ignore_above": 8191}),
        (
            "timestamp(6)",
            Kind.TIMESTAMP,
            {"type": "date", "format": "strict_date_optional_time", "ignore_malformed": True},
        ),
        ("vector(4097)", Kind.VECTOR, {"type": "object", "enabled": False}),
    ],
)
def test_fields(type_: str, kind: Kind, field: dict[str, Any]) -> None:
    assert field_of(Column("c", kind, type_), IK) == field


def test_source_keeps_vectors_where_a_server_would_leave_them_out() -> None:
    index = index_for(TARGET, PLAIN)
    old, new = (creation(index, IK, version)["settings"]["index"] for version in ((9, 1), (9, 2)))
    assert new == old | {"mapping.exclude_source_vectors": False}


def test_what_an_index_lacks_and_what_it_cannot_hold() -> None:
    wide = schema_of(("id", "bigint"), ("note", "int"), ("made", "vector(3)"))
    index = index_for(TARGET, wide)
    body = creation(index_for(TARGET, schema_of(("id", "bigint"), ("note", "json"))), IK, (9, 5))["mappings"]
    found = Found(body["_meta"], body["properties"], (), "request")
    assert set(additions(index, IK, found)) == {"made"}
    assert outgrown(index, IK, found) == ["note"]
    for other in ({}, {"tailrace": {"format": 2}}):
        with pytest.raises(Misconfigured):
            additions(index, IK, Found(other, {}, (), "request"))
    with pytest.raises(Misconfigured, match="other vectors"):
        additions(index, IK, Found(meta(index), {"made": {"type": "dense_vector", "dims": 4}}, (), "request"))


def test_documents_leave_null_out_and_keep_json_digit_for_digit() -> None:
    schema = schema_of(("id", "bigint"), ("a", "json"), ("b", "json"), ("c", "datetime"), ("d", "int"))
    encoder = Encoder(index_for(TARGET, schema), {})
    row = {"id": 1, "a": '{"x": [1.50,\n12345678901234567890.5]}', "b": "null", "c": "2026-01-02T03:04:05Z", "d": None}
    one = Record(TARGET, key_of(schema, row), 42, row, 0xABC00000DEF, schema, generation=3)
    document = encoder.document(one, 99)
    assert document.startswith(
        b'{"id":1,"a":{"x":[1.50,12345678901234567890.5]},"b":"null","c":"2026-01-02T03:04:05","_tr_pos":42,'
    )
    stored = decoder(schema.columns).stored(document)
    assert stored.row == {
        "id": 1,
        "a": '{"x":[1.50,12345678901234567890.5]}',
        "b": "null",
        "c": "2026-01-02T03:04:05",
        "d": None,
    }
    assert (stored.position, stored.hash, stored.generation, stored.alive) == (42, 0xABC00000DEF, 3, True)
    outgrown = Encoder(index_for(TARGET, schema), {"a": {"type": "text"}})
    assert json.loads(outgrown.document(one, 99))["a"] == row["a"]
    grave = json.loads(encoder.document(msgspec.structs.replace(one, row=None), 99))
    assert grave == {"id": 1, **one.reserved, "_tr_deleted": True, "_tr_at": 99}


@pytest.mark.parametrize("vector", [[0.0, 0.0], [-0.0, 1e-45], [3.4028234663852886e38, 0.0]])
def test_a_vector_without_direction_stands_aside(vector: list[float]) -> None:
    schema = schema_of(("id", "bigint"), ("made", "vector(2)"))
    row = {"id": 1, "made": vector}
    document = Encoder(index_for(TARGET, schema), {}).document(
        Record(TARGET, key_of(schema, row), 1, row, 0, schema), 0
    )
    assert json.loads(document)["_tr_vectors"] == {"made": vector}
    assert "made" not in json.loads(document)
    found: Any = decoder(schema.columns).stored(document).row["made"]
    assert struct.pack("<2f", *found) == struct.pack("<2f", *vector)


@pytest.mark.parametrize("vector", [[1.0], [1.0, 2.0, 3.0], "x", [1e39, 0.0], [float("nan"), 0.0], [None, 0.0]])
def test_what_is_no_vector_is_rejected(vector: Any) -> None:
    schema = schema_of(("id", "bigint"), ("made", "vector(2)"))
    row = {"id": 1, "made": vector}
    with pytest.raises(Rejected):
        Encoder(index_for(TARGET, schema), {}).document(Record(TARGET, key_of(schema, row), 1, row, 0, schema), 0)


def test_text_that_is_no_unicode_is_rejected() -> None:
    with pytest.raises(Rejected):
        Encoder(index_for(TARGET, PLAIN), {}).document(record(ROW | {"title": "\ud800"}), 0)


def test_the_guard() -> None:
    assert lands(record(), None)
    assert lands(record(), Held((0, 42), 1, 1))
    assert not lands(record(), Held((0, 43), 1, 1))
    assert not lands(record(), Held((1, 0), 1, 1))
    assert lands(record(generation=1), Held((0, 99), 1, 1))
    assert lands(record(over=99), Held((7, 99), 1, 1))
    assert not lands(record(over=98), Held((7, 99), 1, 1))


def test_bodies_and_answers() -> None:
    one = Prepared(0, record(), "shop_notes", "7", b'{"id":7}')
    assert bulk([(one, None), (one, Held((0, 1), 5, 2))]) == (
        b'{"create":{"_index":"shop_notes","_id":"7"}}\n{"id":7}\n'
        b'{"index":{"_index":"shop_notes","_id":"7","if_seq_no":5,"if_primary_term":2}}\n{"id":7}\n'
    )
    answer = (
        b'{"docs":[{"found":false},{"found":true,"_seq_no":5,"_primary_term":2,"_source":{"_tr_pos":9,"_tr_gen":1}},'
        b'{"found":true,"_seq_no":6,"_primary_term":2,"_source":{"_tr_pos":"x"}},{"error":{"type":"t","reason":"r"}}]}'
    )
    assert held(answer) == [None, Held((1, 9), 5, 2), Held((0, 0), 6, 2), Cause("t", "r")]
    (done, refused) = items(
        b'{"items":[{"create":{"status":201}},{"index":{"status":400,"error":{"type":"t","reason":"r"}}}]}'
    )
    assert (done.status, done.error, refused.status, refused.error) == (201, None, 400, Cause("t", "r"))


def test_sums_are_exact_or_none() -> None:
    def answer(count: int) -> bytes:
        bucket = {"key": 3, "doc_count": count, "h1": {"value": 8.589934591e9}, "h2": {"value": 1.0}}
        return json.dumps({"hits": {"hits": []}, "aggregations": {"by": {"buckets": [bucket]}}}).encode()

    assert sums(page_of(answer(2))) == {3: BucketSum(2, 8589934591, 1)}
    with pytest.raises(OverflowError):
        sums(page_of(answer(MOST_IN_A_BUCKET + 1)))


@pytest.mark.parametrize(
    ("status", "type_", "document", "kind"),
    [
        (400, "document_parsing_exception", True, Rejected),
        (400, "illegal_argument_exception", False, Misconfigured),
        (413, "", False, Rejected),
        (401, "security_exception", False, Misconfigured),
        (403, "security_exception", True, Misconfigured),
        (403, "cluster_block_exception", True, Transient),
        (429, "cluster_block_exception", True, Transient),
        (429, "es_rejected_execution_exception", True, Transient),
        (404, "index_not_found_exception", True, Misconfigured),
        (404, "", False, Misconfigured),
        (500, "", True, Transient),
        (503, "unavailable_shards_exception", True, Transient),
        (408, "", False, Transient),
    ],
)
def test_errors(status: int, type_: str, document: bool, kind: type[Exception]) -> None:
    assert type(classify(status, Cause(type_), document=document)) is kind


def test_an_error_is_told_without_the_values_of_a_row() -> None:
    told = cause_of(
        b'{"error":{"type":"a","reason":"failed to parse field [k]. Preview of field\'s value: \'secret\'",'
        b'"caused_by":{"type":"b","reason":"Expected text"}},"status":400}'
    )
    assert told.text == "a: failed to parse field [k] (b: Expected text)"
    assert cause_of(b"<html>Bad Gateway").text == ": <html>Bad Gateway"
    assert cause_of(b'{"error":"no handler"}').text == ": no handler"


@pytest.mark.parametrize("url", ["", "localhost:9200", "ftp://a:1", "http://u:secret@h:port", "http://", "http://[u"])
def test_urls_that_cannot_be_used_are_not_repeated(url: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        Wire(url, connections=1, timeout=1)
    assert "secret" not in str(refusal.value)
