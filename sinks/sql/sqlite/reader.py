"""Reading the files: plain generators over sqlite3, each file on a connection of its own that cannot write."""

import json
import sqlite3
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from changes.key import Key, key_of
from changes.record import BucketSum, StoredRow, StoredSums
from changes.schema import TableSchema
from sinks.sql.sqlite import statements
from sinks.sql.sqlite.files import path_of, place_in, reading, walk
from sinks.sql.sqlite.portion import bound_key, value_of
from sinks.sql.table import Table


class Reader:
    """The files of one folder. Each of its verbs raises `Transient` or `Misconfigured` for what SQLite raises; another
    process's lock is waited for ``busy`` seconds."""

    def __init__(self, folder: Path, busy: float) -> None:
        self._folder, self._busy = folder, busy

    def found(
        self, table: Table, schema: TableSchema, wanted: Sequence[tuple[str, Key]], places: Mapping[str, Sequence[int]]
    ) -> Generator[tuple[int, StoredRow]]:
        """What is there of the wanted (place, key)s, each with its index; ``places`` has the indexes by place."""
        for place, indices in places.items():
            path = path_of(self._folder, place)
            if not path.exists():
                continue
            with reading(path, self._busy) as connection:
                found = names(connection, f"_tr_{table.target.place}")
                keys = [bound_key(table, wanted[index][1].values) for index in indices] if found else []
                for start, size, values in statements.pages(keys):
                    for number, *fields in connection.execute(statements.read(table, found, size), values):
                        yield indices[start + number], _stored(table, schema, place, fields)

    def rows(self, table: Table, schema: TableSchema, buckets: Collection[int] | None) -> Generator[StoredRow]:
        """See `sinks.contract.Sink.rows`."""
        wanted = () if buckets is None else (json.dumps(list(buckets)),)
        for path in walk(self._folder):
            with reading(path, self._busy) as connection:
                found = names(connection, f"_tr_{table.target.place}")
                if found:
                    place = place_in(path)
                    for fields in connection.execute(statements.scan(table, found, some=bool(wanted)), wanted):
                        yield _stored(table, schema, place, fields)

    def sum(self, paths: Sequence[Path], table: Table, schema: TableSchema, upto: int, found: StoredSums) -> None:
        """Add what some files hold, each as it is at one moment."""
        for path in paths:
            with reading(path, self._busy) as connection:
                connection.execute("BEGIN")
                _sum(connection, table, schema, upto, place_in(path), found)


def names(connection: sqlite3.Connection, name: str) -> dict[str, str]:
    """The columns of a table or view, with their types."""
    return dict(connection.execute(statements.COLUMNS, (name,)))


def _sum(
    connection: sqlite3.Connection, table: Table, schema: TableSchema, upto: int, place: str, found: StoredSums
) -> None:
    """Add what one file holds."""
    if names(connection, f"_tr_{table.target.place}"):
        for bucket, *sums in connection.execute(statements.sums(table), (upto,)):
            found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(*sums)
        for *values, bucket in connection.execute(statements.beyond(table), (upto,)):
            key = {column.name: value_of(column, value) for column, value in zip(table.key, values, strict=True)}
            found.beyond[place, key_of(schema, key).canonical] = bucket
    if names(connection, statements.SIDE_TABLE):
        wanted = (table.target.name, upto)
        for grave, bucket in connection.execute(statements.BURIED_BEYOND, wanted):
            found.beyond[place, grave] = bucket


def _stored(table: Table, schema: TableSchema, place: str, fields: Iterable[Any]) -> StoredRow:
    *values, position, high, low, mapping, generation = fields
    row = {column.name: value_of(column, value) for column, value in zip(table.columns, values, strict=True)}
    return StoredRow(key_of(schema, row), place, position, high << 32 | low, mapping, row, generation)
