"""A view of MySQL's rows beside whoever takes his time, on MySQL and MariaDB."""

import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from streams.mysql import MysqlUrl, session
from streams.view import View, view_of

ROWS = 20_000
"""Of a kilobyte each: more than what lies in the buffers between server and reader."""


@pytest.fixture
def table(either: MysqlUrl) -> Iterator[tuple[str, str]]:
    """A database and its table."""
    database = f"view_{secrets.token_hex(4)}"
    with session(either) as root, root.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {database}")
        cursor.execute(f"CREATE TABLE {database}.wide (id INT PRIMARY KEY, body VARCHAR(1000))")
        digits = "(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) "
        numbers = " JOIN ".join(f"{digits} d{place}" for place in range(7))
        number = " + ".join(f"d{place}.n * {5**place}" for place in range(7))
        cursor.execute(
            f"INSERT INTO {database}.wide SELECT {number} id, REPEAT('x', 1000) FROM {numbers} HAVING id < {ROWS}"
        )
        yield database, "wide"
        cursor.execute(f"DROP DATABASE {database}")


def opened(either: MysqlUrl, table: tuple[str, str]) -> AbstractContextManager[View]:
    return view_of(either, *table, 0, key=("id",), dropped=frozenset())


def impatient(either: MysqlUrl, table: tuple[str, str]) -> tuple[AbstractContextManager[View], View]:
    """A view on a server that waits a second for its readers."""
    with session(either) as root, root.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.net_write_timeout")
        (before,) = cursor.fetchone() or (0,)
        cursor.execute("SET GLOBAL net_write_timeout = 1")
        try:
            opening = opened(either, table)
            return opening, opening.__enter__()
        finally:
            cursor.execute("SET GLOBAL net_write_timeout = %s", (before,))


def test_a_reader_may_rest_longer_than_the_server_waits_for_others(either: MysqlUrl, table: tuple[str, str]) -> None:
    opening, view = impatient(either, table)
    try:
        pages = view.pages()
        found = len(next(pages)[0])
        time.sleep(3)
        assert found + sum(len(columns[0]) for columns in pages) == ROWS
    finally:
        opening.__exit__(None, None, None)


def test_one_that_is_left_in_the_middle_reads_nothing_more(either: MysqlUrl, table: tuple[str, str]) -> None:
    with opened(either, table) as view:
        pages = view.pages()
        assert len(next(pages)[0]) < ROWS
        assert view.connection.open
        del pages
        assert not view.connection.open


def test_one_that_is_read_to_its_end_answers_further(either: MysqlUrl, table: tuple[str, str]) -> None:
    with opened(either, table) as view:
        assert sum(len(columns[0]) for columns in view.pages((ROWS - 10,))) == 9
        assert [row["id"] for row in view.rows_by([(3,)])] == [3]
