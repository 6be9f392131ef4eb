"""Taking the bytes of deleted rows out of a user's file: a page that is free keeps what stood on it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from changes.errors import Transient
from sinks.sql.sqlite.files import path_of, translated


def rewritten(folder: Path, place: str, *, busy: float = 5.0) -> bool:
    """Write a user's file anew from what lives in it, and end its log; whether there is such a file.

    Its lane may have it open meanwhile: SQLite's own locks keep the two apart. The file stays where it is, with its
    tables and the tombstones of what was deleted. Raises `Transient` where somebody holds it for more than ``busy``
    seconds, and `Misconfigured`.
    """
    path = path_of(folder, place)
    if not path.exists():
        return False
    url = f"file:{quote(str(path.absolute()))}?mode=rw"
    with translated(path), closing(sqlite3.connect(url, uri=True, timeout=busy, isolation_level=None)) as connection:
        connection.execute("PRAGMA temp_store = MEMORY")  # or a copy of it would pass through a temporary file
        connection.execute("VACUUM")
        (held, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if held:
            raise Transient(f"SQLite `{path}`: its log is in use")
    return True
