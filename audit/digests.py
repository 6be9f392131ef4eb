"""What an audit has to remember of one table, on disk: memory stays flat whatever the table's size."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec

from audit.compare import Identity, plain
from changes.canonical import Value
from changes.key import Key
from changes.progress import KeyValue

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE wanted (target INTEGER, key BLOB, place BLOB, digest BLOB, names TEXT,
    PRIMARY KEY (target, key, place)) WITHOUT ROWID;
CREATE TABLE held (target INTEGER, key BLOB, place BLOB, digest BLOB, position INTEGER, names TEXT,
    PRIMARY KEY (target, key, place)) WITHOUT ROWID;
CREATE TABLE changed (key BLOB PRIMARY KEY, names TEXT) WITHOUT ROWID;
CREATE TABLE again (key BLOB, target INTEGER, place BLOB, names TEXT,
    PRIMARY KEY (key, target, place)) WITHOUT ROWID;
"""

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
    """One table's. Targets go by their number. Not for several threads at once."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.executescript(_SCHEMA)

    def want(self, rows: Iterable[tuple[int, bytes, bytes, bytes, bytes]]) -> None:
        """Expected rows: target, key, place, digest, the key's values as JSON."""
        self._many("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?, ?)", rows)

    def hold(self, rows: Iterable[tuple[int, bytes, bytes, bytes, int, bytes]]) -> None:
        """Stored rows: target, key, place, digest, position, the key's values as JSON."""
        self._many("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)", rows)

    def change(self, keys: Iterable[tuple[bytes, bytes]]) -> None:
        """Keys that changed meanwhile, with their values as JSON."""
        self._many("INSERT OR IGNORE INTO changed VALUES (?, ?)", keys)

    def _many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(sql, rows)
        self._db.execute("COMMIT")

    def wanted(self, target: int) -> Iterator[tuple[Identity, bytes]]:
        """Expected rows whose keys did not change, in order."""
        for key, place, digest in self._unchanged("wanted", "digest", target):
            yield (key, place), digest

    def held(self, target: int) -> Iterator[tuple[Identity, bytes, int]]:
        """Stored rows whose keys did not change, in order."""
        for key, place, digest, position in self._unchanged("held", "digest, position", target):
            yield (key, place), digest, position

    def _unchanged(self, table: str, columns: str, target: int) -> Iterator[tuple[Any, ...]]:
        with closing(self._db.cursor()) as cursor:
            cursor.execute(
                f"SELECT key, place, {columns} FROM {table} AS t WHERE target = ?"  # noqa: S608 - names from here
                " AND NOT EXISTS (SELECT 1 FROM changed AS c WHERE c.key = t.key) ORDER BY key, place",
                (target,),
            )
            yield from cursor

    def suspect(self, target: int, identities: Iterable[Identity]) -> None:
        """Have these looked at again."""
        self._db.executemany(
            "INSERT OR IGNORE INTO again SELECT :key, :target, :place, coalesce("
            "(SELECT names FROM wanted WHERE target = :target AND key = :key LIMIT 1),"
            "(SELECT names FROM held WHERE target = :target AND key = :key LIMIT 1))",
            ({"key": key, "place": place, "target": target} for key, place in identities),
        )

    def suspect_changed(self, target: int) -> None:
        """Have every key that changed looked at again, wherever it should be or was seen."""
        self._db.execute("INSERT OR IGNORE INTO again SELECT key, ?, x'', names FROM changed", (target,))
        for table in ("wanted", "held"):
            self._db.execute(
                f"INSERT OR IGNORE INTO again SELECT c.key, t.target, t.place, c.names FROM changed AS c"  # noqa: S608
                f" JOIN {table} AS t ON t.target = ? AND t.key = c.key",
                (target,),
            )

    def forget(self, target: int) -> None:
        """Free what the first look at a target needed."""
        self._db.execute("DELETE FROM wanted WHERE target = ?", (target,))
        self._db.execute("DELETE FROM held WHERE target = ?", (target,))

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
        self._db.executemany("DELETE FROM again WHERE key = ? AND target = ?", decided)

    def undecided(self, target: int | None = None) -> int:
        """How many keys are still to be looked at, of one target or of all."""
        where, arguments = ("", ()) if target is None else (" WHERE target = ?", (target,))
        (count,) = self._db.execute(f"SELECT count(DISTINCT key) FROM again{where}", arguments).fetchone()  # noqa: S608
        return int(count)

    def close(self) -> None:
        self._db.close()


def names_of(values: Sequence[Value]) -> bytes:
    """A key's values as JSON."""
    return msgspec.json.encode([plain(value) for value in values])


def to_bytes(place: str) -> bytes:
    return place.encode("utf-8", "surrogatepass")
