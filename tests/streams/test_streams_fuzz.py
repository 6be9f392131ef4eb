"""Broken events end in an error that says so, never in another one, and never in a wait without end."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams_events import CAPTURED, COLLATIONS, table

from changes.errors import Misconfigured
from streams.binlog import events
from streams.binlog.jsonb import json_text
from streams.binlog.table_map import parse_table_map, peek_name


def rows(data: bytes) -> None:
    for _ in events.rows(data, data[4] if data[4] in events.ROWS else events.WRITE_V2, table()):
        pass


def table_map(data: bytes) -> None:
    parse_table_map(data, events.HEADER, COLLATIONS)
    peek_name(data, events.HEADER)


def payload(data: bytes) -> None:
    for inner in events.payload(data):
        events.header(inner)


def heartbeat(data: bytes) -> None:
    events.heartbeat(data, events.Header(0, events.HEARTBEAT_V2, 0, 0, 0))


def mariadb_gtid(data: bytes) -> None:
    events.mariadb_gtid(data, 1)


READERS: dict[str, Callable[[bytes], object]] = {
    "write_rows": rows,
    "update_rows": rows,
    "delete_rows": rows,
    "table_map": table_map,
    "payload": payload,
    "gtid": events.gtid,
    "query": events.query,
    "rotate": events.rotate,
    "heartbeat": heartbeat,
    "xid": mariadb_gtid,
}


@st.composite
def mutations(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes behind the header changed, a stretch taken out or put in, or the end cut off."""
    made = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(events.HEADER, max(events.HEADER, len(made) - 1)))
        how = draw(st.sampled_from(["change", "flip", "cut", "insert", "remove"]))
        if how == "change" and at < len(made):
            made[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF]))
        elif how == "flip" and at < len(made):
            made[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del made[at:]
        elif how == "insert":
            made[at:at] = draw(st.binary(min_size=1, max_size=9))
        else:
            del made[at : at + draw(st.integers(1, 9))]
    return bytes(made)


@pytest.mark.parametrize("name", READERS)
@given(draw=st.data())
@settings(max_examples=150)
def test_a_mutated_event_is_read_or_refused(name: str, draw: st.DataObject) -> None:
    data = draw.draw(mutations(draw.draw(st.sampled_from(CAPTURED[name]))))
    with contextlib.suppress(ValueError, Misconfigured):
        READERS[name](data)


@given(st.binary(max_size=64))
@settings(max_examples=300)
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        json_text(data)
