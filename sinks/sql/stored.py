"""Rows of the SQL stores as audits see them: pure."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from changes.canonical import Value
from changes.key import keys_of
from changes.record import StoredRow
from changes.schema import Column, Kind, TableSchema
from sinks.sql.table import Table


def storing(
    table: Table,
    schema: TableSchema,
    value_of: Callable[[Column, Value], Value],
    turned: Callable[[Column], bool] = lambda _: True,
    plain: Mapping[Kind, type] = MappingProxyType({}),
) -> Callable[[str, Sequence[Any]], StoredRow]:
    """What makes a row of its place and its fields: the table's columns, position, the hash's halves, mapping,
    generation.

    ``value_of`` makes a value of what the driver gives, of the columns that are ``turned``: it is called for each of
    theirs whose type is not the ``plain`` one of their kind. All else is as it comes.
    """
    names, key = [column.name for column in table.columns], keys_of(schema)
    width = len(names)
    turning = [(column.name, column, plain.get(column.kind)) for column in table.columns if turned(column)]

    def stored(place: str, fields: Sequence[Any]) -> StoredRow:
        position, high, low, mapping, generation = fields[width:]
        row = dict(zip(names, fields, strict=False))
        for name, column, as_it_is in turning:
            if type(row[name]) is not as_it_is:
                row[name] = value_of(column, row[name])
        return StoredRow(key(row), place, position, high << 32 | low, mapping, row, generation)

    return stored
