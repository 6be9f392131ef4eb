"""MySQL's columns as the types of BSON, keys as ``_id``, and back: each exact, or text.

What a store returns may have been put there by anybody: what is no value of its column is read as one that equals no
right one, never as one that only looks alike.
"""

import base64
import math
from array import array
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from bson import Decimal128, Int64

from changes.canonical import Value, canonical_row
from changes.schema import Column, Kind
from sinks.mongodb import decimals, jsonvalues

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Value]

_INT64 = 1 << 63
_LONG = {("bigint", False), ("bigint", True), ("int", True)}
_ZONELESS = (Kind.DATE, Kind.TIME, Kind.DATETIME)
_MOMENTS = (Kind.DATETIME, Kind.TIMESTAMP)


def encoder(column: Column) -> Encode | None:
    """What makes of a value, as the envelope holds it, one of BSON; ``None`` where it is one already.

    Not for NULL. Raises `ValueError`, `TypeError` or `ArithmeticError` where it is no value of the column's kind.
    """
    if column.kind is Kind.INTEGER:
        return _long if (column.base_type, column.unsigned) in _LONG else None
    if column.kind is Kind.DECIMAL:
        return decimals.from_text if _digits(column) <= decimals.DIGITS else None
    if column.kind in _MOMENTS and _has_dates(column):
        return partial(_moment, column)
    if column.kind in _ZONELESS:
        return _without_zone
    return _ENCODERS.get(column.kind)


def decoder(column: Column) -> Decode:
    """What makes of a stored value one that `changes.canonical` understands."""
    accepted = _ACCEPTED[column.kind]
    if accepted == (str,):
        return _text
    slowly = partial(_decoded, column, accepted)
    if column.kind is Kind.INTEGER:  # nearly always one of these two
        return lambda value: value if type(value) is int else int(value) if type(value) is Int64 else slowly(value)
    if column.kind in _MOMENTS:
        rendered = _RENDERED[column.kind]
        return lambda value: rendered(value) if type(value) is datetime else slowly(value)
    return slowly


def id_encoder(column: Column) -> Encode:
    """What makes of a key column's value a part of the ``_id``: two are equal exactly where the keys are.

    Numbers beyond an int64 and decimals are text there, for not every server compares a Decimal128 exactly; so are
    dates and times, in their canonical form.
    """
    return _ID_ENCODERS.get(column.kind) or partial(_canonical_text, column)


def id_decoder(column: Column) -> Decode:
    """The inverse of `id_encoder`, of what may be anybody's ``_id``; raises `ValueError` where it is none of ours."""
    return partial(_from_id, _ID_TYPES.get(column.kind, (str,)), column.kind)


def base64_bytes(value: Any) -> bytes:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(memoryview(value))


def _long(value: int) -> Int64 | Decimal128:
    return Int64(value) if value < _INT64 else decimals.from_text(str(value))


def _digits(column: Column) -> int:
    return column.arguments[0] if column.arguments else 10


def _has_dates(column: Column) -> bool:
    """BSON's dates count milliseconds: columns with more digits are text."""
    return not column.arguments or column.arguments[0] <= 3


def _moment(column: Column, text: str) -> datetime | str:
    """Text where there is no such date (``0000-00-00``), or it would lose digits."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.microsecond % 1000:
        return _without_zone(text) if column.kind is Kind.DATETIME else text
    return moment


def _without_zone(text: str) -> str:
    return text.removesuffix("Z")


def _vector(value: Any) -> list[float]:
    if not isinstance(value, list):
        raise TypeError("a vector is a list of numbers")
    return array("f", value).tolist()


_ENCODERS: dict[Kind, Encode] = {
    Kind.DOUBLE: float,
    Kind.BYTES: base64_bytes,
    Kind.JSON: jsonvalues.to_bson,
    Kind.VECTOR: _vector,
}

_NUMBERS = (int, Int64, float, Decimal128)
_ACCEPTED: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: _NUMBERS,
    Kind.DECIMAL: (*_NUMBERS, str),
    Kind.DOUBLE: (int, Int64, float),
    Kind.TEXT: (str,),
    Kind.BYTES: (bytes,),
    Kind.BOOLEAN: (bool,),
    Kind.DATE: (str,),
    Kind.TIME: (str,),
    Kind.DATETIME: (datetime, str),
    Kind.TIMESTAMP: (datetime, str),
    Kind.JSON: (dict, list, str, bool, *_NUMBERS),
    Kind.VECTOR: (list,),
}
"""By the very type: a `bool` is no number, though Python takes it for one."""


def _text(value: Any) -> Value:
    return value if value is None or type(value) is str else _foreign(value)


def _decoded(column: Column, accepted: tuple[type, ...], value: Any) -> Value:
    if value is None:
        return None
    if type(value) not in accepted:
        return _foreign(value)
    try:
        render: Decode = _RENDERED.get(column.kind, _rendered)
        rendered = render(value)
    except ValueError:
        return _foreign(value)
    return rendered


def _rendered(value: Any) -> Any:
    if isinstance(value, Decimal128):
        return decimals.to_text(value)
    return int(value) if isinstance(value, Int64) else value


def _rendered_integer(value: Any) -> Any:
    rendered = _rendered(value)
    return int(rendered) if isinstance(rendered, str) else rendered


def _rendered_moment(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _rendered_instant(value: Any) -> Any:
    return value.isoformat() + "Z" if isinstance(value, datetime) else value


def _rendered_vector(value: Any) -> Any:
    if not all(type(number) in _NUMBERS for number in value):
        raise ValueError("a vector has numbers")
    return value


_RENDERED: dict[Kind, Decode] = {
    Kind.INTEGER: _rendered_integer,
    Kind.DATETIME: _rendered_moment,
    Kind.TIMESTAMP: _rendered_instant,
    Kind.JSON: jsonvalues.to_text,
    Kind.VECTOR: _rendered_vector,
}


def _foreign(value: Any) -> str:
    """Text that is a value of no kind but of text, which takes none that is no text."""
    return f"{type(value).__name__}: {value!r}"


_ID_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int, Int64, float, str),
    Kind.BOOLEAN: (bool,),
    Kind.DOUBLE: (int, Int64, float),
    Kind.BYTES: (bytes,),
}


def _from_id(accepted: tuple[type, ...], kind: Kind, value: Any) -> Any:
    if type(value) not in accepted:
        raise ValueError(f"{value!r} is no part of a key")
    if kind is Kind.INTEGER:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(f"{value!r} is no part of a key")
        return int(value)
    return value


def _id_integer(value: Any) -> Int64 | str:
    number = int(value)
    return Int64(number) if -_INT64 <= number < _INT64 else str(number)


def _positive_zero(value: Any) -> float:
    number = float(value) + 0.0
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no key")
    return number


def _same(value: Any) -> Any:
    return value


def _canonical_text(column: Column, value: Any) -> str:
    """The value's part of a canonical row, ``<length>:<name><tag><length>:<value>``."""
    head = len(b"%d:%b" % (len(column.name.encode()), column.name.encode())) + 1
    return canonical_row((column,), {column.name: value})[head:].partition(b":")[2].decode()


_ID_ENCODERS: dict[Kind, Encode] = {
    Kind.INTEGER: _id_integer,
    Kind.BOOLEAN: bool,
    Kind.DOUBLE: _positive_zero,
    Kind.TEXT: _same,
    Kind.BYTES: base64_bytes,
}
