"""Binlog events, captured from MySQL 9.7 and hand-made."""

import uuid
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from streams_encoders import tagged_gtid, variable_length, varlen
from streams_events import CAPTURED, event, table

from changes.errors import Misconfigured
from streams.binlog import events

SERVER = "c56fc16a-e5bd-11f1-81f2-02fc00000001"

FIRST = {
    "id": 1,
    "tiny": -128,
    "tiny_u": 255,
    "small": -32768,
    "medium": -8388608,
    "medium_u": 16777215,
    "number": 2147483647,
    "price": "-1234567890123456.7890",
    "ratio": 0.10000000149011612,
    "exact_ratio": 0.1,
    "flag": True,
    "flags": "AQI=",
    "day": "2026-02-28Z",
    "clock": "-01:02:03.450Z",
    "at": "2026-01-02T03:04:05.000006Z",
    "stamp": "2026-01-02T03:04:05.006Z",
    "born": 2026,
    "code": "Ab",
    "name": "Zürich 😀",
    "latin": "é€",
    "chinese": "北京",
    "fixed": "YQAAAAA=",
    "raw": "AP8=",
    "note": "text",
    "picture": "iVBORw==",
    "level": "高级",
    "tags": "a,c",
    "doc": '{"a":[1,-2.5,"x",null,true],"b":{"c":18446744073709551615}}',
    "vec": "AACAPwAAAMA=",
}


def changes(name: str, index: int = 0) -> list[events.RowChange]:
    data = CAPTURED[name][index]
    return list(events.rows(data, events.header(data).type, table()))


def test_every_row_of_an_insert_is_read_with_every_column() -> None:
    assert changes("write_rows") == [(None, FIRST), (None, {**FIRST, "id": 2})]


def test_nulls_are_read_wherever_they_stand() -> None:
    assert changes("write_rows", 1) == [(None, {**dict.fromkeys(FIRST), "id": 3})]


def test_an_update_has_both_images_of_every_row() -> None:
    changed = {"name": "b", "number": None}
    assert changes("update_rows") == [(FIRST, FIRST | changed), (FIRST | {"id": 2}, FIRST | {"id": 2} | changed)]


def test_a_delete_has_the_image_before_of_every_row() -> None:
    gone = FIRST | {"name": "b", "number": None}
    assert changes("delete_rows") == [(gone, None), (gone | {"id": 2}, None)]


def test_a_compressed_transaction_is_unfolded_to_its_events() -> None:
    inner = list(events.payload(CAPTURED["payload"][0]))
    types = [events.header(data).type for data in inner]
    assert types == [events.QUERY, events.TABLE_MAP, events.WRITE_V2, events.XID]
    assert list(events.rows(inner[2], events.WRITE_V2, table())) == [(None, FIRST | {"id": 4})]


def compressed(body: bytes, method: int, unfolded: int = 40) -> bytes:
    fields = b""
    for field, number in ((1, len(body)), (2, method), (3, unfolded)):
        value = b"\xfe" + number.to_bytes(8, "little")
        fields += bytes([field, len(value)]) + value
    return event(events.PAYLOAD, fields + b"\0" + body)


def test_a_transaction_of_the_method_none_is_taken_as_it_is() -> None:
    inner = [event(events.XID, bytes(8)), event(events.XID, b"\1" * 8)]
    assert list(events.payload(compressed(b"".join(inner), 255))) == inner


def test_a_frame_that_does_not_tell_its_size_is_unfolded_too() -> None:
    inner = event(events.XID, bytes(8))
    body = zstandard.ZstdCompressor(write_content_size=False).compress(inner)
    assert list(events.payload(compressed(body, 0, len(inner)))) == [inner]


def test_a_compressed_transaction_inside_another_is_refused() -> None:
    with pytest.raises(ValueError, match="inside another"):
        list(events.payload(compressed(compressed(b"", 255), 255)))


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(Misconfigured, match="compressed by method 7, which is not known"):
        list(events.payload(compressed(b"", 7)))


@pytest.mark.parametrize("body", [b"", b"\0" * 40, zstandard.compress(b"\0" * 40)[:-3], zstandard.compress(b"\0" * 40)])
def test_a_broken_compressed_transaction_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(events.payload(compressed(body, 0)))


@pytest.mark.parametrize("more", [-1, 1, 27])
def test_a_compressed_transaction_has_as_many_bytes_as_it_says(more: int) -> None:
    inner = event(events.XID, bytes(8))
    with pytest.raises(ValueError, match=r"has 27 bytes|lacks its last"):
        list(events.payload(compressed(zstandard.compress(inner), 0, len(inner) + more)))


def test_a_frame_that_would_unfold_beyond_all_measure_is_refused_before_it_takes_memory() -> None:
    frame = b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little") + bytes(16)
    with pytest.raises(ValueError, match=r"."):
        list(events.payload(compressed(frame, 0)))


def test_a_header_tells_time_type_server_size_and_end() -> None:
    data = event(events.XID, bytes(8), timestamp=1_767_323_045, server_id=7, end=4_000_000_000)
    assert events.header(data) == events.Header(1_767_323_045, events.XID, 7, 27, 4_000_000_000)


@pytest.mark.parametrize(("data", "message"), [(b"", "0 bytes has no header"), (bytes(18), "18 bytes has no header")])
def test_an_event_without_a_whole_header_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        events.header(data)


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_an_event_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="an event of 27 bytes came in"):
        events.header(event(events.XID, bytes(8))[:-cut])


def test_an_event_whose_checksum_was_taken_off_is_whole() -> None:
    data = bytearray(event(events.XID, bytes(8)))
    data[9:13] = (31).to_bytes(4, "little")
    assert events.header(bytes(data)).size == 31


def test_a_checksum_is_taken_off_where_there_is_one() -> None:
    data = event(events.XID, bytes(8))
    assert events.without_checksum(data + zlib.crc32(data).to_bytes(4, "little")) == data
    assert events.without_checksum(data) == data


def test_a_gtid_names_its_transaction_and_tells_when_it_was_committed() -> None:
    assert events.gtid(CAPTURED["gtid"][0]) == (f"{SERVER}:13", 1_795_274_444_192_979)


SOURCE = uuid.UUID(SERVER)


def gtid_event(times: bytes) -> bytes:
    """Flags, source, number, then two logical clocks behind their type."""
    return event(events.GTID, b"\1" + SOURCE.bytes + (23).to_bytes(8, "little") + b"\2" + bytes(16) + times)


def test_a_gtid_from_before_mysql_8_has_no_time() -> None:
    assert events.gtid(gtid_event(b"")) == (f"{SERVER}:23", 0)


def test_a_replicas_gtid_tells_the_time_of_the_original_commit() -> None:
    immediate, original = 1_767_323_045_000_009, 1_767_323_045_000_001
    times = (immediate | 1 << 55).to_bytes(7, "little") + original.to_bytes(7, "little")
    assert events.gtid(gtid_event(times)) == (f"{SERVER}:23", original)


@given(st.integers(1, 2**63 - 2), st.integers(0, 2**53), st.none() | st.integers(1, 2**53))
def test_a_tagged_gtid_is_named_with_its_tag(number: int, commit_us: int, original_us: int | None) -> None:
    body = tagged_gtid(uuid.UUID(SERVER).bytes, "night_shift2", number, commit_us, original_us)
    found = events.tagged_gtid(event(events.GTID_TAGGED, body))
    assert found == (f"{SERVER}:night_shift2:{number}", original_us or commit_us)


@pytest.mark.parametrize(
    ("tag", "number"), [("", 1), ("9a", 1), ("A", 1), ("a" * 33, 1), ("a-b", 1), ("a", 0), ("a", -1)]
)
def test_a_tagged_gtid_without_a_name_is_refused(tag: str, number: int) -> None:
    with pytest.raises(ValueError, match="no name"):
        events.tagged_gtid(event(events.GTID_TAGGED, tagged_gtid(bytes(16), tag, number, 1)))


def test_a_tagged_gtid_of_a_newer_format_is_refused() -> None:
    body = tagged_gtid(bytes(16), "a", 1, 1)
    for broken in (varlen(2) + body[1:], body[:2] + varlen(12) + body[3:]):
        with pytest.raises(ValueError, match="not known"):
            events.tagged_gtid(event(events.GTID_TAGGED, broken))


@pytest.mark.parametrize(("flags", "alone"), [(0, False), (1, True), (2, False), (3, True)])
def test_a_mariadb_gtid_tells_whether_it_stands_alone(flags: int, alone: bool) -> None:
    body = (42).to_bytes(8, "little") + (5).to_bytes(4, "little") + bytes([flags]) + bytes(6)
    assert events.mariadb_gtid(event(events.MARIADB_GTID, body), 7) == ("5-7-42", alone)


def test_a_rotation_names_the_next_file_and_where_to_read_on() -> None:
    assert events.rotate(CAPTURED["rotate"][0]) == ("bin.000001", 4)


def test_a_heartbeat_tells_how_far_the_server_is() -> None:
    data = CAPTURED["heartbeat"][0]
    assert events.heartbeat(data, events.header(data)) == ("bin.000001", 7376)


def test_a_heartbeat_of_the_second_form_reaches_beyond_four_gigabytes() -> None:
    offset = b"\xfe" + (5 << 32).to_bytes(8, "little")
    body = b"\1\x0abin.000002" + b"\2" + bytes([len(offset)]) + offset + b"\0"
    data = event(events.HEARTBEAT_V2, body)
    assert events.heartbeat(data, events.header(data)) == ("bin.000002", 5 << 32)


def test_a_query_tells_its_database_and_its_text() -> None:
    assert events.query(CAPTURED["query"][0])[1] == "BEGIN"
    assert events.query(CAPTURED["query"][-1]) == ("mysql", "CREATE TABLE kinds.last (id INT PRIMARY KEY)")


def test_a_query_that_is_not_utf8_is_readable_all_the_same() -> None:
    body = bytes(8) + b"\1" + bytes(2) + bytes(2) + b"d\0" + b"INSERT '\xe9'"
    assert events.query(event(events.QUERY, body)) == ("d", "INSERT '\ufffd'")


def test_the_rows_of_another_layout_are_refused() -> None:
    data = bytearray(CAPTURED["write_rows"][1])
    data[events.HEADER + 10] -= 1
    with pytest.raises(ValueError, match="a row event of `everything` has 28 columns, its table map 29"):
        list(events.rows(bytes(data), events.WRITE_V2, table()))


def test_half_a_row_is_refused_with_the_setting_to_change() -> None:
    data = bytearray(CAPTURED["write_rows"][1])
    data[events.HEADER + 11] ^= 1
    with pytest.raises(Misconfigured, match="came without all their columns: SET PERSIST binlog_row_image = 'FULL'"):
        list(events.rows(bytes(data), events.WRITE_V2, table()))


@pytest.mark.parametrize("cut", [1, 3, 100])
def test_rows_that_were_cut_are_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"a row event of `everything`|a value runs beyond its event"):
        list(events.rows(CAPTURED["write_rows"][0][:-cut], events.WRITE_V2, table()))


def test_rows_with_bytes_left_over_are_refused() -> None:
    with pytest.raises(ValueError, match="a row event of `everything`"):
        list(events.rows(CAPTURED["write_rows"][0] + b"\0", events.WRITE_V2, table()))


def test_the_first_version_of_row_events_is_read_too() -> None:
    """It lacks the two bytes of extra data."""
    data = CAPTURED["write_rows"][0]
    old = data[: events.HEADER + 8] + data[events.HEADER + 10 :]
    assert list(events.rows(old, events.WRITE_V1, table())) == [(None, FIRST), (None, {**FIRST, "id": 2})]


def test_the_table_id_of_a_row_event_is_that_of_its_map() -> None:
    assert events.rows_table(CAPTURED["write_rows"][0]) == table().table_id


def test_the_lengths_of_the_encoder_are_those_of_the_format() -> None:
    assert variable_length(300) == b"\xac\x02"
