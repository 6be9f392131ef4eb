"""What an audit has to remember of one table, on disk: memory stays flat whatever the table's size."""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from audit.compare import Identity, plain
from audit.course import Course
from changes.canonical import Value
from changes.key import Key
from changes.progress import KeyValue

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (target INTEGER, part INTEGER, held INTEGER, rows BLOB);
CREATE INDEX IF NOT EXISTS parts_of ON parts (target, part);
CREATE TABLE IF NOT EXISTS course (told BLOB);
CREATE TEMP TABLE changed (key BLOB PRIMARY KEY, names BLOB) WITHOUT ROWID;
CREATE TEMP TABLE again (key BLOB, target INTEGER, place BLOB, names BLOB,
    PRIMARY KEY (key, target, place)) WITHOUT ROWID;
"""
_TABLES = ("parts", "course", "changed", "again")
_PRAGMAS = "PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;"

PART = 20_000
"""Rows of a part, about: so many of either side are compared in memory."""
BUFFER = 20_000
"""Rows that are held in memory until they are written."""
MOST_PARTS = 4096

Row = tuple[bytes, bytes, bytes, bytes, int]
"""Canonical key, place, digest, the key's values as JSON, and the position of one that is stored: 0 for what is
expected."""
Told = tuple[int, Row]
"""Of a target, a row."""

_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(list[Row]).decode
_encode_course = msgspec.json.Encoder().encode
_decode_course = msgspec.json.Decoder(Course).decode
_values = msgspec.json.Decoder(list[bool | int | float | str | None]).decode


@dataclass(frozen=True)
class Again:
    """A key to be read again: its values, and for each target (by number) the places to look at beside its own."""

    key: bytes
    values: list[KeyValue]
    places: dict[int, tuple[str, ...]]

    @property
    def whole_key(self) -> Key:
        return Key(tuple(self.values), self.key)


class Digests:
    """One table's. Targets go by their number. Not for several threads at once.

    Rows are kept in parts by a hash of their keys, and compared a part at a time: each side may come in any order, and
    neither has to fit into memory. A row that is told twice is what it was told last.
    """

    def __init__(self, path: Path | None = None) -> None:
        """``path`` is a file that outlives a process which is killed, to be used by one audit at a time: without one,
        or where it is in use or cannot be written, all of this goes with the audit."""
        self._path, self._db = _opened(path)
        self._buffers = defaultdict[tuple[int, int, bool], list[Row]](list)
        self._parts = 1

    def course(self) -> Course | None:
        """How far an audit that was killed had come."""
        row = self._db.execute("SELECT told FROM course").fetchone()
        try:
            return None if row is None else _decode_course(row[0])
        except msgspec.MsgspecError:
            return None

    def keep(self, course: Course) -> None:
        """Remember how far this audit is, and all that it was told of what is expected."""
        if self._path is not None:
            self._flush(_encode_course(course))

    def clear(self) -> None:
        """Forget everything."""
        for table in _TABLES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from here
        self._buffers.clear()

    def split(self, parts: int) -> None:
        """Into so many, see `parts_for`. Nothing may have been told since this was opened or cleared."""
        self._parts = parts

    def want(self, rows: Iterable[Told]) -> None:
        """Take in expected rows."""
        self._tell(False, rows)

    def hold(self, rows: Iterable[Told]) -> None:
        """Take in stored rows."""
        self._tell(True, rows)

    def _tell(self, held: bool, rows: Iterable[Told]) -> None:
        buffers, parts = self._buffers, self._parts
        for target, row in rows:
            buffers[target, crc32(row[0]) % parts, held].append(row)
        if sum(map(len, buffers.values())) >= BUFFER:
            self._flush()

    def _flush(self, course: bytes | None = None) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO parts VALUES (?, ?, ?, ?)",
            ((target, part, held, _encode_rows(rows)) for (target, part, held), rows in self._buffers.items()),
        )
        if course is not None:
            self._db.execute("DELETE FROM course")
            self._db.execute("INSERT INTO course VALUES (?)", (course,))
        self._db.execute("COMMIT")
        self._buffers.clear()

    def change(self, keys: Iterable[tuple[bytes, bytes]]) -> None:
        """Keys that changed meanwhile, with their values as JSON."""
        self._many("INSERT OR IGNORE INTO changed VALUES (?, ?)", keys)

    def _many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")

    def sift(self, target: int, *, newest: int, cache: bool) -> int:
        """Compare the sides of a target, once; in how many rows they agree.

        Looked at again is every row in which they differ, and every key that changed, wherever it should be or was
        seen. A row that is stored under a position beyond ``newest`` differs whatever it holds. ``cache``: one that is
        not stored does not.
        """
        self._flush()
        changed = {bytes(key) for (key,) in self._db.execute("SELECT key FROM changed")}
        self._db.execute("INSERT OR IGNORE INTO again SELECT key, ?, x'', names FROM changed", (target,))
        agree = 0
        for part in range(self._parts):
            wanted, held = self._sides(target, part)
            suspects = doubtful(wanted, held, newest, cache=cache)
            if changed:
                suspects.update(identity for identity in wanted.keys() | held.keys() if identity[0] in changed)
            agree += len((wanted.keys() & held.keys()) - suspects)
            self._many(
                "INSERT OR IGNORE INTO again VALUES (?, ?, ?, ?)",
                ((key, target, place, (wanted.get((key, place)) or held[key, place])[3]) for key, place in suspects),
            )
        self.unhold(target)
        if self._path is None:  # else an audit that goes on with this one asks for them
            self._db.execute("DELETE FROM parts WHERE target = ?", (target,))
        return agree

    def unhold(self, target: int) -> None:
        """Forget what its store holds: it is read anew."""
        self._db.execute("DELETE FROM parts WHERE target = ? AND held", (target,))

    def _sides(self, target: int, part: int) -> tuple[dict[Identity, Row], dict[Identity, Row]]:
        sides: tuple[dict[Identity, Row], dict[Identity, Row]] = {}, {}
        found = self._db.execute(
            "SELECT held, rows FROM parts WHERE target = ? AND part = ? ORDER BY rowid", (target, part)
        )
        for held, rows in found:
            sides[held].update((row[:2], row) for row in _decode_rows(rows))
        return sides

    def ask(self, target: int, values: Sequence[KeyValue], key: bytes, places: Iterable[str]) -> None:
        """Have one key looked at, in these places too."""
        self._db.executemany(
            "INSERT OR IGNORE INTO again VALUES (?, ?, ?, ?)",
            ((key, target, to_bytes(place), names_of(values)) for place in ("", *places)),
        )

    def portion(self, after: bytes | None, size: int) -> list[Again]:
        """The next keys to be read again, behind ``after`` in order."""
        rows = self._db.execute(
            "SELECT key, target, place, names FROM again WHERE key IN"
            " (SELECT DISTINCT key FROM again WHERE key > ? ORDER BY key LIMIT ?) ORDER BY key, target",
            (after or b"", size),
        )
        found: dict[bytes, tuple[list[KeyValue], dict[int, tuple[str, ...]]]] = {}
        for key, target, place, names in rows:
            _, places = found.setdefault(key, (_values(names), {}))
            places[target] = (*places.get(target, ()), place.decode("utf-8", "surrogatepass"))
        return [Again(key, values, places) for key, (values, places) in found.items()]

    def decide(self, decided: Iterable[tuple[bytes, int]]) -> None:
        """Nothing is left to look at of these (key, target)."""
        self._many("DELETE FROM again WHERE key = ? AND target = ?", decided)

    def undecided(self, target: int | None = None) -> int:
        """How many keys are still to be looked at, of one target or of all."""
        where, arguments = ("", ()) if target is None else (" WHERE target = ?", (target,))
        (count,) = self._db.execute(f"SELECT count(DISTINCT key) FROM again{where}", arguments).fetchone()  # noqa: S608
        return int(count)

    def finish(self) -> None:
        """The audit is done: nothing is left to be gone on with."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        self._db.close()


def parts_for(rows: int) -> int:
    """Into how many parts a table of about so many rows is split."""
    return min(max(rows // PART, 1), MOST_PARTS)


def _opened(path: Path | None) -> tuple[Path | None, sqlite3.Connection]:
    if path is not None:
        try:
            return path, _file(path)
        except (OSError, sqlite3.OperationalError) as error:
            log.info("`%s` is not used: %s", path, error)
        except sqlite3.DatabaseError:
            path.unlink()
            return path, _file(path)
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    db.executescript("PRAGMA journal_mode = OFF;" + _PRAGMAS + _SCHEMA)
    return None, db


def _file(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;" + _PRAGMAS)
        db.execute("BEGIN EXCLUSIVE")  # whoever else has it open makes this fail
        db.execute("COMMIT")
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def doubtful(
    wanted: Mapping[Identity, Row], held: Mapping[Identity, Row], newest: int, *, cache: bool
) -> set[Identity]:
    """Which rows are not the same on both sides; see `Digests.sift`."""
    signs = {(identity, row[2]) for identity, row in wanted.items()} ^ {
        (identity, row[2]) for identity, row in held.items()
    }
    suspects = {identity for identity, _ in signs if not cache or identity in held}
    return suspects | {identity for identity, row in held.items() if row[4] > newest}


def names_of(values: Sequence[Value]) -> bytes:
    """A key's values as JSON."""
    return msgspec.json.encode([plain(value) for value in values])


def names_of_all(columns: Sequence[Sequence[Value]]) -> list[bytes]:
    """`names_of` for many keys, given by column."""
    if len(columns) == 1 and set(map(type, columns[0])) == {int}:
        return [f"[{value!r}]".encode() for value in columns[0]]
    return list(map(names_of, zip(*columns, strict=True)))


def to_bytes(place: str) -> bytes:
    return place.encode("utf-8", "surrogatepass")
