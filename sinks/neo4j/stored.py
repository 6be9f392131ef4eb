"""What statements return, as rows and sums: no I/O."""

from collections.abc import Mapping, Sequence
from typing import Any

from changes.canonical import Value
from changes.errors import Rejected
from changes.key import Key, key_of
from changes.record import BucketSum, StoredRow, StoredSums
from changes.schema import Column, TableSchema
from sinks.neo4j import statements
from sinks.neo4j.edges import Held, broken
from sinks.neo4j.values import key_text, value_of
from sinks.sql.table import Table


def stored_row(table: Table, schema: TableSchema, fields: Sequence[Any]) -> StoredRow | None:
    """A row of what `statements.Statements.read` and its like return; ``None`` where its key columns hold no key.

    A node without our key was not written by us: its position is 0, and no edges are asked of it.
    """
    node_key, values, reserved, made = fields
    row = {column.name: value_of(column, value) for column, value in zip(table.columns, values, strict=True)}
    key = _key(schema, table.key, row)
    if key is None:
        return None
    position, high, low, _, mapping, generation = (one if isinstance(one, int) else 0 for one in reserved)
    wrong: tuple[str, ...] = ()
    if node_key is not None and table.target.edges:
        held = [
            Held(one[0], type_, *one[1:])
            for type_, some in zip(statements.types_of(table), made, strict=True)
            for one in some
        ]
        wrong = broken(table.target, {column.name: column for column in table.columns}, row, node_key, held)
    return StoredRow(key, "", position, high << 32 | low, mapping, row, generation, wrong)


def add_sums(found: StoredSums, table: Table, schema: TableSchema, rows: Sequence[Sequence[Any]]) -> None:
    """Add what `statements.Statements.sums` or ``resum`` returned."""
    for bucket, count, h1, h2, beyond in rows:
        if count:
            found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(count, h1, h2)
        for values in beyond:
            row = {column.name: value_of(column, value) for column, value in zip(table.key, values, strict=True)}
            if (key := _key(schema, table.key, row)) is not None:
                found.beyond["", key.canonical] = bucket


def add_strays(found: StoredSums, table: Table, schema: TableSchema, rows: Sequence[Sequence[Any]]) -> None:
    """Count nodes that somebody else made, under the buckets of their keys."""
    for fields in rows:
        if (row := stored_row(table, schema, fields)) is not None:
            found.sums[row.key.bucket] = found.sums.get(row.key.bucket, BucketSum()) + BucketSum(1)


def _key(schema: TableSchema, columns: Sequence[Column], row: Mapping[str, Value]) -> Key | None:
    try:
        key_text(columns, [row[column.name] for column in columns])
        return key_of(schema, row)
    except (Rejected, ValueError, TypeError, AttributeError):  # somebody put there what is no key
        return None
