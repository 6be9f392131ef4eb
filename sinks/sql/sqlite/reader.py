"""Reading the files: plain generators over sqlite3, each file on a connection of its own that cannot write."""

import json
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from changes.key import Key, key_of
from changes.record import BucketSum, StoredRow, StoredSums
from changes.schema import TableSchema
from sinks.sql.sqlite import statements
from sinks.sql.sqlite.files import path_of, place_in, reading, walk
from sinks.sql.sqlite.portion import bound_key, is_turned, value_of
from sinks.sql.sqlite.survey import Survey, tables
from sinks.sql.stored import storing
from sinks.sql.table import Table


class Reader:
    """The files of one folder. Each of its verbs raises `Transient` or `Misconfigured` for what SQLite raises; another
    process's lock is waited for ``busy`` seconds."""

    def __init__(self, folder: Path, busy: float) -> None:
        self._folder, self._busy = folder, busy
        self._rows = Survey(busy, _all_rows)
        self._sums = Survey(busy, _all_sums)

    def found(
        self, table: Table, schema: TableSchema, wanted: Sequence[tuple[str, Key]], places: Mapping[str, Sequence[int]]
    ) -> Generator[tuple[int, StoredRow]]:
        """What is there of the wanted (place, key)s, each with its index; ``places`` has the indexes by place."""
        stored = storing(table, schema, value_of, is_turned)
        for place, indices in places.items():
            path = path_of(self._folder, place)
            if not path.exists():
                continue
            with reading(path, self._busy) as connection:
                found = names(connection, f"_tr_{table.target.place}")
                keys = [bound_key(table, wanted[index][1].values) for index in indices] if found else []
                for start, size, values in statements.pages(keys):
                    for number, *fields in connection.execute(statements.read(table, found, size), values):
                        yield indices[start + number], stored(place, fields)

    def rows(self, table: Table, schema: TableSchema, buckets: Collection[int] | None) -> Generator[StoredRow]:
        """See `sinks.contract.Sink.rows`. Of few buckets there are rows in few files: who asks for them has asked for
        sums before, and what was remembered for these says which."""
        name, stored = f"_tr_{table.target.place}", storing(table, schema, value_of, is_turned)
        if buckets is None:
            for path in self._rows.turns(walk(self._folder)):
                if (told := self._rows.of(path, name)) is not None:
                    for fields in _picked(table, told[0]):
                        yield stored(place_in(path), fields)
                else:
                    yield from self._scanned(path, table, stored)
            return
        wanted, text = frozenset(buckets), json.dumps(list(buckets))
        for path in self._sums.turns(walk(self._folder)):
            summed = self._sums.of(path, name)
            if summed is None or (summed[0] and not wanted.isdisjoint(bucket for bucket, *_ in summed[0][1])):
                yield from self._scanned(path, table, stored, text)

    def _scanned(
        self, path: Path, table: Table, stored: Callable[[str, Sequence[Any]], StoredRow], *buckets: str
    ) -> Iterator[StoredRow]:
        """What one file holds."""
        with reading(path, self._busy) as connection:
            if found := names(connection, f"_tr_{table.target.place}"):
                for fields in connection.execute(statements.scan(table, found, some=bool(buckets)), buckets):
                    yield stored(place_in(path), fields)

    def sum(self, paths: Sequence[Path], table: Table, schema: TableSchema, upto: int, found: StoredSums) -> None:
        """Add what some files hold, each as it is at one moment."""
        for path in self._sums.turns(paths):
            told = self._sums.of(path, f"_tr_{table.target.place}")
            if told is not None and _add(told[0], upto, found):
                continue
            with reading(path, self._busy) as connection:
                connection.execute("BEGIN")
                _sum(connection, table, schema, upto, place_in(path), found)

    def close(self) -> None:
        self._rows.close()
        self._sums.close()


def names(connection: sqlite3.Connection, name: str) -> dict[str, str]:
    """The columns of a table or view, with their types."""
    return dict(connection.execute(statements.COLUMNS, (name,)))


Rows = tuple[list[str], list[tuple[Any, ...]]]
"""The columns that a file's table has, and what stands in them."""
Sums = tuple[int, list[tuple[int, int, int, int]]]
"""The newest position of a table's rows and tombstones; of each bucket itself, how many rows, the sums of their hashes'
halves."""


def _all_rows(connection: sqlite3.Connection) -> dict[str, Rows]:
    return {name: (columns, rows.fetchall()) for name, columns, rows in tables(connection)}


def _picked(table: Table, told: Rows | None) -> Iterator[list[Any]]:
    """The fields that `statements.scan` would give."""
    if told is None:
        return
    columns, rows = told
    places = {name: number for number, name in enumerate(columns)}
    wanted = [places.get(name) for name in statements.fields(table)]
    for row in rows:
        *fields, generation = [None if number is None else row[number] for number in wanted]
        yield [*fields, generation or 0]


def _all_sums(connection: sqlite3.Connection) -> dict[str, Sums]:
    found: dict[str, Sums] = {}
    for name, *_ in tables(connection):
        rows = connection.execute(statements.sums_of(name)).fetchall()
        found[name] = max((newest for newest, *_ in rows), default=0), [tuple(sums) for _, *sums in rows]
    if names(connection, statements.SIDE_TABLE):
        for target, buried in connection.execute(statements.NEWEST_BURIED):
            newest, sums = found.get(f"_tr_{target}", (0, []))
            found[f"_tr_{target}"] = max(newest, buried), sums
    return found


def _add(told: Sums | None, upto: int, found: StoredSums) -> bool:
    """Add what a file was found to hold, where nothing of it is behind the position ``upto``; whether that was so."""
    newest, sums = (0, []) if told is None else told
    if newest > upto:
        return False
    for bucket, *one in sums:
        found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(*one)
    return True


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
