"""What quick audits remember of an enriched topic and of the topic of the table that it is made from.

A file between audits, so that the next one reads only what has come since. It is no evidence of its own: all of it can
be read anew from the topics, and is where the file is absent, damaged or in use by another audit, where it is of other
topics or declarations, and once a week. Of rows it holds keys, places and hashes.
"""

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from audit.derived import NOTHING, Newest
from audit.made import STANDING, Made, temporary
from changes.canonical import bucket_of
from changes.progress import Bucket, Offsets, unfold

log = logging.getLogger(__name__)

FORMAT = 1
"""Part of what a file is of: raised when its tables change."""
LIFETIME = 7 * 86400.0
"""Seconds for which a file is gone on with: as long as topics keep tombstones."""

_ASKED = (
    "CREATE TABLE IF NOT EXISTS asked (row BLOB PRIMARY KEY, names BLOB, basis BLOB, high INTEGER, low INTEGER,"
    " bucket INTEGER) WITHOUT ROWID"
)
_ASK = (
    "INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (row) DO UPDATE SET basis = excluded.basis,"
    " high = excluded.high, low = excluded.low"
)
_SUMS = "SELECT bucket, count(*), sum(high), sum(low) FROM asked WHERE high IS NOT NULL GROUP BY bucket"
_WITHOUT = (
    "SELECT row, names FROM asked AS a WHERE a.high IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM said AS s WHERE s.row = a.row AND s.high IS NOT NULL)"
)

Row = tuple[bytes, bytes, bytes | None, int | None, int | None, int]
"""A row of the table by its topic: canonical key, its values as JSON, the basis of what should be made of it, the
halves of its hash, its bucket. Basis and halves are ``None`` where it was deleted."""

Flawed = tuple[bytes, bytes, bytes, bytes, bool]
"""A record that is not what its row asks for: its key, that key's values as JSON, its row's key, its basis, and whether
at least its generation and the number of its chunks are right."""


class Memory(msgspec.Struct, frozen=True):
    """What a file says of itself. ``since`` is when it was begun, in seconds since 1970; ``ends`` is how far either
    topic has been read; ``newest`` is the newest record's position and schema."""

    identity: str
    since: float
    ends: dict[str, dict[str, int]]
    newest: Newest


_decode = msgspec.json.Decoder(Memory).decode


class Kept:
    """Within one transaction until `keep`. ``made`` is the enriched topic's part of it.

    ``ends``: how far either topic had been read, ``newest`` the newest record by then. Not for several threads at once.
    """

    def __init__(self, db: sqlite3.Connection, identity: str, now: float, path: Path | None = None) -> None:
        """Raises `sqlite3.Error` where ``db`` is damaged or in use. ``now`` is in seconds since 1970."""
        self._db, self._path, self._identity, self._since = db, path, identity, now
        db.execute("BEGIN EXCLUSIVE")
        db.create_function("bucket_of", 1, bucket_of, deterministic=True)
        self.ends: Offsets = {}
        self.newest = NOTHING
        memory = self._memory(now)
        self.remembers = memory is not None
        if memory is None:
            for table in ("said", "asked"):
                db.execute(f"DROP TABLE IF EXISTS {table}")
        else:
            self._since, self.newest = memory.since, memory.newest
            self.ends = {(topic, int(part)): end for topic, ends in memory.ends.items() for part, end in ends.items()}
        db.execute(_ASKED)
        self.made = Made(db)

    @classmethod
    def opened(cls, path: Path | None, identity: str, now: float) -> "Kept":
        """The file at ``path``, made anew where it is damaged. One that goes with this audit where another audit has
        it, where it cannot be written, and without a path."""
        if path is None:
            return cls(temporary(), identity, now)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            return cls._at(path, identity, now)
        except (OSError, sqlite3.OperationalError) as error:
            log.info("`%s` is not used: %s", path, error)
        except sqlite3.DatabaseError:
            path.unlink()
            return cls._at(path, identity, now)
        return cls(temporary(), identity, now)

    @classmethod
    def _at(cls, path: Path, identity: str, now: float) -> "Kept":
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA cache_size = -32768")
            return cls(db, identity, now, path)
        except sqlite3.Error:
            db.close()
            raise

    def _memory(self, now: float) -> Memory | None:
        """``None`` where the file has none, or one of something else, or too old a one."""
        self._db.execute("CREATE TABLE IF NOT EXISTS memory (told BLOB)")
        row = self._db.execute("SELECT told FROM memory").fetchone()
        try:
            memory = None if row is None else _decode(row[0])
        except msgspec.MsgspecError:
            return None
        if memory is None or memory.identity != self._identity:
            return None
        return memory if now - LIFETIME < memory.since <= now else None

    def ask(self, rows: Iterable[Row]) -> None:
        """Take in records of the table's topic, in their order."""
        self._db.execute("SAVEPOINT ask")
        self._db.executemany(_ASK, rows)
        self._db.execute("RELEASE ask")

    def sums(self) -> dict[int, Bucket]:
        """Of the table's rows by its topic."""
        return {bucket: (count, high, low) for bucket, count, high, low in self._db.execute(_SUMS)}

    def flawed(self, generation: int, *, chunked: bool) -> Iterator[Flawed]:
        """Every record that is not what its row asks for, or that stands for no row."""
        standing = STANDING if chunked else "1"
        yield from self._db.execute(
            f"SELECT s.key, s.names, s.row, s.basis, s.generation = ? AND s.chunks = {standing}"  # noqa: S608
            " FROM said AS s LEFT JOIN asked AS a ON a.row = s.row WHERE s.high IS NOT NULL"
            f" AND (a.basis IS NOT s.basis OR s.generation <> ? OR s.chunks <> {standing})",
            (generation, generation),
        )

    def without(self) -> Iterator[tuple[bytes, bytes]]:
        """The rows that nothing stands for: canonical key, its values as JSON."""
        yield from self._db.execute(_WITHOUT)

    def of_rows_in(self, buckets: Collection[int]) -> Iterator[tuple[bytes, bytes]]:
        """The keys, with their values as JSON, of what stands for rows of these buckets."""
        marks = ", ".join("?" * len(buckets))
        yield from self._db.execute(
            f"SELECT key, names FROM said WHERE high IS NOT NULL AND bucket_of(row) IN ({marks})",  # noqa: S608
            tuple(buckets),
        )

    def keep(self, ends: Offsets, newest: Newest) -> None:
        """Have the file remember all this, read up to ``ends`` of either topic. Nothing may follow."""
        memory = Memory(self._identity, self._since, unfold(ends), newest)
        self._db.execute("DELETE FROM memory")
        self._db.execute("INSERT INTO memory VALUES (?)", (msgspec.json.encode(memory),))
        self._db.execute("COMMIT")

    def forget(self) -> None:
        """Remove the file. Nothing may follow."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.made.close()
