"""SQLite: all files of a version's folder. Nobody asks for a password here: who may enter is the file system's."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from audit.isolation.stores.answers import Answer, Found, Search
from changes.errors import Transient
from sinks.sql.sqlite.errors import classify, classify_os

_FILE = "tailrace_canary.db"
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file: read through that."""
_CHUNK, _LONGEST = 1 << 20, 256


def enter(url: str) -> Answer:
    return Answer("unknown", "a folder has no door")


def plant(url: str, token: str) -> None:
    path = folder(url) / _FILE
    try:
        with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS canary (token TEXT PRIMARY KEY)")
            connection.execute("INSERT INTO canary VALUES (?)", (token,))
    except sqlite3.Error as error:
        raise classify(str(path), error.sqlite_errorcode, str(error)) from error


def remove(url: str) -> None:
    try:
        (folder(url) / _FILE).unlink(missing_ok=True)
    except OSError as error:
        raise classify_os(url, error) from error


def search(url: str, tokens: Sequence[str]) -> Found:
    """Every row of every table of every database, and the bytes of whatever else lies there."""
    seen = Search(tokens)
    root = folder(url)
    if not root.is_dir():
        raise Transient(f"SQLite: there is no folder `{root}`")
    for path in _files(root, seen):
        where = f"file `{path.relative_to(root)}`"
        try:
            with path.open("rb") as stream:
                if stream.read(len(_MAGIC)) == _MAGIC:
                    _rows(path, where, seen)
                else:
                    stream.seek(0)
                    _raw(stream, where, seen)
        except FileNotFoundError:
            continue  # it went since
        except (OSError, sqlite3.Error) as error:
            seen.leave(f"{where}: {error}")
    return seen.found()


def folder(url: str) -> Path:
    return Path(url.removeprefix("sqlite://"))


def _files(root: Path, seen: Search) -> Iterator[Path]:
    def left(error: OSError) -> None:
        seen.leave(f"folder `{error.filename}`: {error.strerror}")

    for base, _, names in os.walk(root, onerror=left):
        yield from (Path(base, name) for name in sorted(names) if not name.endswith(_BESIDE))


def _rows(path: Path, where: str, seen: Search) -> None:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=10)) as connection:
        connection.text_factory = bytes
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            quoted = '"' + name.decode().replace('"', '""') + '"'
            for row in connection.execute(f"SELECT * FROM {quoted}"):  # noqa: S608
                seen.see(f"{where}, table `{name.decode()}`", row)


def _raw(stream: BinaryIO, where: str, seen: Search) -> None:
    before = b""  # a token may lie across two pieces
    while chunk := stream.read(_CHUNK):
        seen.see(where, before + chunk)
        before = chunk[-_LONGEST:]
