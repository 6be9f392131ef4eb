"""One table's records of one file, bound; and, once it is known what the file holds, what is to be written."""

import struct
from collections.abc import Callable, Container, Sequence
from itertools import repeat

from changes.canonical import Value, halves
from changes.errors import Rejected
from changes.record import Record
from changes.schema import Column, Kind
from sinks.encoders import raw_bytes, unicode_text
from sinks.sql.sqlite import statements
from sinks.sql.table import Portion, Table

Rows = list[tuple[Value, ...]]

_LARGEST = 2**63 - 1


class Bound:
    """A portion as SQLite takes it; upserts first, then deletes. Raises `Rejected` for a value that it cannot hold."""

    def __init__(self, portion: Portion) -> None:
        self.table = portion.table
        self.records = [*portion.upserts, *portion.deletes]
        self.indices = [*portion.upserted, *portion.deleted]
        columns = {
            column.name: _bound(column, [row[column.name] for row in portion.rows]) for column in portion.table.columns
        }
        hashes = [halves(record.hash) for record in portion.upserts]
        self.rows: Rows = list(
            zip(
                *columns.values(),
                [record.position for record in portion.upserts],
                [high for high, _ in hashes],
                [low for _, low in hashes],
                [record.key.bucket for record in portion.upserts],
                repeat(portion.table.target.mapping),
                [record.generation for record in portion.upserts],
                strict=False,
            )
        )
        self.keys: Rows = list(zip(*(columns[column.name] for column in portion.table.key), strict=True))
        self.keys += [bound_key(portion.table, record.key.values) for record in portion.deletes]

    def yielding(self) -> list[tuple[str, Rows]]:
        """The statements that forget the positions which are to be written over, each with the rows to run it for."""
        over = [index for index, record in enumerate(self.records) if record.over >= 0]
        name = self.table.target.name
        return [
            (
                statements.statements_of(self.table).forget,
                [(*self.keys[index], self.records[index].over) for index in over],
            ),
            (
                statements.DIG_UP,
                [(name, self.records[index].key.canonical, self.records[index].over) for index in over],
            ),
        ]

    def landing(self, held: Sequence[tuple[int, int]]) -> list[int]:
        """Which records land where the file holds rows or tombstones of the generations and positions ``held``."""
        return [index for index, record in enumerate(self.records) if held[index] <= record.order]

    def writes(self, landing: Sequence[int], buried: Container[int], now: int) -> list[tuple[str, Rows]]:
        """The statements that store the landing records, each with the rows to run it for; ``buried`` are the records
        of whose rows the file holds tombstones."""
        texts, name = statements.statements_of(self.table), self.table.target.name
        written = [index for index in landing if index < len(self.rows)]
        gone = [index for index in landing if index >= len(self.rows)]
        return [
            (texts.upsert, [self.rows[index] for index in written]),
            (statements.UNBURY, [(name, *_grave(self.records[index])) for index in written if index in buried]),
            (texts.delete, [(*self.keys[index], *self.records[index].order) for index in gone]),
            (
                statements.BURY,
                [(name, *_grave(self.records[index]), self.records[index].key.bucket, now) for index in gone],
            ),
        ]


def bound_key(table: Table, values: Sequence[Value]) -> tuple[Value, ...]:
    """A key as it is bound. Raises `Rejected` where SQLite cannot hold it."""
    return tuple(_bound(column, [value])[0] for column, value in zip(table.key, values, strict=True))


def is_turned(column: Column) -> bool:
    """Whether SQLite returns something else than was bound, so that `value_of` has work."""
    return column.kind in {Kind.BOOLEAN, Kind.VECTOR}


def value_of(column: Column, value: Value) -> Value:
    """What SQLite returned, as the column's kind is held in Python."""
    if column.kind is Kind.BOOLEAN:
        return bool(value) if value in (0, 1) else value
    if column.kind is Kind.VECTOR and isinstance(value, bytes) and len(value) % 4 == 0:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    return value  # what is not of its kind, as it is: an audit calls it altered


def _grave(record: Record) -> tuple[bytes, int, int]:
    return record.key.canonical, *record.order


def _bound(column: Column, values: list[Value]) -> list[Value]:
    """A column's values as they are bound."""
    encode, fits = _ENCODERS.get(column.kind), _FITS.get(column.kind)
    if encode is None or (fits is not None and fits(values)):
        return values
    return [encode(column, value) for value in values]


def _small(values: Sequence[Value]) -> bool:
    numbers = [value for value in values if isinstance(value, int)]
    return not numbers or (min(numbers) >= -_LARGEST - 1 and max(numbers) <= _LARGEST)


def _ascii(values: Sequence[Value]) -> bool:
    return "".join([value for value in values if isinstance(value, str)]).isascii()


def _integer(column: Column, value: Value) -> Value:
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        raise Rejected(f"SQLite: `{column.name}` is {value}, beyond a signed 64-bit integer")
    return value


def _vector(column: Column, value: Value) -> Value:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != column.arguments[0]:
        raise Rejected(f"SQLite: `{column.name}` is no {column.type}")
    try:
        return struct.pack(f"<{len(value)}f", *value)
    except (struct.error, OverflowError) as error:
        raise Rejected(f"SQLite: `{column.name}` is no vector: {error}") from error


def _zoneless(column: Column, value: Value) -> Value:
    return value.removesuffix("Z") if isinstance(value, str) else value


_ENCODERS: dict[Kind, Callable[[Column, Value], Value]] = {
    Kind.INTEGER: _integer,
    Kind.TEXT: unicode_text("SQLite"),
    Kind.JSON: unicode_text("SQLite"),
    Kind.BYTES: raw_bytes("SQLite"),
    Kind.DATE: _zoneless,
    Kind.TIME: _zoneless,
    Kind.DATETIME: _zoneless,
    Kind.VECTOR: _vector,
}
"""Values of other kinds are bound as they are."""

_FITS: dict[Kind, Callable[[Sequence[Value]], bool]] = {Kind.INTEGER: _small, Kind.TEXT: _ascii, Kind.JSON: _ascii}
"""Whether a whole column can be bound as it is, for a fraction of what a look at each value takes."""
