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

import base64
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.converters import conversions
from pymysql.cursors import Cursor

from changes.canonical import Value
from changes.errors import Transient
from changes.gtid import MariadbGtids, MysqlGtids
from changes.schema import Column, Kind, TableSchema
from streams.binlog.jsonb import compact
from streams.mysql import Connection, MysqlUrl, session

CATCH_UP_SECONDS = 30

TEXT_PROTOCOL: dict[Any, Any] = {key: value for key, value in conversions.items() if not isinstance(key, int)}
"""pymysql's converters of arguments, and none of results: values stay as the server wrote them."""


@dataclass(frozen=True)
class ChunkRequest:
    """``after`` is the key of the row before the chunk's first, in envelope form; ``seen`` what the stream has read."""

    schema: TableSchema
    key: tuple[str, ...]
    after: tuple[Value, ...] | None
    limit: int
    seen: MysqlGtids | MariadbGtids


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
        sql, arguments = select_after(request.schema, request.key, request.after, request.limit)
        cursor.execute(sql, arguments)
        readers = [reader_of(column) for column in request.schema.columns]
        names = [column.name for column in request.schema.columns]
        rows = [
            {
                name: None if value is None else read(value)
                for name, read, value in zip(names, readers, row, strict=True)
            }
            for row in cursor.fetchall()
        ]
        file, offset = binlog_end(cursor)
    complete = len(rows) < request.limit
    last = None if complete else tuple(rows[-1][name] for name in request.key)
    return Chunk(request.schema.table, rows, low, file, offset, last)


def _low_watermark(cursor: Cursor, seen: MysqlGtids | MariadbGtids) -> MysqlGtids | MariadbGtids:
    """What the reads that follow can see for sure; it covers ``seen``."""
    if isinstance(seen, MariadbGtids):
        return _mariadb_view(cursor, seen)
    cursor.execute("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (str(seen), CATCH_UP_SECONDS))
    row = cursor.fetchone()
    if row is None or str(row[0]) != "0":
        raise Transient(_BEHIND)
    return _executed(cursor, MysqlGtids)


def _mariadb_view(cursor: Cursor, seen: MariadbGtids) -> MariadbGtids:
    """MariaDB cannot wait for its own transactions, but says where in the binlog a consistent view stands."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while time.monotonic() < deadline:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%%'", ())
        where = {str(name).lower(): value for name, value in cursor.fetchall()}
        file, offset = where["binlog_snapshot_file"], int(where["binlog_snapshot_position"])
        cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (file, offset))
        row = cursor.fetchone()
        view = MariadbGtids(str(row[0] or "") if row else "")
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


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def select_after(
    schema: TableSchema, key: tuple[str, ...], after: tuple[Value, ...] | None, limit: int | None
) -> tuple[str, list[Any]]:
    """The statement for the rows behind ``after`` in key order, and its arguments.

    A row comparison ``(a, b) > (x, y)`` would not use the index, so it is written out. ``limit`` ``None``: all.
    """
    columns = ", ".join(_selected(column) for column in schema.columns)
    sql = f"SELECT {columns} FROM {_quoted(schema.database)}.{_quoted(schema.table)}"  # noqa: S608 - names are quoted
    arguments: list[Any] = []
    if after is not None:
        branches = []
        for depth in range(len(key)):
            terms = [f"{_quoted(name)} = %s" for name in key[:depth]] + [f"{_quoted(key[depth])} > %s"]
            branches.append("(" + " AND ".join(terms) + ")")
            arguments += [
                _argument(schema.column(name), value) for name, value in zip(key, after[: depth + 1], strict=False)
            ]
        sql += " WHERE " + " OR ".join(branches)
    sql += " ORDER BY " + ", ".join(_quoted(name) for name in key)
    return (sql if limit is None else f"{sql} LIMIT {limit}"), arguments


def _selected(column: Column) -> str:
    """FLOAT prints fewer digits than it holds, its double does not; the driver takes VECTOR for text unless told."""
    name = _quoted(column.name)
    as_ = {"float": "DOUBLE", "vector": "BINARY"}.get(column.base_type)
    return f"CAST({name} AS {as_})" if as_ else name


def _argument(column: Column, value: Value) -> Any:
    if column.kind is Kind.BYTES and isinstance(value, str):
        return base64.b64decode(value)
    if column.kind in {Kind.DATETIME, Kind.TIMESTAMP, Kind.DATE, Kind.TIME} and isinstance(value, str):
        return value.rstrip("Z").replace("T", " ")
    return value


def reader_of(column: Column) -> Callable[[Any], Value]:
    """From the text protocol's value to the envelope's; the same bytes as `streams.binlog.values` gives."""
    if column.base_type == "bit" and column.kind is Kind.BYTES:
        return lambda value: base64.b64encode(value[::-1]).decode()
    return _READERS[column.kind]


_READERS: Mapping[Kind, Callable[[Any], Value]] = {
    Kind.INTEGER: int,
    Kind.DECIMAL: str,
    Kind.DOUBLE: float,
    Kind.TEXT: str,
    Kind.BYTES: lambda value: base64.b64encode(value).decode(),
    Kind.BOOLEAN: lambda value: value != b"\0",
    Kind.DATE: lambda value: f"{value}Z",
    Kind.TIME: lambda value: f"{value}Z",
    Kind.DATETIME: lambda value: f"{value.replace(' ', 'T')}Z",
    Kind.TIMESTAMP: lambda value: f"{value.replace(' ', 'T')}Z",
    Kind.JSON: compact,
}


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
