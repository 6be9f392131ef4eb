"""The inverse of what the binlog decoder does, written from the formats' descriptions: for round trips in tests."""

import json
import struct
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

_BYTES_OF_DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def packed_decimal(value: Decimal, precision: int, scale: int) -> bytes:
    """``DECIMAL(precision, scale)`` as MySQL stores it: groups of nine digits counted from the point."""
    whole, _, fraction = format(value.copy_abs(), f".{scale}f").partition(".")
    whole = whole.lstrip("0").rjust(precision - scale, "0")
    short = len(whole) % 9
    groups = [whole[:short], *(whole[at : at + 9] for at in range(short, len(whole), 9))]
    groups += [fraction[at : at + 9] for at in range(0, len(fraction), 9)]
    raw = b"".join(int(group).to_bytes(_BYTES_OF_DIGITS[len(group)]) for group in groups if group)
    if value.is_signed() and value:
        raw = bytes(byte ^ 0xFF for byte in raw)
    return bytes([raw[0] ^ 0x80]) + raw[1:]


def _unit(extra: int) -> int:
    """Microseconds that the last of ``extra`` bytes counts: each holds two digits."""
    return (1_000_000, 10_000, 100, 1)[extra]


def packed_time(negative: bool, hour: int, minute: int, second: int, micros: int, digits: int) -> bytes:
    """``TIME(digits)``: the clock and the fraction are one number, whose sign is that of its offset from the middle."""
    extra = (digits + 1) // 2
    number = (hour << 12 | minute << 6 | second) << 8 * extra | micros // _unit(extra)
    return ((0x800000 << 8 * extra) + (-number if negative else number)).to_bytes(3 + extra)


def packed_datetime(parts: tuple[int, int, int, int, int, int], micros: int, digits: int) -> bytes:
    """``DATETIME(digits)``."""
    year, month, day, hour, minute, second = parts
    extra = (digits + 1) // 2
    number = ((year * 13 + month) << 5 | day) << 17 | hour << 12 | minute << 6 | second
    return (number + 0x8000000000).to_bytes(5) + (micros // _unit(extra)).to_bytes(extra)


LITERALS = {None: 0, True: 1, False: 2}


class Opaque(bytes):
    """A JSON value of a MySQL type that JSON lacks: the type's number and its bytes."""

    type: int

    @classmethod
    def of(cls, type_: int, data: bytes) -> "Opaque":
        made = cls(data)
        made.type = type_
        return made


def binary_json(value: Any, *, large: bool = False) -> bytes:
    """MySQL's binary JSON: a type byte, then the value; ``large`` takes the four-byte form of containers."""
    type_, body = _json(value, large)
    return bytes([type_]) + body


def _json(value: Any, large: bool) -> tuple[int, bytes]:
    if value is None or isinstance(value, bool):
        return 4, bytes([LITERALS[value]])
    if isinstance(value, int):
        return _json_integer(value)
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, Opaque):
        return 15, bytes([value.type]) + variable_length(len(value)) + bytes(value)
    if isinstance(value, str):
        raw = value.encode()
        return 12, variable_length(len(raw)) + raw
    return _json_container(value, large)


def _json_integer(value: int) -> tuple[int, bytes]:
    for type_, layout, low, high in (
        (5, "<h", -(2**15), 2**15),
        (6, "<H", 0, 2**16),
        (7, "<i", -(2**31), 2**31),
        (8, "<I", 0, 2**32),
        (9, "<q", -(2**63), 2**63),
        (10, "<Q", 0, 2**64),
    ):
        if low <= value < high:
            return type_, struct.pack(layout, value)
    raise ValueError(f"{value} has more than 64 bits")


def _json_container(value: Any, large: bool) -> tuple[int, bytes]:
    """Count and size, key entries (offset, length), value entries (type, offset or value), keys, values."""
    number, inline = ("<I", {4, 5, 6, 7, 8}) if large else ("<H", {4, 5, 6})
    width = struct.calcsize(number)
    is_object = isinstance(value, dict)
    keys = [key.encode() for key in value] if is_object else []
    items = [_json(item, large) for item in (value.values() if is_object else value)]
    at = 2 * width + len(keys) * (width + 2) + len(items) * (width + 1)
    key_entries, value_entries, bodies = b"", b"", b""
    for key in keys:
        key_entries += struct.pack(number, at) + struct.pack("<H", len(key))
        at += len(key)
    for type_, body in items:
        if type_ in inline:
            value_entries += bytes([type_]) + body.ljust(width, b"\0")
        else:
            value_entries += bytes([type_]) + struct.pack(number, at)
            bodies += body
            at += len(body)
    head = struct.pack(number, len(items)) + struct.pack(number, at)
    return (0 if is_object else 2) + large, head + key_entries + value_entries + b"".join(keys) + bodies


def variable_length(number: int) -> bytes:
    """Seven bits a byte, least significant first, the top bit set where more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


REPLACE, INSERT, REMOVE = range(3)


def lenenc(number: int) -> bytes:
    """A length-encoded integer of MySQL's protocol."""
    if number < 0xFB:
        return bytes([number])
    for mark, size in ((0xFC, 2), (0xFD, 3), (0xFE, 8)):
        if number < 1 << 8 * size:
            return bytes([mark]) + number.to_bytes(size, "little")
    raise ValueError(f"{number} has more than 64 bits")


def json_difference(operation: int, path: str, value: Any = None) -> bytes:
    """One change of a partial JSON update; a removal has no value."""
    raw = path.encode()
    body = bytes([operation]) + lenenc(len(raw)) + raw
    if operation == REMOVE:
        return body
    stored = binary_json(value)
    return body + lenenc(len(stored)) + stored


def json_path(legs: Iterable[str | int], *, last: int | None = None) -> str:
    """A path as the server writes it, every name quoted; ``last``: the final leg counts from the end."""
    parts = [f"[{leg}]" if isinstance(leg, int) else f".{json.dumps(leg, ensure_ascii=False)}" for leg in legs]
    return "$" + "".join(parts) + ("" if last is None else f"[last-{last}]" if last else "[last]")


def varlen(number: int) -> bytes:
    """An unsigned integer of MySQL's serialization library."""
    size = max(1, -(-number.bit_length() // 7))
    if size > 8:
        return b"\xff" + number.to_bytes(8, "little")
    return (number << size | (1 << size - 1) - 1).to_bytes(size, "little")


def signed_varlen(number: int) -> bytes:
    return varlen(number << 1 if number >= 0 else (-number - 1) << 1 | 1)


def tagged_gtid(source: bytes, tag: str, number: int, commit_us: int, original_us: int | None = None) -> bytes:
    """The body of a GTID_TAGGED event of MySQL 8.3: fields behind their numbers, one of them maybe absent."""
    fields = [
        varlen(1),
        b"".join(map(varlen, source)),
        signed_varlen(number),
        varlen(len(tag)) + tag.encode(),
        signed_varlen(3),
        signed_varlen(4),
        varlen(commit_us),
        None if original_us is None else varlen(original_us),
        varlen(1234),
        varlen(90704),
    ]
    body = b"".join(varlen(index) + field for index, field in enumerate(fields) if field is not None)
    return varlen(1) + varlen(len(body) + 4) + varlen(0) + body
