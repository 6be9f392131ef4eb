"""The statements that read rows of a captured table, and their values in the envelope's forms: pure."""

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pymysql.converters import conversions

from changes.canonical import Value
from changes.schema import Column, Kind, TableSchema
from streams.binlog.jsonb import compact

TEXT_PROTOCOL: dict[Any, Any] = {key: value for key, value in conversions.items() if not isinstance(key, int)}
"""pymysql's converters of arguments, and none of results: values stay as the server wrote them."""


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def select_after(
    schema: TableSchema,
    key: tuple[str, ...],
    after: tuple[Value, ...] | None,
    limit: int | None,
    where: str = "",
) -> tuple[str, list[Any]]:
    """The statement for the rows behind ``after`` in key order, of those that fit ``where``, and its arguments.

    A row comparison ``(a, b) > (x, y)`` would not use the index, so it is written out. ``limit`` ``None``: all.
    """
    sql = _select(schema)
    arguments: list[Any] = []
    conditions = [_predicate(where)] if where else []
    if after is not None:
        branches = []
        for depth in range(len(key)):
            terms = [f"{quoted(name)} = %s" for name in key[:depth]] + [f"{quoted(key[depth])} > %s"]
            branches.append("(" + " AND ".join(terms) + ")")
            arguments += [
                _ordered(schema.column(name), value) for name, value in zip(key, after[: depth + 1], strict=False)
            ]
        behind = " OR ".join(branches)
        conditions.append(f"({behind})" if where else behind)
    if conditions:
        sql += " WHERE " + " AND ".join(conditions)
    sql += " ORDER BY " + ", ".join(quoted(name) for name in key)
    return (sql if limit is None else f"{sql} LIMIT {limit}"), arguments


def select_keys(schema: TableSchema, key: tuple[str, ...], wanted: Sequence[Sequence[Value]]) -> tuple[str, list[Any]]:
    """The statement for the rows with the keys ``wanted``, at least one, and its arguments.

    MySQL compares text keys by their collation, so that it may find rows of other keys too: for the caller to sift.
    """
    names = ", ".join(quoted(name) for name in key)
    marks = ", ".join(["%s"] * len(key))
    one = marks if len(key) == 1 else f"({marks})"
    arguments = [
        _argument(schema.column(name), value) for values in wanted for name, value in zip(key, values, strict=True)
    ]
    where = names if len(key) == 1 else f"({names})"
    return f"{_select(schema)} WHERE {where} IN ({', '.join([one] * len(wanted))})", arguments


def explain(schema: TableSchema, where: str) -> str:
    """The statement by which the server guesses how many rows fit; it takes an empty list of arguments."""
    table = f"{quoted(schema.database)}.{quoted(schema.table)}"
    rest = f" WHERE {_predicate(where)}" if where else ""
    return f"EXPLAIN FORMAT=TRADITIONAL SELECT * FROM {table}{rest}"  # noqa: S608 - names are quoted


def _predicate(where: str) -> str:
    """Whatever it ends with, what follows it counts; the driver takes ``%`` for the place of an argument."""
    return "(" + where.replace("%", "%%") + "\n)"


def rows_of(schema: TableSchema, fetched: Iterable[Sequence[Any]]) -> Iterator[dict[str, Value]]:
    """Rows as the text protocol gives them, in the envelope's forms."""
    plan = [(column.name, reader_of(column)) for column in schema.columns]
    for values in fetched:
        yield {name: None if value is None else read(value) for (name, read), value in zip(plan, values, strict=True)}


def columns_of(schema: TableSchema, fetched: Sequence[Sequence[Any]]) -> list[list[Value]]:
    """What `rows_of` gives, a column at a time."""
    if not fetched:
        return [[] for _ in schema.columns]
    found: list[list[Value]] = []
    for column, values in zip(schema.columns, zip(*fetched, strict=True), strict=True):
        read = reader_of(column)
        if read is _as_it_is:
            found.append(list(values))
        elif None in values:
            found.append([None if value is None else read(value) for value in values])
        else:
            found.append(list(map(read, values)))
    return found


def _select(schema: TableSchema) -> str:
    columns = ", ".join(_selected(column) for column in schema.columns)
    return f"SELECT {columns} FROM {quoted(schema.database)}.{quoted(schema.table)}"  # noqa: S608 - names are quoted


def _selected(column: Column) -> str:
    """FLOAT prints fewer digits than it holds, its double does not; the driver takes VECTOR for text unless told."""
    name = quoted(column.name)
    as_ = {"float": "DOUBLE", "vector": "BINARY"}.get(column.base_type)
    return f"CAST({name} AS {as_})" if as_ else name


def _argument(column: Column, value: Value) -> Any:
    if column.kind is Kind.BYTES and isinstance(value, str):
        data = base64.b64decode(value)
        return int.from_bytes(data, "little") if column.base_type == "bit" else data
    if column.kind is Kind.DECIMAL and isinstance(value, str):
        return Decimal(value)  # a text would be compared as a double, and so with 15 digits
    if column.kind in {Kind.DATETIME, Kind.TIMESTAMP, Kind.DATE, Kind.TIME} and isinstance(value, str):
        return value.rstrip("Z").replace("T", " ")
    return value


def _ordered(column: Column, value: Value) -> Any:
    """`_argument`, for comparing in the order that ``ORDER BY`` has: ENUM and SET go by number, not by name."""
    if column.base_type in {"enum", "set"} and isinstance(value, str):
        members = [name.replace("''", "'") for name in _MEMBER.findall(column.type)]
        if column.base_type == "enum":
            return members.index(value) + 1 if value else 0
        return sum(1 << members.index(name) for name in value.split(",") if name)
    return _argument(column, value)


_MEMBER = re.compile(r"'((?:[^']|'')*)'")


def reader_of(column: Column) -> Callable[[Any], Value]:
    """From the text protocol's value to the envelope's; the same bytes as `streams.binlog.values` gives."""
    if column.base_type == "bit" and column.kind is Kind.BYTES:
        return lambda value: base64.b64encode(value[::-1]).decode()
    return _READERS[column.kind]


def _as_it_is(text: str) -> Value:
    return text


_READERS: Mapping[Kind, Callable[[Any], Value]] = {
    Kind.INTEGER: int,
    Kind.DECIMAL: _as_it_is,
    Kind.DOUBLE: float,
    Kind.TEXT: _as_it_is,
    Kind.BYTES: lambda value: base64.b64encode(value).decode(),
    Kind.BOOLEAN: lambda value: value != b"\0",
    Kind.DATE: lambda value: f"{value}Z",
    Kind.TIME: lambda value: f"{value}Z",
    Kind.DATETIME: lambda value: f"{value.replace(' ', 'T')}Z",
    Kind.TIMESTAMP: lambda value: f"{value.replace(' ', 'T')}Z",
    Kind.JSON: compact,
}
