"""Watermarked chunks of a table, read beside the stream (DBLog, arXiv:2010.12597, with GTIDs for watermarks).

The order of things is what makes a chunk safe to put into the stream:

1. The loop opens a window: from now on it remembers which keys of the table change.
2. The reader waits until the server has executed all that the loop has seen. A binlog event may be sent before its
   transaction is visible; without this wait the chunk could be older than a change already written.
3. Low watermark: the transactions executed. Then the chunk. Then the high watermark: where the binlog ends. Every
   change that the chunk can have seen was logged before that.
4. Once the stream has passed the high watermark, the loop writes the chunk's rows, except those whose keys changed
   after the low watermark; their position is the end of the low watermark's last transaction.

The table's definition is read before all this and behind it. Where it has changed the chunk counts for nothing: so no
DDL stands between what was read and the place of the stream where it joins.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor

from changes.canonical import Value
from changes.errors import Transient
from changes.gtid import MariadbGtids, MysqlGtids
from changes.key import key_json
from changes.schema import TableSchema
from sinks.sql.mysql.pagecursor import PageCursor
from streams.capture.emit import Message, Moment, TablePlan, snapshot_message
from streams.capture.select import explain, rows_of, select_after, select_keys
from streams.capture.tables import Layout, Tables
from streams.mysql import Connection

CATCH_UP_SECONDS = 30
CHUNK_ROWS = 2000
CHUNK_BYTES = 4 << 20
"""Bytes of values with which a chunk ends."""

_ALTERED = {ER.NO_SUCH_TABLE, ER.BAD_FIELD_ERROR, ER.TABLE_DEF_CHANGED}
"""What a statement gets that names a table as it was, the last of them in a view."""
_PASSING = {ER.CON_COUNT_ERROR, ER.SERVER_SHUTDOWN, ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.QUERY_INTERRUPTED}
_CLIENTS = range(2000, 3000)
"""Errors that the driver itself numbers: of the connection, not of the statement."""


class Wanted(Protocol):
    """Rows to be read by their keys."""

    def keys(self, plan: TablePlan) -> Sequence[tuple[Value, ...]]:
        """Their keys; called in the reader's thread."""


@dataclass(frozen=True)
class ChunkRequest:
    """What is to be read of a table: rows that are ``wanted``, or those behind ``after`` that fit ``where``.

    ``after`` is the key of the row before the chunk's first, in envelope form; ``seen`` what the stream has read.
    ``topic`` names the table's where it is to be told where that ends, before anything is read. ``derived`` goes with
    the records.
    """

    table: str
    seen: MysqlGtids | MariadbGtids
    epoch: int
    after: tuple[Value, ...] | None = None
    limit: int = CHUNK_ROWS
    where: str = ""
    derived: str = ""
    topic: str = ""
    wanted: Wanted | None = None


@dataclass(frozen=True)
class Chunk:
    """``messages`` tell the rows behind ``after``; rows that were wanted stand in ``rows`` by their Kafka key, and with
    them maybe some that only compare equal. ``moment`` is where they stand in the history.

    ``last`` is the key to go on after, ``None`` where the table ends here. ``absent``: there is no table, and where
    there never was one ``plan`` is ``None``. ``estimate`` is of the rows in all, where the chunk is the first, and then
    ``mark`` as in `changes.progress.SnapshotState`.
    """

    table: str
    messages: Sequence[Message]
    moment: Moment
    file: str
    offset: int
    last: tuple[Value, ...] | None
    plan: TablePlan | None = None
    rows: dict[bytes, dict[str, Value]] = field(default_factory=dict)
    read: int = 0
    estimate: int | None = None
    mark: dict[int, int] | None = None
    absent: bool = False

    @property
    def low(self) -> int:
        """The ordinal of the last transaction that the chunk has seen for sure."""
        return self.moment.ordinal


@dataclass(frozen=True)
class Altered:
    """The table was altered while it was read: the chunk is to be read again."""


@dataclass(frozen=True)
class Refused:
    """The server refuses the predicate."""

    reason: str


@dataclass(frozen=True)
class Source:
    """Where chunks come from; ``ends`` says where the partitions of a topic end that hold something."""

    tables: Tables
    ends: Callable[[str], dict[int, int]]


def read_chunk(connection: Connection, source: Source, request: ChunkRequest) -> Chunk | Altered | Refused:
    """One chunk with its watermarks. Raises `Transient` where the server does not catch up with its own binlog."""
    mark = source.ends(request.topic) if request.topic else None
    layout = source.tables.layout(connection, request.table)
    plan = source.tables.gone(request.table) if layout is None else layout.plan
    keys = () if request.wanted is None or plan is None else tuple(dict.fromkeys(request.wanted.keys(plan)))
    guess = None
    with connection.cursor() as cursor:
        low = _low_watermark(cursor, request.seen).ordinal
        try:
            rows, whole = ([], True) if layout is None else _rows(connection, layout, request, keys)
            if layout is not None and request.wanted is None and request.after is None:
                guess = estimate(cursor, layout.full, request.where)
        except pymysql.err.MySQLError as error:
            if error.args[0] in _ALTERED and source.tables.definition(connection, request.table) != _definition(layout):
                return Altered()
            if request.where and error.args[0] not in _PASSING and error.args[0] not in _CLIENTS:
                return Refused(str(error.args[-1]))
            raise
        file, offset = binlog_end(cursor)
        if isinstance(request.seen, MariadbGtids):
            cursor.execute("ROLLBACK")
    if source.tables.definition(connection, request.table) != _definition(layout):
        return Altered()
    moment = Moment(request.epoch, low, "", time.time_ns() // 1000, 0, file, offset)
    chunk = Chunk(request.table, (), moment, file, offset, None, plan, estimate=guess, mark=mark, absent=layout is None)
    return chunk if plan is None else _told(chunk, plan, rows, request, whole=whole)


def _definition(layout: Layout | None) -> str:
    return "" if layout is None else layout.definition


def _rows(
    connection: Connection, layout: Layout, request: ChunkRequest, keys: Sequence[tuple[Value, ...]]
) -> tuple[list[dict[str, Value]], bool]:
    """The rows, and whether there are no more behind them."""
    full, key = layout.full, layout.plan.schema.key
    if request.wanted is not None:
        if not keys:
            return [], True
        with connection.cursor() as cursor:
            cursor.execute(*select_keys(full, key, keys))
            return list(rows_of(full, cursor.fetchall())), True
    rows: list[dict[str, Value]] = []
    with connection.cursor(PageCursor) as cursor:
        cursor.execute(*select_after(full, key, request.after, request.limit, request.where))
        sized = _Sized(cursor)
        for row in rows_of(full, sized):
            rows.append(row)
            if sized.size >= CHUNK_BYTES:
                return rows, False
    return rows, len(rows) < request.limit


class _Sized:
    """Fetched rows as they come; ``size`` is the bytes of those that came."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor, self.size = cursor, 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for values in self._cursor:
            self.size += sum([len(value) for value in values if value is not None])
            yield values


def _told(chunk: Chunk, plan: TablePlan, rows: list[dict[str, Value]], request: ChunkRequest, *, whole: bool) -> Chunk:
    if request.wanted is not None:
        return replace(chunk, rows={key_json(plan.schema, row): row for row in rows}, read=len(rows))
    moment, now_ms = chunk.moment, chunk.moment.committed_us // 1000
    messages = [snapshot_message(plan, row, moment, now_ms, request.derived) for row in rows]
    last = None if whole else tuple(rows[-1][name] for name in plan.schema.key)
    return replace(chunk, messages=messages, last=last, read=len(rows))


def estimate(cursor: Cursor, full: TableSchema, where: str = "") -> int:
    """The server's guess of the rows that fit. Raises what the server says of the predicate."""
    cursor.execute(explain(full, where), ())
    names = [str(column[0]).lower() for column in cursor.description or ()]
    row = dict(zip(names, cursor.fetchone() or (), strict=False))
    return round(int(row.get("rows") or 0) * float(row.get("filtered") or 100) / 100)


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
