"""MySQL and MariaDB: the source, and the special databases."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pymysql
from pymysql.cursors import Cursor

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search
from changes.errors import Misconfigured, TailraceError
from changes.mysqlurl import MysqlUrl
from sinks.sql.mysql.errors import classify
from sinks.sql.mysql.tls import driver_tls

if TYPE_CHECKING:
    Connection = pymysql.Connection[Cursor]
else:
    Connection = pymysql.Connection  # generic in its type stubs only

_REFUSED = {1045, 1130, 1698, 1862, 3118}
_BARRED = {1044, 1049, 1142, 1227}
_TABLE = "tailrace_canary"
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json", "enum", "set"}
_SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")
_TOLD = 1000
"""Rows of one table that are looked at closely; a canary in more is as surely found."""


def enter(url: str) -> Answer:
    try:
        _connect(MysqlUrl.parse(url)).close()
    except TailraceError as error:
        return Answer("unknown", str(error))
    except pymysql.err.MySQLError as error:
        number, message = _told(error)
        if number in _REFUSED:
            return Answer("refused", message)
        return Answer("barred" if number in _BARRED else "unknown", message)
    return INSIDE


def plant(url: str, token: str) -> None:
    with _cursor(url) as cursor:
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (token VARCHAR(128) NOT NULL PRIMARY KEY)")
        cursor.execute(f"INSERT INTO {_TABLE} VALUES (%s)", (token,))  # noqa: S608


def remove(url: str) -> None:
    with _cursor(url) as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {_TABLE}")


def search(url: str, tokens: Sequence[str]) -> Found:
    """Every table that the account may read, in every database: texts, JSON and bytes; the server compares."""
    seen = Search(tokens)
    with _cursor(url) as cursor:
        cursor.execute(
            "SELECT table_schema, table_name, column_name, LOWER(data_type) FROM information_schema.columns JOIN"
            " information_schema.tables USING (table_schema, table_name) WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN %s",
            (_SYSTEM,),
        )
        tables: dict[tuple[str, str], list[str]] = {}
        for schema, table, column, kind in cursor.fetchall():
            told = tables.setdefault((schema, table), [])
            if kind in _BYTES:
                told.append(_quoted(column))
            elif kind in _TEXTS:
                told.append(f"CAST(CONVERT({_quoted(column)} USING utf8mb4) AS BINARY)")
        for (schema, table), told in tables.items():
            _one(cursor, seen, f"{_quoted(schema)}.{_quoted(table)}", f"table `{schema}.{table}`", told)
    return seen.found()


def _one(cursor: Cursor, seen: Search, table: str, where: str, told: Sequence[str]) -> None:
    try:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")  # noqa: S608
        ((rows,),) = cursor.fetchall()
        seen.count(int(rows))
        if told:
            holds = " OR ".join(f"LOCATE(CAST(%s AS BINARY), {one})" for one in told)
            cursor.execute(
                f"SELECT {', '.join(told)} FROM {table} WHERE {holds} LIMIT {_TOLD}",  # noqa: S608
                (seen.needle,) * len(told),
            )
            for row in cursor.fetchall():
                seen.see(where, row, counted=False)
    except pymysql.err.OperationalError as error:
        number, message = _told(error)
        if number not in _BARRED:
            raise
        seen.leave(f"{where}: {message}")


@contextmanager
def _cursor(url: str) -> Iterator[Cursor]:
    try:
        with closing(_connect(MysqlUrl.parse(url))) as connection, connection.cursor() as cursor:
            yield cursor
    except pymysql.err.MySQLError as error:
        raise classify(*_told(error)) from error


def _connect(url: MysqlUrl) -> Connection:
    try:
        return pymysql.connect(
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password.encode(),
            database=url.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
            **driver_tls(url),
        )
    except RuntimeError as error:  # a way of logging in that the driver lacks
        raise Misconfigured(f"MySQL: {error}") from error


def _told(error: pymysql.err.MySQLError) -> tuple[int, str]:
    number, message = (*error.args, 0, "")[:2]
    return (number if isinstance(number, int) else 0), str(message or error)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
