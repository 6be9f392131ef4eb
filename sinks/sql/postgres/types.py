"""MySQL's column types in PostgreSQL, and the casts between a value's text and its type."""

import math
from array import array

from changes.canonical import Value
from changes.errors import Rejected
from changes.schema import Column, Kind

# By range and exactness: a type that can hold every value of the MySQL type, and says nothing that it does not.
_INTEGERS = {
    ("tinyint", False): "smallint",
    ("tinyint", True): "smallint",
    ("smallint", False): "smallint",
    ("smallint", True): "integer",
    ("mediumint", False): "integer",
    ("mediumint", True): "integer",
    ("int", False): "integer",
    ("int", True): "bigint",
    ("bigint", False): "bigint",
    ("bigint", True): "numeric(20,0)",
    ("year", False): "integer",
}
_TYPES = {
    Kind.DOUBLE: "double precision",
    Kind.TEXT: "text",
    Kind.BYTES: "bytea",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.TIME: "text",  # MySQL's TIME goes to ±838 hours, PostgreSQL's to 24, and its interval renders otherwise
    Kind.DATETIME: "timestamp(6) without time zone",
    Kind.TIMESTAMP: "timestamp with time zone",
    Kind.JSON: "jsonb",
}
# These are read as text: the driver's own objects for them cost more, and a date of PostgreSQL may have no Python one.
_READ_AS_TEXT = (Kind.DECIMAL, Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)
_ZONELESS = (Kind.DATE, Kind.TIME, Kind.DATETIME)


def type_of(column: Column) -> str:
    """The type as PostgreSQL's ``format_type`` spells it, so that it can be compared with a catalog's."""
    if column.kind is Kind.INTEGER:
        return _INTEGERS[column.base_type, column.unsigned]
    if column.kind is Kind.DECIMAL:
        precision, scale = (*column.arguments, 0)[:2] if column.arguments else (10, 0)
        return f"numeric({precision},{scale})"
    if column.kind is Kind.VECTOR:
        return f"vector({column.arguments[0]})"
    return _TYPES[column.kind]


def from_text(column: Column, expression: str) -> str:
    """SQL that turns the text of `to_text` into the column's type."""
    if column.kind is Kind.BYTES:
        return f"decode({expression}, 'base64')"
    if column.kind is Kind.VECTOR:  # which assignment turns into the column's type, whatever schema that is in
        return f"{expression}::real[]"
    return f"{expression}::{type_of(column)}"


def readable(column: Column, expression: str) -> str:
    """SQL that reads a column in a form that `changes.canonical` understands, also one whose type has become wider."""
    if column.kind is Kind.VECTOR:  # bit for bit, and the driver knows it
        return f"{expression}::real[]"
    return f"{expression}::{'text' if column.kind in _READ_AS_TEXT or is_wide(column) else type_of(column)}"


def value_of(column: Column, value: Value) -> Value:
    """What `readable` returned, as the column's kind is held in Python."""
    if isinstance(value, str) and is_wide(column) and value.removeprefix("-").isdigit():  # a numeric may be NaN
        return int(value)
    return value


def to_text(column: Column, values: list[Value]) -> list[str | None]:
    """A column's values, as the envelope holds them, in text that `from_text` reads back exactly.

    Raises `Rejected` where one is no vector.
    """
    if column.kind in (Kind.INTEGER, Kind.DOUBLE, Kind.DECIMAL):
        return [None if value is None else str(value) for value in values]
    if column.kind is Kind.BOOLEAN:
        return [None if value is None else "true" if value else "false" for value in values]
    if column.kind in _ZONELESS:
        return [value.removesuffix("Z") if isinstance(value, str) else value for value in values]  # type: ignore[misc]
    if column.kind is Kind.VECTOR:
        return [None if value is None else _numbers(column, value) for value in values]
    return values  # type: ignore[return-value]  # text already; the driver refuses what is not


def _numbers(column: Column, value: Value) -> str:
    """Nine digits tell any two float32 apart."""
    if not isinstance(value, list):
        raise Rejected(f"PostgreSQL: `{column.name}` is no list of numbers")
    try:
        numbers = array("f", value)
    except TypeError as error:
        raise Rejected(f"PostgreSQL: `{column.name}` is no list of numbers: {error}") from error
    return "{" + ",".join(["%.9g"] * len(numbers)) % tuple(numbers) + "}"


def joined(old: str, new: str) -> str:
    """The type of a column of type ``old`` that shall hold values of type ``new`` too: one of the two, else the exact
    numeric type without limits, else text. Each is cast to it on assignment, and cast back by `readable`."""
    if old == new or widens(new, old):
        return old
    if widens(old, new):
        return new
    return "numeric" if _digits(old) is not None and _digits(new) is not None else "text"


def widens(old: str, new: str) -> bool:
    """Whether every value of type ``old`` is one of type ``new``, the two being numeric and different."""
    before, after = _digits(old), _digits(new)
    return old != new and before is not None and after is not None and before[0] <= after[0] and before[1] <= after[1]


def is_wide(column: Column) -> bool:
    """Whether a column's values may be more than an integer of Python's driver holds, so that `value_of` has work."""
    return column.kind is Kind.INTEGER and type_of(column).startswith("numeric")


def _digits(type_: str) -> tuple[float, float] | None:
    """How many digits an exact numeric type holds before and after the point."""
    ladder = {"smallint": 4.5, "integer": 9.5, "bigint": 18.5}
    if type_ in ladder:
        return ladder[type_], 0
    if type_ == "numeric":
        return math.inf, math.inf
    if not type_.startswith("numeric("):
        return None
    precision, scale = (int(part) for part in type_[8:-1].split(","))
    return precision - scale, scale
