"""A consistent read view of MySQL with a bound on either side, for whoever compares it with the stream.

No statement ties a read view to a GTID set, so the view is bounded: it holds at least the transactions that were
executed before it was opened, and at most those that the binlog held afterwards.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor

from changes.canonical import Value
from changes.errors import Misconfigured, Transient
from changes.schema import TableSchema
from sinks.sql.mysql.pagecursor import PageCursor
from streams.capture.select import TEXT_PROTOCOL, columns_of, rows_of, select_after, select_keys
from streams.capture.snapshot import binlog_end, estimate, executed, mariadb_view
from streams.describe import captured, tables_of
from streams.mysql import Connection, MysqlUrl, session
from streams.preflight import Flavour

_PAGE = 2000
RESTING_SECONDS = 3600
"""How long the server waits for whoever reads a view and rests between two pages: an audit gives way to lanes for
longer than its usual minute."""


@dataclass(frozen=True)
class View:
    """A view of one table. All that it can see was logged before ``file``, ``offset``.

    ``full`` is the table as MySQL has it, ``schema`` the part of it that is captured, with its declared key.
    """

    connection: Connection
    full: TableSchema
    schema: TableSchema
    file: str
    offset: int

    def rows(self) -> Iterator[dict[str, Value]]:
        """Every row with all its columns, in flat memory."""
        for page in self._read(*select_after(self.full, self.schema.key, None, None)):
            yield from rows_of(self.full, page)

    def pages(self, after: tuple[Value, ...] | None = None) -> Iterator[list[list[Value]]]:
        """Every captured row behind the key ``after`` in the order of keys, some at a time: a list of values for each
        column of ``schema``. In flat memory. Whoever leaves in the middle has ended the view."""
        for page in self._read(*select_after(self.schema, self.schema.key, after, None)):
            yield columns_of(self.schema, page)

    def _read(self, statement: str, values: Sequence[Value]) -> Iterator[list[list[Any]]]:
        with self.connection.cursor(PageCursor) as cursor:
            cursor.execute(statement, values)
            left = True
            try:
                while page := cursor.fetchmany(_PAGE):
                    yield page
                left = False
            finally:
                if left:  # the server would send the rest of the table all the same, and the driver read it
                    self.connection._force_close()  # type: ignore[attr-defined]

    def guess(self) -> int:
        """How many rows there are, by MySQL's own estimate."""
        with self.connection.cursor(Cursor) as cursor:
            return estimate(cursor, self.full)

    def rows_by(self, keys: Sequence[Sequence[Value]]) -> Iterator[dict[str, Value]]:
        """The rows with these keys, and maybe some that only compare equal to them in MySQL."""
        if keys:
            with self.connection.cursor(Cursor) as cursor:
                cursor.execute(*select_keys(self.full, self.schema.key, keys))
                yield from rows_of(self.full, cursor.fetchall())


@contextmanager
def view_of(
    mysql: MysqlUrl,
    database: str,
    table: str,
    covers: int,
    *,
    key: tuple[str, ...],
    dropped: frozenset[str],
    timeout: float = 30.0,
) -> Iterator[View]:
    """A view that holds the first ``covers`` transactions of the server's history, and maybe more.

    Raises `Transient` where MySQL is away or does not execute them within ``timeout`` seconds, `Misconfigured` where
    it has no such table.
    """
    with session(mysql, conv=TEXT_PROTOCOL) as connection:
        described = tables_of(connection, database, [table])
        if table not in described:
            raise Misconfigured(f"`{database}` has no table `{table}`")
        full = described[table][0]
        mariadb = Flavour.of(connection).mariadb
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION net_write_timeout = %s", (RESTING_SECONDS,))
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            _open(connection, cursor, covers, timeout, mariadb=mariadb)
            file, offset = binlog_end(cursor)
        yield View(connection, full, captured(full, key, dropped), file, offset)


def _open(connection: Connection, cursor: Cursor, covers: int, timeout: float, *, mariadb: bool) -> None:
    """Events are sent before their transactions are visible, so the stream may be ahead of what can be read."""
    deadline = time.monotonic() + timeout
    while True:
        if mariadb:
            if mariadb_view(cursor).ordinal >= covers:
                return
            cursor.execute("ROLLBACK")
        elif executed(connection, mariadb=False).ordinal >= covers:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            return
        if time.monotonic() >= deadline:
            raise Transient("the server has not executed what its own binlog says")
        time.sleep(0.01)
