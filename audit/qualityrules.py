"""The rules for a table's rows, and the one statement that counts them all: pure.

Every rule becomes three columns of a single aggregate over the table: how many rows it asks about, how many of these
break it, and the keys of some that do. Text is told from the server's side: no value leaves MySQL but keys.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.quality import EXAMPLES, Counted, ExampleKey, MeasureName
from changes.schema import Column, Kind, TableSchema
from changes.tier import seconds
from changes.topology.model import TableDecl
from changes.topology.quality import parent_of
from streams.capture.select import quoted

LISTED_BYTES = 1024
"""The server is told to cut lists of keys behind so many bytes: memory stays flat however many rows are bad."""

_PATTERNS = {
    "email": (254, r"^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:].]+\z"),
    "url": (2048, r"^[Hh][Tt][Tt][Pp][Ss]?://[^[:space:]/?#]+([/?#][^[:space:]]*)?\z"),
    "phone": (32, r"^[+(]*[0-9][0-9 ().-]{4,28}[0-9]\z"),
}
"""By format the greatest length and what the text looks like; what both MySQL's and MariaDB's expressions know."""

_DATES = {Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP}
_NUMBERS = {Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE}
_FIRST_YEAR, _LAST_YEAR = 1900, 2099


@dataclass(frozen=True)
class Rule:
    """One rule: ``asked`` tells which rows it is about, ``good`` which of these keep it, each with its arguments.

    ``every``: instead, a series of the column ``asked``, with a row in each so many seconds. ``flaw`` says why the rule
    cannot be asked.
    """

    measure: MeasureName
    part: str
    asked: str = ""
    good: str = ""
    arguments: tuple[Any, ...] = ()
    every: int = 0
    flaw: str = ""


@dataclass(frozen=True)
class Statement:
    """The rules of a table as one statement. ``key`` are the columns of the examples, none where they are not shown."""

    table: str
    sql: str
    arguments: tuple[Any, ...]
    rules: tuple[Rule, ...]
    flawed: tuple[Rule, ...]
    key: tuple[str, ...]


def rules_of(declared: TableDecl, schemas: Mapping[str, TableSchema], keys: Mapping[str, list[str]]) -> list[Rule]:
    """The rules of a table: those that its definition implies, and those that are declared.

    ``schemas`` are MySQL's tables by name, ``keys`` those of the declared ones.
    """
    schema, quality = schemas[declared.table], declared.quality
    columns = {column.name: column for column in schema.columns}
    found: list[Rule] = []
    for column in schema.columns:
        found += _implied(column, filled=column.name in quality.filled)
    found += [_lacking("completeness", name) for name in quality.filled if name not in columns]
    for name, wanted in quality.formats.items():
        found.append(_format(columns.get(name), name, wanted))
    for pair in quality.ordered:
        found.append(_ordered(columns, pair))
    for name, (least, greatest) in quality.within.items():
        found.append(_within(columns.get(name), name, least, greatest))
    for name, told in quality.parents.items():
        found.append(_parent(columns.get(name), name, parent_of(told, keys), schemas))
    for name, interval in quality.series.items():
        found.append(_series(columns.get(name), name, interval))
    return [replace(rule, flaw=f"`{declared.table}` {rule.flaw}") if rule.flaw else rule for rule in found]


def _implied(column: Column, *, filled: bool) -> Iterator[Rule]:
    """What a column's definition asks for. A text that may not be NULL is not to be blank either."""
    name = f"t.{_name(column.name)}"
    enumerated = column.base_type == "enum"
    if filled or (not column.nullable and column.kind is Kind.TEXT and not enumerated):
        there = f"{name} IS NOT NULL"
        if column.kind is Kind.TEXT:
            there = f"TRIM({name}) <> ''"
        elif column.kind is Kind.BYTES:
            there = f"LENGTH({name}) > 0"
        elif column.kind is Kind.JSON:
            there = f"JSON_TYPE({name}) <> 'NULL'"
        yield Rule("completeness", column.name, "TRUE", there)
    if enumerated:
        yield Rule("format", f"{column.name}: enum", f"{name} IS NOT NULL", f"({name} + 0) > 0")
    elif column.kind in _DATES:
        dated = f"YEAR({name}) BETWEEN {_FIRST_YEAR} AND {_LAST_YEAR} AND MONTH({name}) > 0 AND DAY({name}) > 0"
        yield Rule("format", f"{column.name}: date", f"{name} IS NOT NULL", dated)


def _format(column: Column | None, name: str, wanted: str | list[str]) -> Rule:
    part = f"{name}: {wanted if isinstance(wanted, str) else 'one of ' + ', '.join(wanted)}"
    if column is None:
        return replace(_lacking("format", name), part=part)
    value = f"t.{_name(name)}"
    if wanted == "past":
        if column.kind not in _DATES:
            return _unfit("format", part, column, "dates")
        # Somebody's clock may be ahead, and a time without a zone may be of one that is.
        return Rule("format", part, f"{value} IS NOT NULL", f"{value} <= UTC_TIMESTAMP() + INTERVAL 1 DAY")
    if column.kind is not Kind.TEXT:
        return _unfit("format", part, column, "texts")
    good, arguments = _text_format(value, wanted)
    return Rule("format", part, f"{value} <> ''", good, arguments)


def _text_format(value: str, wanted: str | list[str]) -> tuple[str, tuple[str, ...]]:
    if isinstance(wanted, list):
        marks = ", ".join(["%s"] * len(wanted))
        return f"CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin IN ({marks})", tuple(wanted)
    if wanted == "json":
        return f"JSON_VALID({value})", ()
    longest, pattern = _PATTERNS[wanted]
    return f"CHAR_LENGTH({value}) <= {longest} AND {value} REGEXP %s", (pattern,)


def _ordered(columns: Mapping[str, Column], pair: tuple[str, str]) -> Rule:
    part = " <= ".join(pair)
    for name in pair:
        if name not in columns:
            return replace(_lacking("logic", name), part=part)
    first, second = (f"t.{_name(name)}" for name in pair)
    return Rule("logic", part, f"{first} IS NOT NULL AND {second} IS NOT NULL", f"{first} <= {second}")


def _within(column: Column | None, name: str, least: float, greatest: float) -> Rule:
    part = f"{least:g} <= {name} <= {greatest:g}"
    if column is None:
        return replace(_lacking("logic", name), part=part)
    if column.kind not in _NUMBERS:
        return _unfit("logic", part, column, "numbers")
    value = f"t.{_name(name)}"
    return Rule("logic", part, f"{value} IS NOT NULL", f"{value} BETWEEN %s AND %s", (least, greatest))


def _parent(column: Column | None, name: str, parent: tuple[str, str], schemas: Mapping[str, TableSchema]) -> Rule:
    table, key = parent
    part = f"{name} in {table}.{key}"
    if column is None:
        return replace(_lacking("logic", name), part=part)
    known = schemas.get(table)
    if known is None or key not in {one.name for one in known.columns}:
        missing = f"no table `{table}`" if known is None else f"no column `{key}` in `{table}`"
        return Rule("logic", part, flaw=f"needs its parents, and MySQL has {missing}")
    value = f"t.{_name(name)}"
    place = f"{_name(known.database)}.{_name(table)}"
    there = f"EXISTS (SELECT 1 FROM {place} AS p WHERE p.{_name(key)} = {value})"  # noqa: S608 - names are quoted
    return Rule("logic", part, f"{value} IS NOT NULL", there)


def _series(column: Column | None, name: str, interval: str) -> Rule:
    part = f"{name}: every {interval}"
    if column is None:
        return replace(_lacking("series", name), part=part)
    if column.kind not in _DATES:
        return _unfit("series", part, column, "dates")
    return Rule("series", part, f"t.{_name(name)}", every=round(seconds(interval)))


def _lacking(measure: MeasureName, name: str) -> Rule:
    return Rule(measure, name, flaw=f"has no column `{name}`")


def _unfit(measure: MeasureName, part: str, column: Column, what: str) -> Rule:
    return Rule(measure, part, flaw=f"has `{column.name}` as {column.type}: the rule is for {what}")


def statement_of(
    schema: TableSchema, key: Sequence[str], rules: Sequence[Rule], personal: Collection[str]
) -> Statement:
    """``key`` is the table's; where a column of it is personal, no keys are shown."""
    asked = tuple(rule for rule in rules if not rule.flaw)
    shown = () if set(key) & set(personal) else tuple(key)
    values = ", ".join(_shown(schema.column(name)) for name in shown)
    columns: list[str] = []
    arguments: list[Any] = []
    for rule in asked:
        if rule.every:
            columns.append(_intervals(rule))
            continue
        bad = f"({rule.asked}) AND NOT COALESCE({rule.good}, FALSE)"
        columns += [f"COUNT(IF({rule.asked}, 1, NULL))", f"COUNT(IF({bad}, 1, NULL))"]
        arguments += rule.arguments
        if shown:
            columns.append(f"GROUP_CONCAT(IF({bad}, JSON_ARRAY({values}), NULL) SEPARATOR '\n')")
            arguments += rule.arguments
        else:
            columns.append("NULL")
    place = f"{_name(schema.database)}.{_name(schema.table)}"
    sql = f"SELECT {', '.join(columns) or 'NULL'} FROM {place} AS t"  # noqa: S608 - names are quoted
    flawed = tuple(rule for rule in rules if rule.flaw)
    return Statement(schema.table, sql, tuple(arguments), asked, flawed, shown)


def _intervals(rule: Rule) -> str:
    """Intervals that have a row, the first of them and the last. Times that cannot be are none of the series'."""
    number = f"TIMESTAMPDIFF(SECOND, '1970-01-01', {rule.asked}) DIV {rule.every}"
    dated = f"IF({rule.asked} BETWEEN '1970-01-01' AND UTC_TIMESTAMP() + INTERVAL 1 DAY, {number}, NULL)"
    return f"COUNT(DISTINCT {dated}), MIN({dated}), MAX({dated})"


def _shown(column: Column) -> str:
    name = f"t.{_name(column.name)}"
    return f"HEX({name})" if column.kind is Kind.BYTES else name


def counted(statement: Statement, row: Sequence[Any]) -> Iterator[Counted]:
    """What the statement's one row says."""
    for number, rule in enumerate(statement.rules):
        first, second, third = row[3 * number : 3 * number + 3]
        if rule.every:
            total = 0 if second is None else int(third) - int(second) + 1
            yield Counted(rule.measure, statement.table, rule.part, int(first), total)
        else:
            total, bad = int(first), int(second)
            examples = _examples(statement.key, third)
            yield Counted(rule.measure, statement.table, rule.part, total - bad, total, examples=examples)
    for rule in statement.flawed:
        yield Counted(rule.measure, statement.table, rule.part, reason=rule.flaw)


def unknown(statement: Statement, reason: str) -> Iterator[Counted]:
    """What is to be said where the statement had no answer."""
    for rule in (*statement.rules, *statement.flawed):
        yield Counted(rule.measure, statement.table, rule.part, reason=rule.flaw or reason)


def _examples(key: Sequence[str], listed: str | bytes | None) -> list[ExampleKey]:
    """The keys of a list that may have been cut in its last line."""
    text = listed.decode("utf-8", "replace") if isinstance(listed, bytes) else listed or ""
    lines = text.split("\n")
    if len(text.encode()) >= LISTED_BYTES:
        lines.pop()
    return [dict(zip(key, json.loads(line), strict=True)) for line in lines[:EXAMPLES] if line]


def _name(name: str) -> str:
    """As the driver takes it, which sees the place of an argument in every ``%``."""
    return quoted(name).replace("%", "%%")
