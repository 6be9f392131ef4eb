"""Binlog events, as far as capture needs them: pure functions from an event's bytes to small values.

Layouts: the MySQL server's `libbinlogevents`, and for MariaDB its "Replication Protocol" documentation.
"""

import io
import re
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from changes.canonical import Value
from changes.errors import Misconfigured
from streams.binlog.broken import TRIPS, refusing
from streams.binlog.lengths import lenenc, signed_varlen, varlen
from streams.binlog.table_map import TableMap

QUERY, ROTATE, FORMAT_DESCRIPTION, XID, TABLE_MAP, HEARTBEAT = 2, 4, 15, 16, 19, 27
WRITE_V1, UPDATE_V1, DELETE_V1, WRITE_V2, UPDATE_V2, DELETE_V2 = 23, 24, 25, 30, 31, 32
GTID, ANONYMOUS_GTID, PREVIOUS_GTIDS, XA_PREPARE, PARTIAL_UPDATE, PAYLOAD, HEARTBEAT_V2, GTID_TAGGED = (
    33,
    34,
    35,
    38,
    39,
    40,
    41,
    42,
)
MARIADB_GTID = 162
MARIADB_COMPRESSED = frozenset({165, 166, 167, 168, 169, 170, 171})

WRITES, DELETES = {WRITE_V1, WRITE_V2}, {DELETE_V1, DELETE_V2}
UPDATES = {UPDATE_V1, UPDATE_V2, PARTIAL_UPDATE}
ROWS = WRITES | UPDATES | DELETES

HEADER = 19
_LATEST_US = 1 << 53
_PREPARED = 1 << 6
"""A flag of MariaDB's GTID events."""
_COMMIT, _ORIGINAL_COMMIT = 6, 7
"""Fields of a tagged GTID: when the transaction was committed here, and where it was made if that is elsewhere."""
_LAST_KNOWN_FIELD = 11
_TAG = re.compile(rb"[a-z_][a-z0-9_]{0,31}")
LARGEST_PAYLOAD = 1 << 30
"""Bytes that one compressed transaction may unfold to before it is refused."""


@dataclass(frozen=True)
class Header:
    """``timestamp`` in seconds; ``end`` is the offset in its file behind this event, 0 in events made for us."""

    timestamp: int
    type: int
    server_id: int
    size: int
    end: int


def header(data: bytes) -> Header:
    """Raises `ValueError` where there are fewer bytes than the event says it has."""
    if len(data) < HEADER:
        raise ValueError(f"an event of {len(data)} bytes has no header")
    size = int.from_bytes(data[9:13], "little")
    if size not in {len(data), len(data) + 4}:  # a checksum may have been taken off
        raise ValueError(f"an event of {size} bytes came in {len(data)}")
    return Header(
        timestamp=int.from_bytes(data[0:4], "little"),
        type=data[4],
        server_id=int.from_bytes(data[5:9], "little"),
        size=size,
        end=int.from_bytes(data[13:17], "little"),
    )


def without_checksum(data: bytes) -> bytes:
    """The event without its CRC32, where it has one.

    Whether it has depends on the setting when its file was begun and, for events made for us, on today's; a checksum
    that fits says it better than either.
    """
    body, checksum = data[:-4], int.from_bytes(data[-4:], "little")
    return body if zlib.crc32(body) == checksum else data


def _number(data: bytes, at: int, size: int) -> int:
    """An unsigned little-endian number that must be there whole."""
    if len(data) < at + size:
        raise ValueError(f"an event of {len(data)} bytes ends inside a number at {at}")
    return int.from_bytes(data[at : at + size], "little")


@refusing
def gtid(data: bytes) -> tuple[str, int]:
    """A GTID event's name and, in microseconds since 1970, when the transaction was committed where it was made.

    The time is 0 where the server is too old to tell (before MySQL 8.0.1).
    """
    name = f"{uuid.UUID(bytes=data[HEADER + 1 : HEADER + 17])}:{_number(data, HEADER + 17, 8)}"
    at = HEADER + 42
    immediate = _number(data, at, 7) if len(data) >= at + 7 else 0
    if immediate >> 55:
        immediate = _number(data, at + 7, 7) & (1 << 55) - 1
    if immediate > _LATEST_US:
        raise ValueError("a transaction was committed after the year 2255")
    return name, immediate


@refusing
def tagged_gtid(data: bytes) -> tuple[str, int]:
    """The same of a transaction whose name has a tag (MySQL 8.3): ``uuid:tag:number``.

    The event is a message of the server's serialization library: fields in order of their numbers, each behind it.
    """
    version, at = varlen(data, HEADER)
    _, at = varlen(data, at)  # the message's size
    last, at = varlen(data, at)
    if version != 1 or last > _LAST_KNOWN_FIELD:
        raise ValueError(f"a tagged GTID has the format {version} and needs its field {last}, which is not known")
    source, tag, number, times = b"", b"", 0, [0, 0]
    field = -1
    while at < len(data) and field < _ORIGINAL_COMMIT:
        before, (field, at) = field, varlen(data, at)
        if field <= before:
            raise ValueError("the fields of a tagged GTID are out of order")
        if field == 1:
            source, at = _small_numbers(data, at, 16)
        elif field == 3:
            size, at = varlen(data, at)
            tag, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a tagged GTID ends inside its tag")
        elif field in {_COMMIT, _ORIGINAL_COMMIT}:
            times[field - _COMMIT], at = varlen(data, at)
        elif field == 2:
            number, at = signed_varlen(data, at)
        elif field < _COMMIT:
            _, at = varlen(data, at)
    committed_us = times[1] or times[0]
    if not _TAG.fullmatch(tag) or number <= 0 or len(source) != 16 or committed_us > _LATEST_US:
        raise ValueError("a tagged GTID has no name, or was committed after the year 2255")
    return f"{uuid.UUID(bytes=source)}:{tag.decode()}:{number}", committed_us


def _small_numbers(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    """Bytes that are each written as an integer of variable length."""
    found = []
    for _ in range(count):
        number, at = varlen(data, at)
        found.append(number)
    return bytes(found), at


@refusing
def mariadb_gtid(data: bytes, server_id: int) -> tuple[str, bool]:
    """The transaction's name, and whether it stands alone (DDL: no COMMIT follows)."""
    sequence = _number(data, HEADER, 8)
    domain = _number(data, HEADER + 8, 4)
    return f"{domain}-{server_id}-{sequence}", bool(data[HEADER + 12] & 1)


@refusing
def mariadb_prepared(data: bytes) -> bool:
    """Whether a MariaDB GTID event begins what XA PREPARE ends."""
    return bool(data[HEADER + 12] & _PREPARED)


@refusing
def xa_prepare(data: bytes) -> tuple[bool, str]:
    """Whether an XA transaction was committed in one phase, and its name as the server spells it elsewhere."""
    one_phase, at = bool(data[HEADER]), HEADER + 1
    format_, first, second = (_number(data, at + skip, 4) for skip in (0, 4, 8))
    body = data[at + 12 : at + 12 + first + second]
    if len(body) < first + second:
        raise ValueError("the name of an XA transaction is cut off")
    return one_phase, f"X'{body[:first].hex()}',X'{body[first:].hex()}',{format_}"


@refusing
def rotate(data: bytes) -> tuple[str, int]:
    """The next file, and where in it the next event stands."""
    offset = _number(data, HEADER, 8)
    return data[HEADER + 8 :].decode(), offset


@refusing
def heartbeat(data: bytes, head: Header) -> tuple[str, int]:
    """The file and offset that the server has reached, sent while there is nothing else to send."""
    if head.type == HEARTBEAT:
        return data[HEADER:].decode(), head.end
    at, file, offset = HEADER, "", head.end
    while at < len(data) and data[at]:
        field, (size, start) = data[at], lenenc(data, at + 1)
        if start + size > len(data):
            raise ValueError("a heartbeat is cut off")
        if field == 1:
            file = data[start : start + size].decode()
        elif field == 2:
            offset = lenenc(data, start)[0]
        at = start + size
    return file, offset


@refusing
def query(data: bytes) -> tuple[str, str]:
    """A statement's default database and text; bytes that are not UTF-8 are replaced, for nothing depends on them."""
    database_size = data[HEADER + 8]
    status_size = _number(data, HEADER + 11, 2)
    at = HEADER + 13 + status_size
    database = data[at : at + database_size].decode("utf-8", "replace")
    return database, data[at + database_size + 1 :].decode("utf-8", "replace")


def payload(data: bytes) -> Iterator[bytes]:
    """The events inside a transaction written with ``binlog_transaction_compression=ON``, one at a time in memory.

    Raises `ValueError` where they cannot be read, `Misconfigured` where nobody knows how they are compressed.
    """
    source, left = _inside(data)
    if left > LARGEST_PAYLOAD:
        raise ValueError(f"a compressed transaction would unfold to {left} bytes")
    while head := _next(source, HEADER):
        length = int.from_bytes(head[9:13], "little")
        left -= length
        if length < HEADER or left < 0:
            raise ValueError(f"an event inside a compressed transaction has {length} bytes")
        if head[4] == PAYLOAD:
            raise ValueError("a compressed transaction is inside another")
        event = head + _next(source, length - HEADER)
        if len(event) < length:
            raise ValueError("an event inside a compressed transaction is cut off")
        yield event
    if left:
        raise ValueError(f"a compressed transaction lacks its last {left} bytes")


def _next(source: BinaryIO, size: int) -> bytes:
    """Fewer bytes only at the end."""
    try:
        return source.read(size)
    except zstandard.ZstdError as error:
        raise ValueError(f"a compressed transaction is broken: {error}") from error


@refusing
def _inside(data: bytes) -> tuple[BinaryIO, int]:
    """What a compressed transaction unfolds to, and how many bytes it says that is."""
    at, size, compression, unfolded = HEADER, 0, 0, 0
    while data[at]:
        field, (length, start) = data[at], lenenc(data, at + 1)
        if field == 1:
            size = lenenc(data, start)[0]
        elif field == 2:
            compression = lenenc(data, start)[0]
        elif field == 3:
            unfolded = lenenc(data, start)[0]
        at = start + length
    body = io.BytesIO(data[at + 1 : at + 1 + size])
    if compression == 255:
        return body, len(body.getvalue())
    if compression != 0:
        raise Misconfigured(f"a transaction is compressed by method {compression}, which is not known")
    return zstandard.ZstdDecompressor().stream_reader(body), unfolded


def rows_table(data: bytes) -> int:
    """The table id of a row event."""
    return _number(data, HEADER, 6)


RowChange = tuple[dict[str, Value] | None, dict[str, Value] | None]
"""(before, after): ``None`` before an insert, ``None`` after a delete."""


def rows(data: bytes, type_: int, table: TableMap) -> Iterator[RowChange]:
    """Every row of a row event, in order.

    Raises `ValueError` where the bytes do not fit the layout, `Misconfigured` where images are not full.
    """
    at = HEADER + 8
    if type_ >= WRITE_V2:
        at += int.from_bytes(data[at : at + 2], "little")
    count, at = lenenc(data, at)
    if count != len(table.readers):
        raise ValueError(f"a row event of `{table.table}` has {count} columns, its table map {len(table.readers)}")
    size = (count + 7) // 8
    present = data[at : at + size]
    at += size
    present_after = present
    if type_ in UPDATES:
        present_after = data[at : at + size]
        at += size
    try:
        while at < len(data):
            places: list[int] | None = [] if type_ == PARTIAL_UPDATE else None
            first, at = table.read_image(data, at, present, places)
            if places is not None:
                after, at = table.read_partial(data, at, present_after, places)
                yield first, after
            elif type_ in WRITES:
                yield None, first
            elif type_ in DELETES:
                yield first, None
            else:
                after, at = table.read_image(data, at, present_after)
                yield first, after
    except (*TRIPS, UnicodeDecodeError) as error:
        raise ValueError(f"a row event of `{table.table}` cannot be read: {error}") from error
    if at != len(data):
        raise ValueError(f"a row event of `{table.table}` has {len(data) - at} bytes too few or too many")
