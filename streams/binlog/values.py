"""Column values: from a row image's bytes to what stands in the envelope.

Layouts are those of `log_event.cc` and `field.cc` of the MySQL server ("row event" in its internals manual). Every
reader takes the row event's bytes and an offset and gives the value and the offset behind it.

Dates that no calendar has (``0000-00-00``, months of 0) are written as they stand: MySQL allows them, so a guess in
their place would be a different value.
"""

import base64
import struct
from collections.abc import Callable
from math import isfinite
from typing import Any

from changes.canonical import Value
from streams.binlog.charsets import Charset
from streams.binlog.decimal import decimal_size, read_decimal
from streams.binlog.jsonb import json_text

Reader = Callable[[bytes, int], tuple[Value, int]]

Form = tuple[Any, ...]
"""A reader before it is made: the function of this module that makes it, and what that takes."""

TINY, SHORT, LONG, FLOAT, DOUBLE, TIMESTAMP, LONGLONG, INT24 = 1, 2, 3, 4, 5, 7, 8, 9
DATE, TIME, DATETIME, YEAR, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 10, 11, 12, 13, 15, 16, 17, 18, 19
VECTOR, JSON, NEWDECIMAL, ENUM, SET, BLOB, VAR_STRING, STRING, GEOMETRY = 242, 245, 246, 247, 248, 252, 253, 254, 255

_INTEGERS = {
    (TINY, False): "<b",
    (TINY, True): "<B",
    (SHORT, False): "<h",
    (SHORT, True): "<H",
    (LONG, False): "<i",
    (LONG, True): "<I",
    (LONGLONG, False): "<q",
    (LONGLONG, True): "<Q",
}


def integer(type_: int, unsigned: bool) -> Reader:
    if type_ == INT24:
        return _int24(unsigned)
    layout = struct.Struct(_INTEGERS[type_, unsigned])
    unpack, size = layout.unpack_from, layout.size

    def read(data: bytes, at: int) -> tuple[Value, int]:
        return unpack(data, at)[0], at + size

    return read


def _int24(unsigned: bool) -> Reader:
    def read(data: bytes, at: int) -> tuple[Value, int]:
        return int.from_bytes(data[at : at + 3], "little", signed=not unsigned), at + 3

    return read


def floating(size: int) -> Reader:
    """FLOAT is given as the double of the same value, as ``CAST(… AS DOUBLE)`` gives it."""
    unpack = struct.Struct("<d" if size == 8 else "<f").unpack_from

    def read(data: bytes, at: int) -> tuple[Value, int]:
        value: float = unpack(data, at)[0]
        if not isfinite(value):  # no server stores one
            raise ValueError(f"a FLOAT or DOUBLE is {value}")
        return value, at + size

    return read


def decimal(precision: int, scale: int) -> Reader:
    size = decimal_size(precision, scale)

    def read(data: bytes, at: int) -> tuple[Value, int]:
        return read_decimal(data[at : at + size], precision, scale), at + size

    return read


def sized(data: bytes, at: int, width: int) -> tuple[bytes, int]:
    """The bytes behind their own length in ``width`` bytes, and the offset behind them."""
    start = at + width
    end = start + int.from_bytes(data[at:start], "little")
    if end > len(data):
        raise ValueError("a value runs beyond its event")
    return data[start:end], end


def _sized(width: int, convert: Callable[[bytes], Value]) -> Reader:
    def read(data: bytes, at: int) -> tuple[Value, int]:
        found, end = sized(data, at, width)
        return convert(found), end

    return read


def text(width: int, charset: Charset) -> Reader:
    return _sized(width, charset.decode)


def blob(width: int, pad_to: int = 0) -> Reader:
    """``pad_to``: BINARY(n) is sent without its trailing zero bytes."""
    return _sized(width, lambda value: base64.b64encode(value.ljust(pad_to, b"\0")).decode())


def json(width: int) -> Reader:
    return _sized(width, json_text)


def enum(size: int, members: tuple[str, ...]) -> Reader:
    """Number 0 is the empty string that MySQL stores for an invalid value."""

    def read(data: bytes, at: int) -> tuple[Value, int]:
        number = int.from_bytes(data[at : at + size], "little")
        return members[number - 1] if number else "", at + size

    return read


def set_(size: int, members: tuple[str, ...]) -> Reader:
    def read(data: bytes, at: int) -> tuple[Value, int]:
        bits = int.from_bytes(data[at : at + size], "little")
        return ",".join(member for index, member in enumerate(members) if bits >> index & 1), at + size

    return read


def bit(bits: int) -> Reader:
    """BIT(1) is a boolean; wider ones are base64 of their bytes, least significant first, as Debezium's Bits."""
    size = (bits + 7) // 8

    def read(data: bytes, at: int) -> tuple[Value, int]:
        raw = data[at : at + size]
        return (raw != b"\0" if bits == 1 else base64.b64encode(raw[::-1]).decode()), at + size

    return read


def year() -> Reader:
    def read(data: bytes, at: int) -> tuple[Value, int]:
        return (1900 + data[at] if data[at] else 0), at + 1

    return read


def _day(year_: int, month: int, day: int) -> str:
    """Months and days may be 0; beyond what a server stores, the bytes are no date."""
    if not 0 <= year_ <= 9999 or month > 12:
        raise ValueError(f"there is no date with the year {year_} and the month {month}")
    return f"{year_:04d}-{month:02d}-{day:02d}"


def _clock(hours: int, packed: int, most: int) -> str:
    """Minutes and seconds are the lowest 12 bits of ``packed``."""
    minute, second = packed >> 6 & 63, packed & 63
    if hours > most or minute > 59 or second > 59:
        raise ValueError(f"there is no time {hours}:{minute}:{second}")
    return f"{hours:02d}:{minute:02d}:{second:02d}"


def _fraction(value: int, digits: int) -> str:
    """``value`` counts units of the last even digit; the text has ``digits`` of them."""
    even = (digits + 1) // 2 * 2
    if value >= 10**even:
        raise ValueError(f"a fraction of {even} digits is {value}")
    return f".{value:0{even}d}"[: digits + 1] if digits else ""


def date() -> Reader:
    def read(data: bytes, at: int) -> tuple[Value, int]:
        packed = int.from_bytes(data[at : at + 3], "little")
        return f"{_day(packed >> 9, packed >> 5 & 15, packed & 31)}Z", at + 3

    return read


def datetime(digits: int) -> Reader:
    extra = (digits + 1) // 2
    size = 5 + extra

    def read(data: bytes, at: int) -> tuple[Value, int]:
        packed = int.from_bytes(data[at : at + 5]) - 0x8000000000
        days, clock = packed >> 17, packed & 0x1FFFF
        months = days >> 5
        fraction = _fraction(int.from_bytes(data[at + 5 : at + size]), digits)
        return f"{_day(months // 13, months % 13, days & 31)}T{_clock(clock >> 12, clock, 23)}{fraction}Z", at + size

    return read


def timestamp(digits: int, *, big_endian: bool = True) -> Reader:
    extra = (digits + 1) // 2
    size = 4 + extra

    def read(data: bytes, at: int) -> tuple[Value, int]:
        seconds = int.from_bytes(data[at : at + 4], "big" if big_endian else "little")
        fraction = _fraction(int.from_bytes(data[at + 4 : at + size]), digits)
        if not seconds and not fraction.strip(".0"):
            return f"0000-00-00T00:00:00{fraction}Z", at + size
        return f"{_utc(seconds)}{fraction}Z", at + size

    return read


def _utc(seconds: int) -> str:
    """Seconds since 1970 as ``YYYY-MM-DDTHH:MM:SS`` (Howard Hinnant, "chrono-compatible low-level date algorithms")."""
    days, rest = divmod(seconds, 86400)
    days += 719468
    era, day_of_era = divmod(days, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year_ = year_of_era + era * 400 + (month <= 2)
    return f"{year_:04d}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def time(digits: int) -> Reader:
    extra = (digits + 1) // 2
    size = 3 + extra
    middle = 0x800000 << 8 * extra
    mask = (1 << 8 * extra) - 1

    def read(data: bytes, at: int) -> tuple[Value, int]:
        packed = int.from_bytes(data[at : at + size]) - middle
        sign, packed = ("-", -packed) if packed < 0 else ("", packed)
        clock = packed >> 8 * extra
        return f"{sign}{_clock(clock >> 12 & 0x3FF, clock, 838)}{_fraction(packed & mask, digits)}Z", at + size

    return read


def checked(form: Form) -> Form:
    """``form``; raises `ValueError` where it has sizes that no column has."""
    build, *sizes = form
    most = {bit: 64, time: 6, datetime: 6, timestamp: 6, text: 4, blob: 4, json: 4, enum: 8, set_: 8}.get(build)
    least = 0 if build in {time, datetime, timestamp} else 1
    fits = most is None or least <= sizes[0] <= most
    if build is floating:
        fits = sizes[0] in {4, 8}
    elif build is decimal:
        fits = sizes[0] > 0 and decimal_size(*sizes) > 0
    if not fits:
        raise ValueError(f"there is no column of {build.__name__.rstrip('_')} {sizes[:2]}")
    return form
