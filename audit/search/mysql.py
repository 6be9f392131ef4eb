"""MySQL: the texts and bytes of every row of every table of the database that the URL names."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from audit.search.found import Found
from audit.search.needles import Needles
from changes.mysqlurl import MysqlUrl
from sinks.sql.mysql.pagecursor import PageCursor
from streams.capture.select import TEXT_PROTOCOL, quoted
from streams.mysql import Connection, session

_PAGE = 500
_COLUMNS = (
    "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.DATA_TYPE FROM information_schema.COLUMNS AS c"
    " JOIN information_schema.TABLES AS t USING (TABLE_SCHEMA, TABLE_NAME)"
    " WHERE c.TABLE_SCHEMA = %s AND t.TABLE_TYPE = 'BASE TABLE' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION"
)
_TELLING = ("char", "text", "blob", "binary", "json", "longtext")

Naming = Callable[[str, str, Mapping[str, Any]], str]
"""What an item is called: by its table, its column, and the row's values as the server writes them."""

Each = Callable[[str, Mapping[str, Any]], None]
"""Sees a row: its table, and its values."""


async def find(url: str, needles: Needles) -> Found:
    """Raises `Transient` or `Misconfigured`."""
    return await asyncio.to_thread(look_through, url, Found("mysql", needles))


def _named(table: str, column: str, _: Mapping[str, Any]) -> str:
    return f"{table}.{column}"


def look_through(text: str, found: Found, naming: Naming = _named, each: Each = lambda *_: None) -> Found:
    """``naming`` names what is looked at, for whoever sifts it; ``each`` sees every row. Blocking."""
    url = MysqlUrl.parse(text)
    with session(url, conv=TEXT_PROTOCOL) as connection:
        tables: dict[str, dict[str, bool]] = {}
        with connection.cursor() as cursor:
            cursor.execute(_COLUMNS, (url.database,))
            for table, column, kind in cursor.fetchall():
                tables.setdefault(table, {})[column] = any(word in kind.lower() for word in _TELLING)
        for table, columns in tables.items():
            _table(connection, table, columns, found, naming, each)
    return found.end()


def _table(
    connection: Connection, table: str, columns: Mapping[str, bool], found: Found, naming: Naming, each: Each
) -> None:
    with connection.cursor(PageCursor) as cursor:
        cursor.execute(f"SELECT * FROM {quoted(table)}")  # noqa: S608 - the name is quoted
        while page := cursor.fetchmany(_PAGE):
            for values in page:
                row = dict(zip(columns, values, strict=True))
                each(table, row)
                for column, telling in columns.items():
                    if telling and row[column] is not None:
                        value = row[column]
                        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
                        found.look(naming(table, column, row), data)
