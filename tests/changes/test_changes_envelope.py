"""Envelope and headers: what is written to Kafka is read back, tombstones included."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.canonical import Value
from changes.envelope import (
    CommitTime,
    Delivered,
    Envelope,
    Headers,
    Source,
    TransactionBlock,
    decode,
    encode,
    headers_from,
)

HEADERS = Headers(position=1 << 20, hash=0xAB, schema="0123456789abcdef")
SOURCE = Source(
    version="tailrace",
    connector="mysql",
    name="future",
    ts_ms=1_767_323_045_006,
    snapshot="false",
    db="jobfirst_future",
    table="jobs",
    server_id=1,
    gtid="3e11fa47-71ca-11e1-9e33-c80aa9429562:23",
    file="bin.000003",
    pos=154,
    row=0,
    ts_us=1_767_323_045_006_007,
    ts_ns=1_767_323_045_006_007_000,
)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**64 - 1))
def test_headers_read_back(position: int, hash_: int) -> None:
    headers = Headers(position, hash_, "0123456789abcdef")
    assert headers_from([*headers.to_kafka()]) == headers


def test_the_headers_are_frozen() -> None:
    assert HEADERS.to_kafka() == [
        ("tr-pos", b"0000000000001048576"),
        ("tr-hash", b"00000000000000ab"),
        ("tr-schema", b"0123456789abcdef"),
    ]


def test_headers_are_read_from_text_from_a_mapping_and_among_others() -> None:
    text: dict[str, str | bytes | None] = {name: value.decode() for name, value in HEADERS.to_kafka()}
    assert headers_from({"trace": None, **text}) == HEADERS


def test_what_is_asked_of_readers_comes_back_and_is_absent_where_nothing_is() -> None:
    asking = Headers(5, 6, "0" * 16, ask="embedding", over=1 << 62)
    assert headers_from([*asking.to_kafka()]) == asking
    assert {name for name, _ in asking.to_kafka()} - {name for name, _ in HEADERS.to_kafka()} == {"tr-ask", "tr-over"}


@pytest.mark.parametrize("missing", ["tr-pos", "tr-hash", "tr-schema"])
def test_a_record_without_our_headers_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match="no tr-pos, tr-hash and tr-schema headers"):
        headers_from([(name, value) for name, value in HEADERS.to_kafka() if name != missing])


@pytest.mark.parametrize("pairs", [None, [], {}])
def test_a_record_without_any_headers_is_refused(pairs: None) -> None:
    with pytest.raises(ValueError, match="no tr-pos"):
        headers_from(pairs)


@pytest.mark.parametrize(("name", "value"), [("tr-pos", b"12"), ("tr-pos", b"x" * 19), ("tr-hash", b"xyz")])
def test_headers_of_another_form_are_refused(name: str, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        headers_from([*HEADERS.to_kafka(), (name, value)])


def test_an_envelope_has_debeziums_fields_in_debeziums_order() -> None:
    block = TransactionBlock("3e11fa47-71ca-11e1-9e33-c80aa9429562:23", 1, 1)
    written = json.loads(encode(Envelope({"id": 1}, {"id": 1}, SOURCE, "u", 1_767_323_045_010, block)))
    assert list(written) == ["before", "after", "source", "op", "ts_ms", "transaction"]
    assert list(written["source"]) == [
        *("version", "connector", "name", "ts_ms", "snapshot", "db", "table", "server_id", "gtid", "file", "pos"),
        *("row", "ts_us", "ts_ns", "sequence", "thread", "query"),
    ]
    assert list(written["transaction"]) == ["id", "total_order", "data_collection_order"]


def test_delivery_reads_what_capture_wrote() -> None:
    after: dict[str, bool | int | float | str | None] = {
        "id": 18446744073709551615,
        "ratio": 0.1,
        "title": '数据 "x"',
        "open": True,
        "note": None,
    }
    change = decode(encode(Envelope(None, dict[str, Value](after), SOURCE, "c", 0, None)))
    assert change == Delivered("c", CommitTime(SOURCE.ts_us), None, after)


def test_a_change_without_a_commit_time_is_readable() -> None:
    assert decode(b'{"op":"d","before":{"id":1},"after":null}') == Delivered("d", CommitTime(0), {"id": 1}, None)


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"op":"x"}', b'{"before":null}', b'{"op":"c","after":{"a":["x"]}}']
)
def test_what_is_no_envelope_is_refused(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(value)
