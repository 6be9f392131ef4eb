"""What SQLite's result codes mean for us."""

import errno
import sqlite3

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

_REJECTED = {
    sqlite3.SQLITE_CONSTRAINT,  # also a value that a STRICT column does not take
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_RANGE,
}
_MISCONFIGURED = {
    sqlite3.SQLITE_ERROR: "somebody changed its tables; move the file away and replay",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away and replay",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; move it away and replay",
    sqlite3.SQLITE_FORMAT: "the file is no SQLite database; move it away and replay",
    sqlite3.SQLITE_PERM: "Tailrace may not use it; mend its owner and mode",
    sqlite3.SQLITE_AUTH: "Tailrace may not use it; mend its owner and mode",
    sqlite3.SQLITE_READONLY: "Tailrace may not write it; mend its owner and mode",
}


def classify(path: str, code: int | None, message: str) -> TailraceError:
    """The error for a (possibly extended) result code, `sqlite3.Error.sqlite_errorcode`.

    Whatever is not known to be about the data or about the file is `Transient`: a full disk, a file that cannot be
    opened, a lock that another process holds, an I/O error.
    """
    text = f"SQLite `{path}`: {message}"
    primary = -1 if code is None else code & 0xFF
    if primary in _REJECTED:
        return Rejected(text)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:  # the file went away under us: the next attempt makes a new one
        return Transient(text)
    if primary in _MISCONFIGURED:
        return Misconfigured(f"{text}: {_MISCONFIGURED[primary]}")
    return Transient(text)


def classify_os(path: str, error: OSError) -> TailraceError:
    """The error for a folder or file that the system does not let us make."""
    text = f"SQLite `{path}`: {error.strerror or error}"
    if error.errno in {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG}:
        return Misconfigured(text)
    return Transient(text)
