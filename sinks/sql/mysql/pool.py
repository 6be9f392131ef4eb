"""Connections to one MySQL database for threads, and the driver's errors as ours."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import Cursor

from changes.errors import Misconfigured, TailraceError, Transient
from changes.mysqlurl import MysqlUrl
from sinks.sql.mysql.ddl import COLLATION
from sinks.sql.mysql.errors import classify
from sinks.sql.mysql.pagecursor import PageCursor
from sinks.sql.mysql.statements import MODE
from sinks.sql.mysql.tls import driver_tls
from sinks.sql.pages import PAGE

if TYPE_CHECKING:
    Connection = pymysql.Connection[Cursor]
else:
    Connection = pymysql.Connection  # generic in its type stubs only

_NUMBERS: dict[int | type[Any], Callable[[str], Any]] = {
    **dict.fromkeys((FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG), int),
    FIELD_TYPE.DOUBLE: float,
}
"""What is turned into Python's numbers. All else is read as text: a date of MySQL may have no Python one."""

_SESSION = {
    "time_zone": "'+00:00'",
    "sql_mode": f"'{MODE}'",
    "transaction_isolation": "'READ-COMMITTED'",  # no locks on gaps; and what was committed before a lock came is seen
    "innodb_lock_wait_timeout": 30,
    "lock_wait_timeout": 30,
    # A process that is stopped in mid-transaction must not hold its locks for ever.
    "wait_timeout": 60,
    # Whoever compares rows may take its time between two pages of them.
    "net_write_timeout": 3600,
    "range_optimizer_max_mem_size": 0,  # or five thousand keys are looked for in the whole table
}
_IDLE = 20.0
"""Seconds after which a connection is not trusted any more: the server may have closed it."""
_LONGEST = 3600
"""Seconds that a scan may let us wait for its next bytes."""


class Pool:
    """As many connections as are asked for at once; safe for threads. ``packet`` is the server's
    `max_allowed_packet`, known when the first connection is."""

    def __init__(self, url: MysqlUrl, timeout: float) -> None:
        """``timeout``: seconds without an answer after which a server is taken for dead."""
        self._url, self._timeout = url, timeout
        self._lock = threading.Lock()
        self._idle: list[tuple[Connection, float]] = []
        self._used: set[Connection] = set()
        self._closed = False
        self.packet = 0

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection without a transaction. Whatever the block has begun and not committed is rolled back."""
        connection, healthy = self._taken(), False
        try:
            with translated():
                yield connection
            healthy = True
        finally:
            self._given_back(connection, healthy=healthy)

    @contextmanager
    def scan(self) -> Iterator[Connection]:
        """A connection of its own for what takes long; closed behind the block, whatever it has not read yet."""
        connection = self._connected(_LONGEST)
        try:
            with translated():
                yield connection
        finally:
            self._forget(connection)

    def abort(self) -> None:
        """Cut every connection: whoever waits for an answer has a broken connection instead."""
        with self._lock:
            for connection in self._used:
                with suppress(OSError):
                    if (sock := connection._sock) is not None:  # type: ignore[attr-defined]
                        sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close every connection; no thread may be waiting on one any more."""
        with self._lock:
            self._closed = True
            left = [*self._used, *(connection for connection, _ in self._idle)]
            self._idle.clear()
        for connection in left:
            _cut(connection)

    def _taken(self) -> Connection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection, since = self._idle.pop()
                fresh = time.monotonic() - since < _IDLE
                if fresh:
                    self._used.add(connection)
            if fresh:
                return connection
            _cut(connection)
        return self._connected(self._timeout)

    def _given_back(self, connection: Connection, *, healthy: bool) -> None:
        if not healthy:
            try:
                connection.rollback()
            except (pymysql.err.MySQLError, OSError):
                self._forget(connection)
                return
        with self._lock:
            self._used.discard(connection)
            if not self._closed:
                self._idle.append((connection, time.monotonic()))
                return
        _cut(connection)

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            self._used.discard(connection)
        _cut(connection)

    def _connected(self, timeout: float) -> Connection:
        with translated():
            connection: Connection = pymysql.connect(
                host=self._url.host,
                port=self._url.port,
                user=self._url.user,
                password=self._url.password.encode(),  # as its owner typed it: the driver would take Latin-1
                database=self._url.database,
                charset="utf8mb4",
                collation=COLLATION,
                autocommit=True,
                connect_timeout=10,
                read_timeout=timeout,
                write_timeout=timeout,
                conv=_NUMBERS,
                init_command=f"SET {', '.join(f'{name} = {value}' for name, value in _SESSION.items())}",
                **driver_tls(self._url),
            )
        with self._lock:
            self._used.add(connection)
        try:
            with translated():
                (row,) = ask(connection, b"SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit")
            self.packet, flushed = row
            if flushed != 1:
                raise Misconfigured(
                    f"MySQL: `innodb_flush_log_at_trx_commit` is {flushed}, so a commit that was answered may be lost:"
                    " SET PERSIST innodb_flush_log_at_trx_commit = 1"
                )
        except TailraceError:
            self._forget(connection)
            raise
        return connection


def ask(connection: Connection, statement: bytes | str) -> tuple[tuple[Any, ...], ...]:
    """What a statement answers: its rows, none where it gives none."""
    with connection.cursor() as cursor:
        cursor.execute(statement)  # type: ignore[arg-type]  # bytes are sent as they are
        return cursor.fetchall()


def stream(connection: Connection, statement: str) -> Iterator[Sequence[Any]]:
    """The rows of a statement, in flat memory; nothing else may be asked on the connection meanwhile."""
    cursor = connection.cursor(PageCursor)
    cursor.execute(statement)
    while page := cursor.fetchmany(PAGE):
        yield from page


@contextmanager
def translated() -> Iterator[None]:
    """pymysql's errors as ours; no message holds a password."""
    try:
        yield
    except pymysql.err.MySQLError as error:
        number, message = (*error.args, "", "")[:2]
        if isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError):
            raise Misconfigured(
                f"MySQL: {message}: `ssl_ca` of its URL names the file of the authority that signed its certificate"
            ) from error
        raise classify(number if isinstance(number, int) else 0, str(message or error)) from error
    except OSError as error:
        raise Transient(f"MySQL: {str(error) or type(error).__name__}") from error


def _cut(connection: Connection) -> None:
    """Close without a word: nothing of an unfinished result is read first."""
    result = connection._result  # type: ignore[attr-defined]
    if result is not None:
        result.unbuffered_active = False
    connection._force_close()  # type: ignore[attr-defined]
