"""The quick cursor against the driver's own, on MySQL and MariaDB."""

from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor

from sinks.sql.mysql.pagecursor import PageCursor
from streams.capture.select import TEXT_PROTOCOL
from streams.mysql import Connection, MysqlUrl, session

LENGTHS = [0, 1, 249, 250, 251, 252, 255, 256, 65_534, 65_535, 65_536, 70_000, (1 << 24) - 20, 1 << 24, 17_000_000]
"""Around each width of a length, and of a packet."""


@pytest.fixture
def connection(either: MysqlUrl) -> Iterator[Connection]:
    with session(either) as root, root.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        (before,) = cursor.fetchone() or (0,)
        cursor.execute("SET GLOBAL max_allowed_packet = 67108864")
        try:
            with session(either, conv=TEXT_PROTOCOL) as one:
                yield one
        finally:
            cursor.execute("SET GLOBAL max_allowed_packet = %s", (before,))


def both(connection: Connection, sql: str, size: int = 3) -> tuple[list[list[Any]], list[list[Any]]]:
    """What the driver's cursor and ours fetch, so many rows at a time."""
    found: list[list[list[Any]]] = []
    for kind in (SSCursor, PageCursor):
        with connection.cursor(kind) as cursor:
            cursor.execute(sql)
            rows: list[list[Any]] = []
            while page := cursor.fetchmany(size):
                assert len(page) <= size
                rows += [list(row) for row in page]
            assert not cursor.fetchmany(size)
            found.append(rows)
    return found[0], found[1]


def cut(connection: Connection, root: MysqlUrl) -> None:
    """End a connection from another one, while its rows come."""
    with session(root) as other, other.cursor() as cursor:
        cursor.execute(f"KILL {int(connection.server_thread_id[0])}")  # type: ignore[attr-defined]


def test_rows_are_those_of_the_drivers_own_cursor(connection: Connection) -> None:
    lengths = " UNION ALL ".join(
        f"SELECT {length}, REPEAT('x', {length}), REPEAT('ü', {length} DIV 2), UNHEX(REPEAT('ff', {length} DIV 4)),"
        " NULL, 1.50, DATE '2026-01-02', ''"
        for length in LENGTHS
    )
    theirs, ours = both(connection, lengths)
    assert ours == theirs
    assert [len(row[1]) for row in ours] == LENGTHS
    assert {type(row[3]) for row in ours} == {bytes}


def test_converters_of_the_connection_are_used(either: MysqlUrl) -> None:
    numbers = {FIELD_TYPE.LONG: int, FIELD_TYPE.LONGLONG: int, FIELD_TYPE.DOUBLE: float}
    with session(either, conv=numbers) as connection:
        theirs, ours = both(
            connection, "SELECT 7, 1.5e0, 'x', NULL + 1, NOW() > 0 UNION ALL SELECT NULL, 2e0, '', 3, 1"
        )
    assert ours == theirs
    assert [type(value) for value in ours[0]] == [int, float, str, type(None), int]


def test_no_rows(connection: Connection) -> None:
    assert both(connection, "SELECT 1 FROM DUAL WHERE 1 = 0") == ([], [])


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 6, 7])
def test_pages_end_where_rows_do(connection: Connection, rows: int) -> None:
    theirs, ours = both(connection, " UNION ALL ".join(f"SELECT {row}, NULL" for row in range(rows)))
    assert ours == theirs == [[str(row), None] for row in range(rows)]


def test_rows_that_nobody_wants_leave_the_connection_usable(connection: Connection) -> None:
    with connection.cursor(PageCursor) as cursor:
        cursor.execute("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
        assert cursor.fetchmany(1) == [["1"]]
    with connection.cursor(PageCursor) as cursor:
        cursor.execute("SELECT 4")
        assert cursor.fetchmany(5) == [["4"]]


def test_an_error_among_the_rows_is_raised(connection: Connection) -> None:
    def read() -> None:
        with connection.cursor(PageCursor) as cursor:
            cursor.execute("SELECT 1 UNION ALL SELECT (SELECT 1 UNION ALL SELECT 2) + RAND() * 0")
            while cursor.fetchmany(1):
                pass

    with pytest.raises(pymysql.err.OperationalError, match="more than 1 row"):
        read()


@pytest.mark.parametrize("fetch", [PageCursor.fetchmany, PageCursor.fetchone])
def test_a_connection_that_ends_among_the_rows_is_an_error(
    connection: Connection, either: MysqlUrl, fetch: Callable[[PageCursor], Any]
) -> None:
    def read() -> None:
        with connection.cursor(PageCursor) as cursor:
            cursor.execute("SELECT REPEAT('x', 1000000) FROM information_schema.COLUMNS LIMIT 300")
            cut(connection, either)
            while fetch(cursor):
                pass

    with pytest.raises(pymysql.err.OperationalError):
        read()


def test_a_connection_that_ends_among_rows_that_nobody_wants_says_so_when_it_is_used(
    connection: Connection, either: MysqlUrl
) -> None:
    with connection.cursor(PageCursor) as cursor:
        cursor.execute("SELECT REPEAT('x', 1000000) FROM information_schema.COLUMNS LIMIT 300")
        assert len(cursor.fetchmany(1)) == 1
        cut(connection, either)
    with pytest.raises(pymysql.err.MySQLError):
        connection.ping(reconnect=False)
