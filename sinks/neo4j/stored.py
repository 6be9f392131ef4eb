"""What statements return, as rows and sums: no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from changes.canonical import Value
from changes.key import Key, key_of
from changes.record import BucketSum, StoredRow, StoredSums
from changes.schema import TableSchema
from sinks.neo4j import statements
from sinks.neo4j.edges import Held, broken
from sinks.neo4j.values import value_of
from sinks.sql.table import Table


class Stored:
    """What a database holds of one table."""

    def __init__(self, table: Table, schema: TableSchema) -> None:
        self._table, self._schema = table, schema
        self._columns = {column.name: column for column in table.columns}
        self._types = statements.types_of(table)

    def row(self, fields: Sequence[Any]) -> StoredRow | None:
        """A row of what `statements.Statements.read` and its like return; ``None`` where its key columns hold no key.

        A node without our key was not written by us: its position is 0, no edges are asked of it, and its place is its
        element id.
        """
        node_key, values, reserved, made, place = fields
        row = {
            name: value_of(column, value) for (name, column), value in zip(self._columns.items(), values, strict=True)
        }
        key = self._key(row)
        if key is None:
            return None
        position, high, low, _, mapping, generation = (one if isinstance(one, int) else 0 for one in reserved)
        wrong: tuple[str, ...] = ()
        if node_key is not None and self._types:
            held = [
                Held(one[0], type_, *one[1:]) for type_, some in zip(self._types, made, strict=True) for one in some
            ]
            wrong = broken(self._table.target, self._columns, row, node_key, held)
        return StoredRow(key, place, position, high << 32 | low, mapping, row, generation, wrong)

    def sum(self, found: StoredSums, rows: Iterable[Sequence[Any]]) -> None:
        """Add what `statements.Statements.sums` or ``resum`` returned."""
        for bucket, count, h1, h2, beyond in rows:
            if count:
                found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(count, h1, h2)
            for values in beyond:
                row = {
                    column.name: value_of(column, value) for column, value in zip(self._table.key, values, strict=True)
                }
                if (key := self._key(row)) is not None:
                    found.beyond["", key.canonical] = bucket

    def sum_strays(self, found: StoredSums, rows: Iterable[Sequence[Any]]) -> None:
        """Add nodes that somebody else made, under the buckets of their keys."""
        for row in map(self.row, rows):
            if row is not None:
                bucket = row.key.bucket
                found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(1)

    def _key(self, row: Mapping[str, Value]) -> Key | None:
        if any(row[column.name] is None for column in self._table.key):
            return None
        try:
            return key_of(self._schema, row)
        except (ValueError, TypeError, AttributeError):  # somebody put there what is no key
            return None
