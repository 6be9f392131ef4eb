"""A column's values as properties, back again, and the text that a row's key is found by.

===================== ===============================================================================================
INTEGER               integer; as text what 64 bits with a sign cannot hold
DOUBLE                float
DECIMAL, JSON         text: exact, and JSON is no property
TEXT                  text
BYTES                 bytes
BOOLEAN               boolean
DATE … TIMESTAMP      text as the envelope has it, without a ``Z`` where MySQL knows no zone: Neo4j's own types begin
                      and end elsewhere, and would lose ``838:59:59``
VECTOR                list of floats, each exactly its float32
===================== ===============================================================================================

NULL is no property at all.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from changes.canonical import Value, canonical_row
from changes.errors import Rejected
from changes.schema import Column, Kind
from sinks.encoders import raw_bytes, unicode_text

_LARGEST = 2**63 - 1

LONGEST_KEY = 7000
"""Bytes of a key's text; an index of Neo4j holds some 8,000 of all that it is of."""


def encoder(column: Column) -> Callable[[Column, Value], Any]:
    """What turns values of a column into properties. It raises `Rejected` where one cannot be."""
    return _ENCODERS[column.kind]


def value_of(column: Column, value: Any) -> Value:
    """A property as the column's kind is held in Python; what is not of its kind equals no value of it."""
    if value is None:
        return None
    if (column.kind is Kind.BYTES) is not isinstance(value, bytes | bytearray):
        return [repr(value)]  # type: ignore[list-item]
    if column.kind is not Kind.BOOLEAN and isinstance(value, bool):
        return [repr(value)]  # type: ignore[list-item]
    return value  # type: ignore[no-any-return]


def key_text(columns: Sequence[Column], values: Sequence[Value]) -> str:
    """The text of a key, different for different keys: that of the one value, else those of all behind their lengths.

    It says nothing of the column's name or type, so that a column of another table which names the row has the same.
    Raises `Rejected` where a value is not of its column's kind, or the text too long for an index.
    """
    try:
        texts = [_text_of(column, value) for column, value in zip(columns, values, strict=True)]
        text = texts[0] if len(texts) == 1 else "".join(f"{len(one)}:{one}" for one in texts)
        size = len(text) if text.isascii() else len(text.encode())
    except ValueError as error:
        raise Rejected(f"Neo4j: `{'`, `'.join(column.name for column in columns)}`: {error}") from error
    if size > LONGEST_KEY:
        raise Rejected(f"Neo4j: `{columns[0].name}` has {size} bytes, more than the {LONGEST_KEY} of a node's key")
    return text


def _text_of(column: Column, value: Value) -> str:
    if type(value) is int and column.kind is Kind.INTEGER:
        return str(value)
    if type(value) is str and column.kind is Kind.TEXT:
        return value
    # The canonical bytes of one nameless column: "0:", its tag, the length and ":" before the value.
    body = canonical_row((Column("", column.kind, column.type),), {"": value})[3:].partition(b":")[2]
    return body.hex() if column.kind in {Kind.BYTES, Kind.VECTOR} else body.decode()


def _plain(column: Column, value: Value) -> Any:
    return value


def _integer(column: Column, value: Value) -> Any:
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        return str(value)
    return value


def _double(column: Column, value: Value) -> Any:
    return float(value) if isinstance(value, int) else value


def _zoneless(column: Column, value: Value) -> Any:
    return value.removesuffix("Z") if isinstance(value, str) else value


def _vector(column: Column, value: Value) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != column.arguments[0]:
        raise Rejected(f"Neo4j: `{column.name}` is no {column.type}")
    form = f"<{len(value)}f"
    try:
        return list(struct.unpack(form, struct.pack(form, *value)))
    except (struct.error, OverflowError) as error:
        raise Rejected(f"Neo4j: `{column.name}` is no vector: {error}") from error


_ENCODERS: dict[Kind, Callable[[Column, Value], Any]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _plain,
    Kind.DOUBLE: _double,
    Kind.DECIMAL: _plain,
    Kind.TEXT: unicode_text("Neo4j"),
    Kind.JSON: unicode_text("Neo4j"),
    Kind.BYTES: raw_bytes("Neo4j"),
    Kind.DATE: _zoneless,
    Kind.TIME: _zoneless,
    Kind.DATETIME: _zoneless,
    Kind.TIMESTAMP: _plain,
    Kind.VECTOR: _vector,
}
