"""The canonical form: bytes that are equal exactly when two values mean the same, whatever store they came from.

A store renders a value its own way (``1.50`` or ``1.5``, ``2026-01-02 03:04:05`` or ``2026-01-02T03:04:05Z``, JSON
keys in another order); the canonical form takes that away and nothing else. Hashes of it are compared across
stores, so these bytes are a contract: a change here makes every stored hash differ. Golden values are kept in
``tests/changes/golden``.

A row is its columns that are not NULL, in byte order of their names, each written as::

    <length of name>:<name><tag><length of value>:<value>

in bytes, lengths in decimal. NULLs are left out, so adding a nullable column changes no row's hash.

======== ==== =========================================================================================
kind     tag  value
======== ==== =========================================================================================
INTEGER  i    decimal digits, ``-`` in front where negative
BOOLEAN  i    ``0`` or ``1``
DECIMAL  d    plain digits, no trailing zeros after the point, no point at the end, never ``-0``
DOUBLE   f    IEEE 754 binary64, big-endian, 16 hex digits; ``-0.0`` as ``0.0``
TEXT     s    UTF-8
BYTES    b    the bytes
DATE     t    ``YYYY-MM-DD``
TIME     t    ``[-]HH:MM:SS[.fraction]``, no trailing zeros in the fraction
DATETIME t    ``YYYY-MM-DDTHH:MM:SS[.fraction]``, likewise; TIMESTAMP the same, in UTC
JSON     j    keys sorted, no spaces, numbers as ``<digits>e<exponent>`` without trailing zeros
VECTOR   v    IEEE 754 binary32, little-endian, 4 bytes a number; ``-0.0`` as ``0.0``, finite
======== ==== =========================================================================================
"""

import base64
import json
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import xxhash

from changes import jsontext
from changes.schema import Column, Kind

BUCKETS = 1024

Value = bool | int | float | str | bytes | list[float] | None
"""A column's value: as the envelope holds it (bytes in base64 text), or as a store returned it."""


_WRONG = (TypeError, AttributeError, OverflowError)
"""What an encoder raises, beside `ValueError`, for a value of a type that its kind cannot have."""


def field(kind: Kind, value: Value, lenient: bool) -> tuple[bytes, bytes]:
    """The tag and the bytes of one value."""
    tag, encode = _ENCODERS[kind]
    try:
        return tag, encode(value)
    except (ValueError, *_WRONG) as error:
        if not lenient:
            raise ValueError(f"no {kind}: {error}") from error
        return b"!", repr(value).encode("utf-8", "surrogatepass")


def tag_of(kind: Kind) -> bytes:
    """What stands before the values of a kind."""
    return _ENCODERS[kind][0]


def canonical_row(columns: Iterable[Column], row: Mapping[str, Value], *, lenient: bool = False) -> bytes:
    """The canonical bytes of ``row`` restricted to ``columns``.

    Raises `ValueError` where a value is not of its column's kind; `KeyError` where a column is absent. ``lenient`` is
    for what a store holds, where anybody may have put anything: such a value is then one that equals no right one.
    """
    parts: list[bytes] = []
    for column in sorted(columns, key=_name_bytes):
        value = row[column.name]
        if value is None:
            continue
        name = column.name.encode()
        tag, body = field(column.kind, value, lenient)
        parts.append(b"%d:%b%b%d:%b" % (len(name), name, tag, len(body), body))
    return b"".join(parts)


def row_hash(columns: Iterable[Column], row: Mapping[str, Value], *, lenient: bool = False) -> int:
    """xxh64 (seed 0) of the canonical row: an unsigned 64-bit integer."""
    return xxhash.xxh64_intdigest(canonical_row(columns, row, lenient=lenient), seed=0)


def halves(hash_: int) -> tuple[int, int]:
    """A row hash as two unsigned 32-bit numbers: sums of them stay exact in every store."""
    return hash_ >> 32, hash_ & 0xFFFFFFFF


def bucket_of(key: bytes) -> int:
    """The bucket, 0..1023, of a key's canonical bytes."""
    return xxhash.xxh64_intdigest(key, seed=0) % BUCKETS


def compiled(columns: Iterable[Column], *, lenient: bool = False) -> Callable[[Mapping[str, Value]], int]:
    """`row_hash` for one column list, with the sorting and the names done once: for the hot path."""
    ordered = sorted(columns, key=_name_bytes)
    plan = [
        (column.name, b"%d:%b%b" % (len(column.name.encode()), column.name.encode(), tag), encode)
        for column in ordered
        for tag, encode in (_ENCODERS[column.kind],)
    ]

    def hash_row(row: Mapping[str, Value]) -> int:
        parts: list[bytes] = []
        try:
            for name, prefix, encode in plan:
                value = row[name]
                if value is not None:
                    body = encode(value)
                    parts.append(b"%b%d:%b" % (prefix, len(body), body))
        except (ValueError, *_WRONG):
            return row_hash(ordered, row, lenient=lenient)  # which says what is wrong, or takes it as it is
        return xxhash.xxh64_intdigest(b"".join(parts), seed=0)

    return hash_row


def _name_bytes(column: Column) -> bytes:
    return column.name.encode()


def _integer(value: Any) -> bytes:
    if isinstance(value, str):
        _plain(value)
    number = int(value)
    if number != value and not isinstance(value, str):
        raise ValueError(f"{value!r} is not an integer")
    return b"%d" % number


def _plain(text: str) -> None:
    """Refuse what Python reads as a number and no store writes as one: spaces, ``1_000``, digits of other scripts."""
    if not text.isascii() or "_" in text or text.strip() != text:
        raise ValueError(f"`{text}` is no number")


_BOOLEANS: dict[Any, bytes] = {
    **dict.fromkeys((True, "t", "true", "1", b"\1"), b"1"),
    **dict.fromkeys((False, "f", "false", "0", b"\0"), b"0"),
}


def _boolean(value: Any) -> bytes:
    digit = _BOOLEANS.get(value)
    if digit is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return digit


_LONGEST_DECIMAL = 400
"""Digits before or after the point; MySQL has 65, a float written out some 310."""


def _decimal(value: Any) -> bytes:
    text = value if isinstance(value, str) else format(Decimal(value), "f")
    if "e" in text or "E" in text:
        number = _exact(text)
        if abs(number.adjusted()) > _LONGEST_DECIMAL:  # written out, it could fill the memory
            raise ValueError(f"`{text}` is longer than any decimal")
        text = format(number, "f")
    sign = text[:1]
    whole, _, fraction = (text[1:] if sign in {"-", "+"} else text).partition(".")
    if not (whole + fraction).isdigit():
        raise ValueError(f"{value!r} is not a decimal number")
    whole, fraction = whole.lstrip("0") or "0", fraction.rstrip("0")
    digits = f"{whole}.{fraction}" if fraction else whole
    return (f"-{digits}" if sign == "-" and digits != "0" else digits).encode("ascii")


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"`{text}` is not a decimal number") from error


def _double(value: Any) -> bytes:
    if isinstance(value, str):
        _plain(value)
    return struct.pack(">d", float(value) + 0.0).hex().encode()


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value.encode("utf-8", "surrogatepass")


def _bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(memoryview(value))


_NEGATIVE_ZERO = struct.pack("<f", -0.0)


def _vector(value: Any) -> bytes:
    """``value``: numbers in a sequence or in JSON's text, or the canonical bytes themselves, ``-0.0`` and all."""
    try:
        numbers = _numbers(value)
        packed = struct.pack(f"<{len(numbers)}f", *numbers)
    except (struct.error, TypeError, OverflowError) as error:
        raise ValueError(f"no vector of float32: {error}") from error
    if not math.isfinite(sum(numbers)):  # a sum of doubles cannot leave their range by finite float32s
        raise ValueError("a vector's numbers must be finite")
    if _NEGATIVE_ZERO in packed:  # perhaps across two numbers, perhaps made by rounding
        numbers = struct.unpack(f"<{len(numbers)}f", packed)
        packed = struct.pack(f"<{len(numbers)}f", *(number + 0.0 for number in numbers))
    return packed


def _numbers(value: Any) -> Sequence[float]:
    if isinstance(value, str):
        value = json.loads(value)
        if not isinstance(value, list):
            raise TypeError("its text is no list")
    elif isinstance(value, bytes):
        if len(value) % 4:
            raise ValueError(f"{len(value)} bytes are no vector of float32")
        value = struct.unpack(f"<{len(value) // 4}f", value)
    return value  # type: ignore[no-any-return]


_MIDNIGHT = "00:00:00"


def _date(value: Any) -> bytes:
    text = value if isinstance(value, str) else value.isoformat()
    text = text.removesuffix("Z")
    if len(text) > 10:  # some stores know dates only as the midnights that they begin with
        day, time = text[:10], text[11:]
        if text[10] not in "T " or _trim_fraction(time.removesuffix("+00:00")) != _MIDNIGHT.encode():
            raise ValueError(f"`{text}` is no date")
        text = day
    return text.encode()


def _time(value: Any) -> bytes:
    text = value if isinstance(value, str) else value.isoformat()
    return _trim_fraction(text.removesuffix("Z"))


def _datetime(value: Any) -> bytes:
    text = value if isinstance(value, str) else value.isoformat()
    text = text.removesuffix("Z").removesuffix("+00:00").removesuffix("+00")
    return _trim_fraction(text.replace(" ", "T", 1))


def _trim_fraction(text: str) -> bytes:
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


def canonical_json(text: str | bytes) -> bytes:
    """JSON text with keys sorted, spaces gone and every number in one spelling.

    ``1``, ``1.0`` and ``1e0`` are one number: PostgreSQL, MongoDB and Elasticsearch each render them their own way.
    Raises `ValueError` where ``text`` is not JSON.
    """
    plain = jsontext.rewritten(text, sort=True, numbers=False) if isinstance(text, str) else None
    if plain is not None:
        return plain.encode()
    value = jsontext.parse(text, integer=_number, double=_number)
    return jsontext.write(value, sort=True).encode("utf-8", "surrogatepass")


def _number(text: str) -> str:
    sign, digits, exponent = _exact(text).as_tuple()
    body = "".join(map(str, digits)).lstrip("0")
    if not body:
        return "0"
    if not isinstance(exponent, int):
        raise ValueError(f"`{text}` is no JSON number")
    trimmed = body.rstrip("0")
    return f"{'-' if sign else ''}{trimmed}e{exponent + len(body) - len(trimmed)}"


_ENCODERS: dict[Kind, tuple[bytes, Callable[[Any], bytes]]] = {
    Kind.INTEGER: (b"i", _integer),
    Kind.BOOLEAN: (b"i", _boolean),
    Kind.DECIMAL: (b"d", _decimal),
    Kind.DOUBLE: (b"f", _double),
    Kind.TEXT: (b"s", _text),
    Kind.BYTES: (b"b", _bytes),
    Kind.DATE: (b"t", _date),
    Kind.TIME: (b"t", _time),
    Kind.DATETIME: (b"t", _datetime),
    Kind.TIMESTAMP: (b"t", _datetime),
    Kind.JSON: (b"j", canonical_json),
    Kind.VECTOR: (b"v", _vector),
}
