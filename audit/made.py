"""What an enriched topic says last of each key, and what was read of each row, on disk: memory stays flat."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from changes.canonical import bucket_of, halves
from changes.progress import Bucket

_SAID = """
CREATE TABLE IF NOT EXISTS said (key BLOB PRIMARY KEY, row BLOB, names BLOB, partition INTEGER, offset INTEGER,
    position INTEGER, generation INTEGER, basis BLOB, chunks INTEGER, high INTEGER, low INTEGER, targets BLOB,
    bucket INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS said_of ON said (row);
"""
_ROWS = "CREATE TEMP TABLE rows (row BLOB PRIMARY KEY, names BLOB, basis BLOB) WITHOUT ROWID"


@dataclass(frozen=True)
class Said:
    """The last record of one key. ``row`` is the canonical key of the row that it was made from.

    ``basis`` tells what it was made from: the hash of what was read, and what was carried along. ``chunks`` is how many
    records of that row there should be. ``targets`` says where
    each target puts it and the hash of what it then holds, in `audit.derived`'s form. Of a delete only ``position`` and
    where it stands mean anything, and ``targets``, which say where the row lay before: ``whole`` is ``None``.
    """

    key: bytes
    row: bytes
    names: bytes
    partition: int
    offset: int
    position: int
    generation: int
    basis: bytes
    chunks: int
    whole: int | None
    targets: bytes


_COLUMNS = (
    "s.key, s.row, s.names, s.partition, s.offset, s.position, s.generation, s.basis, s.chunks, s.high, s.low,"
    " s.targets"
)
_SAY = (
    "INSERT INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " partition = excluded.partition, offset = excluded.offset, position = excluded.position,"
    " generation = excluded.generation, basis = excluded.basis, chunks = excluded.chunks, high = excluded.high,"
    " low = excluded.low, targets = CASE WHEN excluded.high IS NULL THEN targets ELSE excluded.targets END"
)
_SUMS = "SELECT bucket, count(*), sum(high), sum(low) FROM said WHERE high IS NOT NULL GROUP BY bucket"
STANDING = "(SELECT count(*) FROM said AS o WHERE o.row = s.row AND o.high IS NOT NULL)"
"""How many living records there are of the row of ``s``."""


class Made:
    """One enriched topic's, and the rows of the table that it is made from. Not for several threads at once."""

    def __init__(self, db: sqlite3.Connection | None = None) -> None:
        """In ``db``, which has what was said so far, or in a file of its own that goes with it."""
        self._db = db or temporary()
        for statement in _SAID.split(";"):  # not as a script: that would end the transaction of whoever gave `db`
            self._db.execute(statement)
        self._db.execute(_ROWS)

    def say(self, records: Iterable[Said]) -> None:
        """Take in records, in the order of their topic."""
        self._many(_SAY, map(_fields, records))

    def read(self, rows: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Rows of the table: canonical key, its values as JSON, and the basis of what should be made of them now."""
        self._many("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)

    def _many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._db.execute("SAVEPOINT many")
        self._db.executemany(sql, rows)
        self._db.execute("RELEASE many")

    def of(self, key: bytes) -> tuple[Said, int] | None:
        """The last record of a key, and how many living ones there are of its row."""
        found = self._db.execute(
            f"SELECT {_COLUMNS}, {STANDING} FROM said AS s WHERE s.key = ?",  # noqa: S608 - names from here
            (key,),
        ).fetchone()
        return None if found is None else (_said(found[:-1]), found[-1])

    def of_row(self, row: bytes) -> list[tuple[bytes, bytes]]:
        """Every key that anything was ever made under of a row, with its values as JSON."""
        return list(self._db.execute("SELECT key, names FROM said WHERE row = ?", (row,)))

    def pairs(self) -> Iterator[tuple[Said, int, bytes | None]]:
        """Every record that is no delete, with how many of its row there are, and the basis that its row asks for;
        ``None`` where there is no such row."""
        found = self._db.execute(
            f"SELECT {_COLUMNS}, {STANDING}, r.basis FROM said AS s LEFT JOIN rows AS r ON r.row = s.row"  # noqa: S608
            " WHERE s.high IS NOT NULL"
        )
        for *fields, standing, basis in found:
            yield _said(fields), standing, basis

    def without(self) -> Iterator[tuple[bytes, bytes]]:
        """The rows that nothing stands for: canonical key, its values as JSON."""
        yield from self._db.execute(
            "SELECT row, names FROM rows AS r"
            " WHERE NOT EXISTS (SELECT 1 FROM said AS s WHERE s.row = r.row AND s.high IS NOT NULL)"
        )

    def sums(self) -> dict[int, Bucket]:
        """Of the records that are no deletes: how many, and the sums of the halves of their hashes, by bucket."""
        return {bucket: (count, high, low) for bucket, count, high, low in self._db.execute(_SUMS)}

    def beyond(self, position: int) -> Iterator[Said]:
        """Every last record, deletes too, of a position beyond that one."""
        return self._some("s.position > ?", position)

    def in_buckets(self, buckets: Collection[int]) -> Iterator[Said]:
        """Every record of a key of these buckets that is no delete."""
        return self._some(f"s.high IS NOT NULL AND s.bucket IN ({', '.join('?' * len(buckets))})", *buckets)

    def _some(self, where: str, *arguments: int) -> Iterator[Said]:
        found = self._db.execute(f"SELECT {_COLUMNS} FROM said AS s WHERE {where}", arguments)  # noqa: S608
        return map(_said, found)

    def forget_rows(self) -> None:
        """Free what only the first look needs."""
        self._db.execute("DELETE FROM rows")

    def close(self) -> None:
        self._db.close()


def temporary() -> sqlite3.Connection:
    """A database on disk that goes with its connection, for what need not be undone."""
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;")
    return db


def _fields(one: Said) -> tuple[object, ...]:
    high, low = (None, None) if one.whole is None else halves(one.whole)
    last = (one.position, one.generation, one.basis, one.chunks, high, low, one.targets, bucket_of(one.key))
    return (one.key, one.row, one.names, one.partition, one.offset, *last)


def _said(fields: Sequence[Any]) -> Said:
    key, row, names, partition, offset, position, generation, basis, chunks, high, low, targets = fields
    whole = None if high is None else high << 32 | low
    return Said(key, row, names, partition, offset, position, generation, basis, chunks, whole, targets)
