"""What an enriched topic says last of each key, and what was read of each row, on disk: memory stays flat."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE said (key BLOB PRIMARY KEY, row BLOB, names BLOB, partition INTEGER, offset INTEGER, position INTEGER,
    generation INTEGER, basis BLOB, chunks INTEGER, whole BLOB, targets BLOB) WITHOUT ROWID;
CREATE INDEX said_of ON said (row);
CREATE TABLE rows (row BLOB PRIMARY KEY, names BLOB, basis BLOB) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Said:
    """The last record of one key. ``row`` is the canonical key of the row that it was made from.

    ``basis`` tells what it was made from: the hash of what was read, and what was carried along. ``chunks`` is how many
    records of that row there should be. ``targets`` says where
    each target puts it and the hash of what it then holds, in `audit.derived`'s form. Of a delete only ``position`` and
    where it stands mean anything: ``whole`` is ``None``.
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
    "s.key, s.row, s.names, s.partition, s.offset, s.position, s.generation, s.basis, s.chunks, s.whole, s.targets"
)
_STANDING = "(SELECT count(*) FROM said AS o WHERE o.row = s.row AND o.whole IS NOT NULL)"


class Made:
    """One enriched topic's, and the rows of the table that it is made from. Not for several threads at once."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)

    def say(self, records: Iterable[Said]) -> None:
        """Take in records, in the order of their topic."""
        self._many(
            "INSERT OR REPLACE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(one.key, one.row, one.names, one.partition, one.offset, one.position, one.generation, one.basis),
                    one.chunks,
                    None if one.whole is None else one.whole.to_bytes(8, "big"),
                    one.targets,
                )
                for one in records
            ),
        )

    def read(self, rows: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Rows of the table: canonical key, its values as JSON, and the basis of what should be made of them now."""
        self._many("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)

    def _many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")

    def of(self, key: bytes) -> tuple[Said, int] | None:
        """The last record of a key, and how many living ones there are of its row."""
        found = self._db.execute(
            f"SELECT {_COLUMNS}, {_STANDING} FROM said AS s WHERE s.key = ?",  # noqa: S608 - names from here
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
            f"SELECT {_COLUMNS}, {_STANDING}, r.basis FROM said AS s LEFT JOIN rows AS r ON r.row = s.row"  # noqa: S608
            " WHERE s.whole IS NOT NULL"
        )
        for *fields, standing, basis in found:
            yield _said(fields), standing, basis

    def without(self) -> Iterator[tuple[bytes, bytes]]:
        """The rows that nothing stands for: canonical key, its values as JSON."""
        yield from self._db.execute(
            "SELECT row, names FROM rows AS r"
            " WHERE NOT EXISTS (SELECT 1 FROM said AS s WHERE s.row = r.row AND s.whole IS NOT NULL)"
        )

    def forget_rows(self) -> None:
        """Free what only the first look needs."""
        self._db.execute("DELETE FROM rows")

    def close(self) -> None:
        self._db.close()


def _said(fields: Sequence[Any]) -> Said:
    key, row, names, partition, offset, position, generation, basis, chunks, whole, targets = fields
    hash_ = None if whole is None else int.from_bytes(whole, "big")
    return Said(key, row, names, partition, offset, position, generation, basis, chunks, hash_, targets)
