"""The native reader gives the bytes of the reference one."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams_encoders import binary_json, tagged_gtid
from streams_events import CAPTURED, COLLATIONS, event
from streams_readers import NATIVE, Outcome, World, cut, packets, topology
from test_streams_fuzz import mutations
from test_streams_jsonb import values
from test_streams_jsondiff import changes

from changes.errors import Misconfigured
from changes.gtid import MariadbGtids
from streams.binlog import events
from streams.binlog.charsets import Charset
from streams.capture.engine import native_module
from streams.capture.native import _DOUBLE_BYTE, _LEAD, _NOTHING, _SINGLE_BYTE, code_points
from streams.native import MODULE

pytestmark = NATIVE


def world(**more: object) -> World:
    return World(topology("kinds", "everything"), COLLATIONS, **more)  # type: ignore[arg-type]


BEGIN, XID = CAPTURED["query"][0], CAPTURED["xid"][0]
DDL = next(data for data in CAPTURED["query"] if b"CREATE" in data)
STREAM = [
    *CAPTURED["rotate"][:1],
    *CAPTURED["format_description"][:1],
    *CAPTURED["heartbeat"][:1],
    *(CAPTURED["gtid"][0], BEGIN, CAPTURED["table_map"][0], *CAPTURED["write_rows"], XID),
    *(CAPTURED["gtid"][1], BEGIN, CAPTURED["table_map"][0], *CAPTURED["update_rows"], *CAPTURED["delete_rows"], XID),
    *(CAPTURED["gtid"][0], CAPTURED["payload"][0]),
    *(CAPTURED["gtid"][1], DDL),
]


def same(world: World, chunks: list[bytes]) -> Outcome:
    """What both made of it. Batches may end elsewhere; what stands in them and where they lead to may not."""
    plain, native = world.outcomes(chunks)
    assert native.records == plain.records
    assert native.changes == plain.changes
    assert native.sums == plain.sums
    assert sorted(native.keys) == sorted(plain.keys)
    assert (native.finished, native.altered, native.rows) == (plain.finished, plain.altered, plain.rows)
    assert native.states[-1:] == plain.states[-1:]
    assert native.error == plain.error
    return plain


def test_a_captured_stream_gives_the_same_records() -> None:
    found = same(world(), [packets(STREAM)])
    assert found.error is None
    assert len(found.records) == 10
    assert [first for _, first, _ in found.finished] == [13, 18, 13, 18]


def test_the_stream_may_be_cut_anywhere() -> None:
    whole = same(world(), [packets(STREAM)])
    for size in (1, 7, 1000):
        assert same(world(), list(cut(packets(STREAM), size))).records == whole.records


def test_what_stands_before_an_event_that_cannot_be_read_is_told_first() -> None:
    broken = bytearray(CAPTURED["write_rows"][0])
    broken[-40:] = b"\xff" * 40
    found = same(world(), [packets([*STREAM[:6], bytes(broken), *STREAM[6:]])])
    assert found.error == (Misconfigured, "cannot be read")
    assert found.records == []
    found = same(world(), [packets([*STREAM[:9], bytes(broken)])])
    assert found.error == (Misconfigured, "cannot be read")
    assert len(found.records) == 3
    assert found.finished == [("c56fc16a-e5bd-11f1-81f2-02fc00000001", 13, 13)]


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (events.ANONYMOUS_GTID, "without a GTID"),
        (165, "MariaDB's compressed events"),
    ],
)
def test_what_this_release_cannot_follow_is_refused_in_the_same_words(type_: int, said: str) -> None:
    found = same(world(), [packets([*STREAM[:5], event(type_, b"\0" * 60)])])
    assert found.error is not None
    assert said in found.error[1]


def test_a_table_that_nobody_declared_is_passed_over() -> None:
    found = same(World(topology("kinds", "others"), COLLATIONS), [packets(STREAM)])
    assert found.records == []
    assert [(first, last) for _, first, last in found.finished] == [(13, 13), (18, 18), (13, 13), (18, 18)]


def test_a_packet_without_an_event_ends_the_stream() -> None:
    refused = b"\xff\x94\x04#HY000the binlog is gone"
    for body in (refused, b"\xfe\0\0\0\0"):
        chunk = packets(STREAM[:8]) + len(body).to_bytes(3, "little") + b"\0" + body
        found = same(world(), [chunk])
        assert found.error is not None
        assert len(found.records) == 3


def test_mariadb_numbers_transactions_itself() -> None:
    gtid = event(events.MARIADB_GTID, (41).to_bytes(8, "little") + bytes(4) + b"\0" + bytes(6), server_id=7)
    found = same(world(executed=MariadbGtids("0-7-40")), [packets([gtid, *STREAM[5:9]])])
    assert found.finished == [("0-7", 41, 41)]
    assert b'"gtid":"0-7-41"' in (found.records[0][2] or b"")
    assert found.states[-1]["ordinal"] == 41


@st.composite
def mutated(draw: st.DrawFn) -> list[bytes]:
    """The stream with one of its events broken, or left out, or twice there, behind a header that still fits."""
    stream = list(STREAM)
    at = draw(st.sampled_from([at for at, data in enumerate(stream) if data[4] != events.PAYLOAD]))
    how = draw(st.sampled_from(["mutate", "mutate", "mutate", "drop", "double", "header"]))
    if how == "mutate":
        stream[at] = fitted(draw(mutations(stream[at])))
    elif how == "drop":
        del stream[at]
    elif how == "double":
        stream.insert(at, stream[at])
    else:
        broken = bytearray(stream[at])
        broken[draw(st.integers(0, events.HEADER - 1))] ^= 1 << draw(st.integers(0, 7))
        stream[at] = bytes(broken)
    return stream


def fitted(data: bytes) -> bytes:
    return data[:9] + len(data).to_bytes(4, "little") + data[13:] if len(data) >= events.HEADER else data


@given(mutated(), st.sampled_from([1 << 20, 997]))
@settings(max_examples=400)
def test_a_broken_stream_is_read_or_refused_by_both_alike(stream: list[bytes], size: int) -> None:
    same(world(), list(cut(packets(stream), size)))


@given(mutations(CAPTURED["payload"][0]))
@settings(max_examples=300)
def test_a_broken_compressed_transaction_is_read_or_refused(data: bytes) -> None:
    """Two decompressors: they agree on what is whole, and one may refuse more of what is not."""
    plain, native = world().outcomes([packets([*STREAM[:9], CAPTURED["gtid"][0], fitted(data)])])
    shorter = min(len(plain.records), len(native.records))
    assert native.records[:shorter] == plain.records[:shorter]
    assert shorter >= 3
    if plain.error is None and native.error is None:
        assert native.records == plain.records


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_packets_or_refused(data: bytes) -> None:
    """Whatever it is: an answer, not a crash, and nothing kept that did not come."""
    plain, native = world().outcomes([data])
    assert (plain.error is None) == (native.error is None)
    assert native.records == plain.records


JSON_MAP = event(
    events.TABLE_MAP,
    (7).to_bytes(6, "little") + bytes(2) + b"\5kinds\0\1j\0\2\x03\xf5\1\4\2\1\1\0\4\5\2id\1v",
)


def json_row(id_: int, stored: bytes) -> bytes:
    """An insert of (id, JSON) into the table of `JSON_MAP`."""
    body = id_.to_bytes(4, "little") + len(stored).to_bytes(4, "little") + stored
    return event(events.WRITE_V2, (7).to_bytes(6, "little") + bytes(2) + b"\2\0\2\xff\0" + body)


def mutated_differences() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """A byte changed, taken out or put in, or the end cut off, at a place of any stretch."""

    def broken(how: str, at: float, byte: int) -> Callable[[bytes], bytes]:
        def mutate(data: bytes) -> bytes:
            place = int(at * len(data))
            behind = place if how == "insert" else len(data) if how == "cut" else place + 1
            return data[:place] + (bytes([byte]) if how in {"change", "insert"} else b"") + data[behind:]

        return mutate

    return st.builds(
        broken, st.sampled_from(["change", "insert", "remove", "cut"]), st.floats(0, 0.999), st.integers(0, 255)
    )


def partial_update(before: bytes, differences: bytes, *, options: int = 1, bits: int = 1) -> bytes:
    """An update of the row of `JSON_MAP` that tells what changed in its JSON."""
    first = b"\0" + bytes(4) + len(before).to_bytes(4, "little") + before
    second = bytes([options, *([bits] if options & 1 else []), 0]) + bytes(4)
    second += len(differences).to_bytes(4, "little") + differences
    return event(events.PARTIAL_UPDATE, (7).to_bytes(6, "little") + bytes(2) + b"\2\0\2\xff\xff" + first + second)


def of_json(*rows: bytes) -> Outcome:
    """What both make of events of the table of `JSON_MAP`."""
    return same(
        World(topology("kinds", "j"), COLLATIONS), [packets([CAPTURED["gtid"][0], BEGIN, JSON_MAP, *rows, XID])]
    )


@given(changes(), st.booleans())
@settings(max_examples=300)
def test_a_partial_update_gives_the_same_row_as_a_whole_one(change: tuple[Any, bytes, Any], large: bool) -> None:
    before, told, after = change
    found = of_json(partial_update(binary_json(before, large=large), told))
    assert found.error is None
    inserted = of_json(json_row(0, binary_json(after)))
    assert found.records[0][4] == inserted.records[0][4]
    assert decode(found.records[0][2])["after"] == decode(inserted.records[0][2])["after"]


def decode(value: bytes | None) -> Any:
    return json.loads(value or b"null")


@given(changes(), mutated_differences())
@settings(max_examples=400)
def test_broken_differences_are_read_or_refused_by_both_alike(
    change: tuple[Any, bytes, Any], broken: Callable[[bytes], bytes]
) -> None:
    of_json(partial_update(binary_json(change[0]), broken(change[1])))


@pytest.mark.parametrize(("options", "bits"), [(0, 0), (2, 0), (3, 1), (1, 0)])
def test_options_of_a_partial_update_that_are_not_known_are_refused(options: int, bits: int) -> None:
    stored = binary_json([1])
    found = of_json(partial_update(stored, stored, options=options, bits=bits))
    assert (found.error is None) == (options < 2)


def test_a_tagged_transaction_is_numbered_among_the_others() -> None:
    tagged = event(events.GTID_TAGGED, tagged_gtid(bytes(range(16)), "night", 5, 1_795_274_444_192_979))
    found = same(world(), [packets([*STREAM[:9], tagged, *STREAM[4:9], *STREAM[9:14]])])
    assert found.error is None
    source = "00010203-0405-0607-0809-0a0b0c0d0e0f:night"
    assert found.finished[1] == (source, 5, 5)
    assert f'"gtid":"{source}:5"'.encode() in (found.records[3][2] or b"")
    positions = [record[3] for record in found.records]
    assert positions == sorted(positions)


@given(values, st.booleans())
@settings(max_examples=300)
def test_any_json_is_the_same_text_and_the_same_hash(value: object, large: bool) -> None:
    stored = binary_json(value, large=large)
    stream = [CAPTURED["gtid"][0], BEGIN, JSON_MAP, json_row(1, stored), XID]
    found = same(World(topology("kinds", "j"), COLLATIONS), [packets(stream)])
    assert len(found.records) == 1


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_any_bytes_are_json_to_both_or_to_neither(stored: bytes) -> None:
    stream = [CAPTURED["gtid"][0], BEGIN, JSON_MAP, json_row(1, stored), XID]
    same(World(topology("kinds", "j"), COLLATIONS), [packets(stream)])


@pytest.mark.parametrize("name", sorted([*_SINGLE_BYTE, *_DOUBLE_BYTE]))
def test_tables_of_code_points_read_as_pythons_codec_does(name: str) -> None:
    """Every byte, and every pair behind a byte that leads one."""
    charset = Charset(name, 2)
    tables = code_points(charset)
    assert tables is not None
    for lead in range(256):
        for data in (bytes([lead]), bytes([lead, 0x41]), bytes([lead, 0xA1]), bytes([0x41, lead])):
            assert by_tables(tables, data) == by_codec(charset, data), data


def by_codec(charset: Charset, data: bytes) -> str | None:
    try:
        return charset.decode(data)
    except ValueError:
        return None


def by_tables(tables: list[list[int]], data: bytes) -> str | None:
    """What the native reader does with them."""
    text, at = "", 0
    while at < len(data):
        point = tables[0][data[at]]
        at += 1
        if len(tables) > 1 and point == _LEAD:
            point = tables[1][data[at - 1] << 8 | data[at]] if at < len(data) else _NOTHING
            at += 1
        if point > 0x10FFFF:
            return None
        text += chr(point)
    return text


def test_a_module_built_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(MODULE)
    monkeypatch.setattr(module, "SOURCES", "0" * 16)
    assert native_module({}) is None
    with pytest.raises(Misconfigured, match="was built from other sources"):
        native_module({"TAILRACE_ENGINE": "native"})


def test_the_variable_chooses() -> None:
    assert native_module({"TAILRACE_ENGINE": "python"}) is None
    assert native_module({"TAILRACE_ENGINE": "native"}) is importlib.import_module(MODULE)
    with pytest.raises(Misconfigured, match="TAILRACE_ENGINE is `native` or `python`, not `fast`"):
        native_module({"TAILRACE_ENGINE": "fast"})
