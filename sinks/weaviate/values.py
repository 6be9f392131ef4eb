"""Columns' values as those of properties, and back: pure, and exact in both directions."""

import re
import struct
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from changes.canonical import Value
from changes.schema import Column, Kind
from sinks.weaviate.schema import Slot

Wire = str | float | bool
"""What a property is sent as. An ``int`` goes as a double, as JSON's numbers do."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?))?Z?")
_WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)
_EXACT = 1 << 53


def written(slot: Slot, value: Value) -> tuple[str, Wire]:
    """The property that takes a value which is not NULL, and what it is sent as.

    Raises `ValueError` where no property of the class can hold it exactly.
    """
    if slot.typed is not None:
        exact = _typed(slot.type, value)
        if exact is not None:
            return slot.typed, exact
    if slot.text is None:
        raise ValueError(f"{value!r} is no value of `{slot.column.name}`, a {slot.column.type}")
    return slot.text, _as_text(slot.column, value)


def packed(slot: Slot, value: Any) -> bytes:
    """A vector's numbers as float32, little-endian; raises `ValueError` where its length is not the column's."""
    wanted = slot.column.arguments
    if wanted and len(value) != wanted[0]:
        raise ValueError(f"`{slot.column.name}` has {wanted[0]} dimensions, not {len(value)}")
    try:
        return struct.pack(f"<{len(value)}f", *value)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"`{slot.column.name}`: {error}") from error


def row_from(slots: Sequence[Slot], properties: dict[str, Any], vectors: dict[str, bytes]) -> dict[str, Value]:
    """A stored object's values, in a form that `changes.canonical` understands."""
    return {slot.column.name: _read(slot, properties, vectors) for slot in slots}


def _typed(type_: str, value: Any) -> Wire | None:
    """``value`` as a property of a type other than text; ``None`` where that would change it."""
    match type_:
        case "boolean":
            return value if isinstance(value, bool) else None
        case "int":
            return float(value) if type(value) is int and abs(value) <= _EXACT else None
        case "number" if isinstance(value, str):
            return number if Decimal(repr(number := float(value))) == Decimal(value) else None
        case "number":
            return float(value)
        case "date":
            return _moment(value)
    return None


def _moment(value: str) -> str | None:
    """As RFC 3339 has it; ``None`` for what is in no calendar, which MySQL allows."""
    match = _MOMENT.fullmatch(value)
    if match is None:
        return None
    day, time = match.groups(default="00:00:00")
    try:
        datetime.fromisoformat(f"{day}T{time[:8]}")
    except ValueError:
        return None
    return f"{day}T{time}Z"


def _as_text(column: Column, value: Any) -> Wire:
    """Text is sent as it came: where it is none, the store refuses it."""
    if column.kind is Kind.TEXT or isinstance(value, str):
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _read(slot: Slot, properties: dict[str, Any], vectors: dict[str, bytes]) -> Value:
    if slot.vector:
        raw = vectors.get(slot.names[0])
        return list(struct.unpack(f"<{len(raw) // 4}f", raw)) if raw else None
    found = [value for name in slot.names if (value := properties.get(name)) is not None]
    if len(found) > 1:
        return " and ".join(map(repr, found))  # somebody wrote the second one: equal to no right value
    return _value(slot.column, found[0]) if found else None


def _value(column: Column, found: Any) -> Value:
    match column.kind:
        case Kind.INTEGER if isinstance(found, str) and _WHOLE.fullmatch(found):
            return int(found)
        case Kind.DECIMAL if isinstance(found, float):
            return format(Decimal(repr(found)), "f")
    return found  # type: ignore[no-any-return]
