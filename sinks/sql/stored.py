"""Rows of the SQL stores as audits see them: pure."""

from collections.abc import Callable, Sequence
from typing import Any

from changes.canonical import Value
from changes.key import keys_of
from changes.record import StoredRow
from changes.schema import Column, TableSchema
from sinks.sql.table import Table


def storing(
    table: Table,
    schema: TableSchema,
    value_of: Callable[[Column, Value], Value],
    turned: Callable[[Column], bool] = lambda _: True,
) -> Callable[[str, Sequence[Any]], StoredRow]:
    """What makes a row of its place and its fields: the table's columns, position, the hash's halves, mapping,
    generation.

    ``value_of`` makes a value of what the driver gives, of the columns that are ``turned``: it is called for each of
    theirs, and one that is not is as it comes.
    """
    names, key = [column.name for column in table.columns], keys_of(schema)
    width = len(names)
    turning = [(column.name, column) for column in table.columns if turned(column)]

    def stored(place: str, fields: Sequence[Any]) -> StoredRow:
        position, high, low, mapping, generation = fields[width:]
        row = dict(zip(names, fields, strict=False))
        for name, column in turning:
            row[name] = value_of(column, row[name])
        return StoredRow(key(row), place, position, high << 32 | low, mapping, row, generation)

    return stored
