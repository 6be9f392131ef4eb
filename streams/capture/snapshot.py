"""Watermarked chunks of a table, read beside the stream (DBLog, arXiv:2010.12597, with GTIDs for watermarks).

The order of things is what makes a chunk safe to put into the stream:

1. The loop opens a window: from now on it remembers which keys of the table change.
2. The reader waits until the server has executed all that the loop has seen. A binlog event may be sent before its
   transaction is visible; without this wait the chunk could be older than a change already written.
3. Low watermark: the transactions executed. Then the chunk. Then the high watermark: where the binlog ends. Every
   change that the chunk can have seen was logged before that.
4. Once the stream has passed the high watermark, the loop writes the chunk's rows, except those whose keys changed
   after the low watermark; their position is the end of the low watermark's last transaction.
"""

import threading
import time
from dataclasses import dataclass

import pymysql
from pymysql.cursors import Cursor

from changes.canonical import Value
from changes.errors import Transient
from changes.gtid import MariadbGtids, MysqlGtids
from changes.schema import TableSchema
from streams.capture.select import TEXT_PROTOCOL, rows_of, select_after, select_keys
from streams.mysql import Connection, MysqlUrl, session

CATCH_UP_SECONDS = 30


@dataclass(frozen=True)
class ChunkRequest:
    """``after`` is the key of the row before the chunk's first, in envelope form; ``seen`` what the stream has read.

    With ``keys`` the chunk is the rows of those keys, at least one, and maybe some that only compare equal to them.
    """

    schema: TableSchema
    key: tuple[str, ...]
    after: tuple[Value, ...] | None
    limit: int
    seen: MysqlGtids | MariadbGtids
    keys: tuple[tuple[Value, ...], ...] | None = None


@dataclass(frozen=True)
class Chunk:
    """Rows hold every column of the table. ``last`` is the key to go on after, ``None`` where the table ends here."""

    table: str
    rows: list[dict[str, Value]]
    low: int
    file: str
    offset: int
    last: tuple[Value, ...] | None


def read_chunk(connection: Connection, request: ChunkRequest) -> Chunk:
    """One chunk with its watermarks. Raises `Transient` where the server does not catch up with its own binlog."""
    with connection.cursor() as cursor:
        low = _low_watermark(cursor, request.seen).ordinal
        if request.keys is None:
            cursor.execute(*select_after(request.schema, request.key, request.after, request.limit))
        else:
            cursor.execute(*select_keys(request.schema, request.key, request.keys))
        rows = list(rows_of(request.schema, cursor.fetchall()))
        file, offset = binlog_end(cursor)
    complete = request.keys is not None or len(rows) < request.limit
    last = None if complete else tuple(rows[-1][name] for name in request.key)
    return Chunk(request.schema.table, rows, low, file, offset, last)


def _low_watermark(cursor: Cursor, seen: MysqlGtids | MariadbGtids) -> MysqlGtids | MariadbGtids:
    """What the reads that follow can see for sure; it covers ``seen``."""
    if isinstance(seen, MariadbGtids):
        return _covering_view(cursor, seen)
    cursor.execute("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (str(seen), CATCH_UP_SECONDS))
    row = cursor.fetchone()
    if row is None or str(row[0]) != "0":
        raise Transient(_BEHIND)
    return _executed(cursor, MysqlGtids)


def mariadb_view(cursor: Cursor) -> MariadbGtids:
    """Open a consistent view; what it holds, for MariaDB says where in the binlog it stands."""
    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%%'", ())
    where = {str(name).lower(): value for name, value in cursor.fetchall()}
    cursor.execute(
        "SELECT BINLOG_GTID_POS(%s, %s)", (where["binlog_snapshot_file"], int(where["binlog_snapshot_position"]))
    )
    row = cursor.fetchone()
    return MariadbGtids(str(row[0] or "") if row else "")


def _covering_view(cursor: Cursor, seen: MariadbGtids) -> MariadbGtids:
    """MariaDB cannot wait for its own transactions: views are opened until one holds them."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while time.monotonic() < deadline:
        view = mariadb_view(cursor)
        if view.covers(seen):
            return view
        cursor.execute("ROLLBACK")
        time.sleep(0.01)
    raise Transient(_BEHIND)


_BEHIND = "the server has not executed what its own binlog says; the snapshot waits"


def _executed(cursor: Cursor, kind: type[MysqlGtids] | type[MariadbGtids]) -> MysqlGtids | MariadbGtids:
    cursor.execute("SELECT @@global.gtid_binlog_pos" if kind is MariadbGtids else "SELECT @@global.gtid_executed")
    row = cursor.fetchone()
    return kind(str(row[0]) if row else "")


def executed(connection: Connection, *, mariadb: bool) -> MysqlGtids | MariadbGtids:
    """What the server has executed and logged."""
    with connection.cursor() as cursor:
        return _executed(cursor, MariadbGtids if mariadb else MysqlGtids)


def binlog_end(cursor: Cursor) -> tuple[str, int]:
    """File and offset at which the server will write next; the statement was renamed in MySQL 8.2."""
    try:
        cursor.execute("SHOW BINARY LOG STATUS")
    except pymysql.err.ProgrammingError:
        cursor.execute("SHOW MASTER STATUS")
    row = cursor.fetchone()
    if row is None:
        raise Transient("the server does not say where its binlog ends")
    return str(row[0]), int(row[1])


class ChunkReader:
    """One chunk at a time in a thread of its own, so that a slow SELECT never holds up the stream."""

    def __init__(self, url: MysqlUrl) -> None:
        self._url = url
        self._thread: threading.Thread | None = None
        self._result: Chunk | Exception | None = None

    def ask(self, request: ChunkRequest) -> None:
        self._result = None
        self._thread = threading.Thread(target=self._read, args=(request,), name="snapshot", daemon=True)
        self._thread.start()

    def answer(self) -> Chunk | None:
        """The chunk asked for once it is there. Raises what reading it raised."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def _read(self, request: ChunkRequest) -> None:
        try:
            with session(self._url, conv=TEXT_PROTOCOL) as connection:
                self._result = read_chunk(connection, request)
        except Exception as error:  # noqa: BLE001 - not swallowed: `answer` raises it in the thread that can act
            self._result = error
