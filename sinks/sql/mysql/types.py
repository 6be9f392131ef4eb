"""The types that a source's columns get here, and values as they are written into statements.

What is exact wins over what looks alike: text and JSON are ``longtext``, compared by bytes, times have microseconds.
Only in keys text has a length, for MySQL indexes none without.
"""

import base64
import binascii
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from changes.canonical import Value
from changes.errors import Misconfigured, Rejected
from changes.schema import Column, Kind

_INTEGERS = {"tinyint": 2.4, "smallint": 4.5, "mediumint": 6.9, "int": 9.3, "bigint": 18.9}
"""Digits, to put them in order."""
_TYPES = {
    Kind.DOUBLE: "double",
    Kind.TEXT: "longtext",
    Kind.JSON: "longtext",  # the type `json` turns a decimal into a double
    Kind.BYTES: "longblob",
    Kind.BOOLEAN: "tinyint(1)",
    Kind.DATE: "date",
    Kind.TIME: "time(6)",
    Kind.DATETIME: "datetime(6)",
    Kind.TIMESTAMP: "timestamp(6)",
    Kind.VECTOR: "longblob",  # as canonical, and as MySQL's VECTOR is within: float32, little-endian
}
_MOST_DIGITS, _MOST_DECIMALS = 65, 30

T = TypeVar("T")


def type_of(column: Column, *, key: bool = False) -> str:
    """The type as `information_schema` spells it, so that it can be compared with what is there.

    Raises `Misconfigured` where a ``key`` cannot be of that type.
    """
    if column.kind is Kind.INTEGER:
        if column.base_type == "year":  # MySQL's own goes from 1901
            return "smallint"
        return f"{column.base_type}{' unsigned' if column.unsigned else ''}"
    if column.kind is Kind.DECIMAL:
        precision, scale = (*column.arguments, 0)[:2] if column.arguments else (10, 0)
        return f"decimal({precision},{scale})"
    if key and column.kind in (Kind.TEXT, Kind.BYTES, Kind.JSON, Kind.VECTOR):
        return f"{'varchar' if column.kind is Kind.TEXT else 'varbinary'}({_length(column)})"
    return _TYPES[column.kind]


def longest(column: Column) -> int:
    """Bytes that a value of a key column has at most in canonical form. Raises `Misconfigured` like `type_of`."""
    if column.kind is Kind.TEXT:
        return 4 * _length(column)
    return _length(column) if column.kind is Kind.BYTES else _MOST_DIGITS + 2


def _length(column: Column) -> int:
    if column.base_type == "bit":
        return 8
    if column.base_type in {"enum", "set"}:
        return len(column.type)  # no value is longer than all of them
    if column.base_type not in {"char", "varchar", "binary", "varbinary"} or column.kind is Kind.VECTOR:
        raise Misconfigured(f"`{column.name}` is a key of the type {column.type}, which no key can be here")
    return column.arguments[0] if column.arguments else 1


def joined(old: str, new: str) -> str:
    """The type of a column of type ``old`` that shall hold values of type ``new`` too: one of the two, else a decimal
    with room for both, else their text, and where one is bytes, the text's bytes."""
    if old == new or widens(new, old):
        return old
    if widens(old, new):
        return new
    if (before := _digits(old)) is not None and (after := _digits(new)) is not None:
        whole, fraction = math.ceil(max(before[0], after[0])), math.ceil(max(before[1], after[1]))
        if whole + fraction <= _MOST_DIGITS and fraction <= _MOST_DECIMALS:
            return f"decimal({whole + fraction},{fraction})"
    return "longblob" if "longblob" in (old, new) else "longtext"


def widens(old: str, new: str) -> bool:
    """Whether every value of type ``old`` is one of type ``new``, the two being different and alike."""
    if old == new:
        return False
    for word in ("varchar(", "varbinary("):
        if old.startswith(word) and new.startswith(word):
            return int(old[len(word) : -1]) <= int(new[len(word) : -1])
    before, after = _digits(old), _digits(new)
    if before is None or after is None or ("unsigned" in new and "unsigned" not in old):
        return False
    return before[0] <= after[0] and before[1] <= after[1]


def _digits(type_: str) -> tuple[float, float] | None:
    """How many digits a type of exact numbers holds before and after the point, more of them being wider."""
    word = type_.removesuffix(" unsigned")
    if word in _INTEGERS:
        # An unsigned one reaches beyond the signed one of its width, and not beyond the next.
        return _INTEGERS[word] + (0.4 if type_ != word else 0), 0
    if not type_.startswith("decimal("):
        return None
    precision, scale = (int(part) for part in type_[8:-1].split(","))
    return precision - scale, scale


NULL = b"NULL"


def literal(column: Column) -> Callable[[Value], bytes]:
    """How a column's values, as the envelope holds them, are written into a statement, under the sql_mode
    ``NO_BACKSLASH_ESCAPES``. What it makes of a value raises `Rejected` where that is none of the column's kind."""
    encode = _LITERALS[column.kind]

    def written(value: Value) -> bytes:
        if value is None:
            return NULL
        try:
            return encode(column, value)
        except (AttributeError, TypeError, ValueError, OverflowError, struct.error, binascii.Error) as error:
            raise Rejected(f"MySQL: `{column.name}` is no {column.type}: {error}") from error

    return written


def text_literal(text: str) -> bytes:
    return b"'" + text.replace("'", "''").encode() + b"'"


def bytes_literal(raw: bytes) -> bytes:
    return b"_binary'" + raw.replace(b"'", b"''") + b"'"


def _integer(column: Column, value: Any) -> bytes:
    return b"%d" % _of(int, value)


def _boolean(column: Column, value: Any) -> bytes:
    return b"%d" % _of(bool, value)


def _decimal(column: Column, value: Any) -> bytes:
    """A number, for in text MySQL would compare it as a double."""
    text = value if isinstance(value, str) else str(int(value))
    if not text.isascii() or not text.removeprefix("-").replace(".", "", 1).isdigit():
        raise ValueError(f"`{text}` is not a decimal number")
    return text.encode()


def _double(column: Column, value: Any) -> bytes:
    """Text, for a number without exponent is a decimal to MySQL."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is none")
    return f"'{number!r}'".encode()


def _text(column: Column, value: Any) -> bytes:
    return text_literal(_of(str, value))


def _bytes(column: Column, value: Any) -> bytes:
    return bytes_literal(value if isinstance(value, bytes) else base64.b64decode(_of(str, value), validate=True))


def _moment(column: Column, value: Any) -> bytes:
    return text_literal(_of(str, value).removesuffix("Z"))  # the session's time zone is UTC


def _of(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"it is {type(value).__name__}")
    return value


def _vector(column: Column, value: Any) -> bytes:
    if not isinstance(value, list) or len(value) != column.arguments[0]:
        raise ValueError(f"it has not {column.arguments[0]} numbers")
    if not math.isfinite(sum(value)):  # a sum of doubles cannot leave their range by finite float32s
        raise ValueError("its numbers must be finite")
    return bytes_literal(struct.pack(f"<{len(value)}f", *value))


_LITERALS: dict[Kind, Callable[[Column, Any], bytes]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DECIMAL: _decimal,
    Kind.DOUBLE: _double,
    Kind.TEXT: _text,
    Kind.JSON: _text,
    Kind.BYTES: _bytes,
    Kind.DATE: _moment,
    Kind.TIME: _moment,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.VECTOR: _vector,
}


PLAIN: Mapping[Kind, type] = {
    Kind.INTEGER: int,
    Kind.DOUBLE: float,
    Kind.BYTES: bytes,
    **dict.fromkeys((Kind.TEXT, Kind.JSON, Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP), str),
}
"""What `value_of` returns as it is."""


def value_of(column: Column, value: Value) -> Value:
    """What MySQL returned, as the column's kind is held in Python; also from a column whose type has become wider."""
    if column.kind is Kind.BYTES:
        return value.encode() if isinstance(value, str) else value
    if column.kind is Kind.VECTOR:
        sized = isinstance(value, bytes) and len(value) % 4 == 0
        return list(struct.unpack(f"<{len(value) // 4}f", value)) if sized else value  # type: ignore[arg-type]
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if column.kind is Kind.INTEGER and isinstance(value, str):
        whole, _, fraction = value.partition(".")
        return int(whole) if whole.removeprefix("-").isdigit() and not fraction.strip("0") else value
    if column.kind is Kind.BOOLEAN and value in (0, 1):
        return bool(value)
    return value  # what is not of its kind, as it is: an audit calls it altered
