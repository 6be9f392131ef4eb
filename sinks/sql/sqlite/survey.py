"""What many small files hold, remembered from one visit each.

To open a file costs more than to read what one user has in it, and tables are asked for one by one: an audit of twelve
would open each file twelve times. So once a second table is asked for, a file is read with all of its tables, into a
temporary file, by whoever comes to it first, and again only where it has changed since.
"""

import marshal
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from sinks.sql.sqlite import statements
from sinks.sql.sqlite.files import reading, reading_still, translated

SETTLED_NS = 2_000_000_000
"""A file that changed less than this before it was looked at is opened again: some file systems tell times by the
second, and what changes twice in one looks as if it had changed once."""
LARGEST = 1 << 20
"""Bytes beyond which a file is worth being opened for each table."""

_SETUP = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, state BLOB NOT NULL);
CREATE TABLE told (number INTEGER, name TEXT, told BLOB NOT NULL, PRIMARY KEY (number, name)) WITHOUT ROWID;
"""

State = tuple[tuple[str, int, int, int], ...]
"""Of a file and what SQLite keeps beside it, where there is anything in it: its suffix, inode, size and mtime in ns."""

Told = TypeVar("Told")


class Survey(Generic[Told]):
    """``look`` says of an open file what is to be remembered of it, by table: what `marshal` takes.

    Made for many threads, of which one at a time reads a file: others that come to it wait, and find what it has read;
    those that go by `turns` read another one meanwhile. Memory does not grow with the files; the temporary file is as
    large as what is remembered.
    """

    def __init__(self, busy: float, look: Callable[[sqlite3.Connection], Mapping[str, Told]]) -> None:
        self._busy, self._look = busy, look
        self._names: set[str] = set()
        self._changed = threading.Condition()  # of what follows
        self._kept: sqlite3.Connection | None = None
        self._reading: set[Path] = set()

    def turns(self, paths: Iterable[Path]) -> Iterator[Path]:
        """``paths``, but those that another thread is reading when their turn comes are put off until it has."""
        later: deque[Path] = deque()
        for path in paths:
            while later and later[0] not in self._reading:
                yield later.popleft()
            if path in self._reading:
                later.append(path)
            else:
                yield path
        yield from later

    def of(self, path: Path, name: str) -> tuple[Told | None] | None:
        """What a file holds of a table, ``(None,)`` where it has no such table; ``None`` where it has to be opened.
        Raises `Transient` or `Misconfigured` where it cannot be read."""
        self._names.add(name)
        if len(self._names) < 2 or (state := _state(path)) is None:
            return None
        with self._changed:
            while path in self._reading:
                self._changed.wait()
            if self._kept is None:
                self._kept = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # has no name
                self._kept.executescript(_SETUP)
            if (told := _told(self._kept, path, state, name)) is not None:
                return told
            self._reading.add(path)
        try:
            looked = self._looked(path, state)
            with self._changed:
                _keep(self._kept, path, state, looked)
        finally:
            with self._changed:
                self._reading.discard(path)
                self._changed.notify_all()
        return (looked.get(name),)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _looked(self, path: Path, state: State) -> Mapping[str, Told]:
        """What a file holds.

        A file without a log is read without locks first, and so without making a log for a moment, which costs more
        than to read it. That counts where it is behind that as it was before: whoever writes changes it, or its log.
        """
        if [suffix for suffix, *_ in state] == [""]:
            with suppress(sqlite3.Error):
                with reading_still(path) as connection:
                    told = self._look(connection)
                if _state(path) == state:
                    return told
        with reading(path, self._busy) as connection:
            connection.execute("BEGIN")
            return self._look(connection)


def _told(kept: sqlite3.Connection, path: Path, state: State, name: str) -> tuple[Any] | None:
    """What is remembered of a file's table; ``None`` where the file is not remembered as it is."""
    found = kept.execute("SELECT number, state FROM files WHERE path = ?", (str(path),)).fetchone()
    if found is None or found[1] != marshal.dumps(state):
        return None
    told = kept.execute("SELECT told FROM told WHERE number = ? AND name = ?", (found[0], name)).fetchone()
    return (None if told is None else marshal.loads(told[0]),)  # noqa: S302  our own, from below


def _keep(kept: sqlite3.Connection, path: Path, state: State, told: Mapping[str, Any]) -> None:
    """In place of what was known of a file."""
    kept.execute("DELETE FROM told WHERE number = (SELECT number FROM files WHERE path = ?)", (str(path),))
    number = kept.execute("REPLACE INTO files (path, state) VALUES (?, ?)", (str(path), marshal.dumps(state))).lastrowid
    kept.executemany(
        "INSERT INTO told VALUES (?, ?, ?)", [(number, name, marshal.dumps(one)) for name, one in told.items()]
    )


def _state(path: Path) -> State | None:
    """How a file is now; ``None`` where that says nothing, or the file is large."""
    states: list[tuple[str, int, int, int]] = []
    with translated(path):
        for suffix in ("", "-wal", "-journal"):
            try:
                found = os.stat(f"{path}{suffix}")
            except FileNotFoundError:
                continue
            if found.st_size:  # an empty log comes and goes with whoever reads
                states.append((suffix, found.st_ino, found.st_size, found.st_mtime_ns))
    settled = time.time_ns() - SETTLED_NS
    if any(changed > settled for *_, changed in states) or sum(size for *_, size, _ in states) > LARGEST:
        return None
    return tuple(states) or None


def tables(connection: sqlite3.Connection) -> Iterator[tuple[str, list[str], sqlite3.Cursor]]:
    """The tables of rows that a file has, with their columns and all that stands in them."""
    for (name,) in connection.execute(statements.TABLES).fetchall():
        rows = connection.execute(statements.everything(name))
        columns = [column for column, *_ in rows.description]
        if "_tr_pos" in columns:
            yield name, columns, rows
