"""A connection to the example's MySQL, and running its scripts."""

import re
from importlib import resources
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import pymysql
from pymysql.cursors import Cursor

Connection: TypeAlias = "pymysql.Connection[Cursor]"


def connect(url: str, *, timeout: float = 10.0) -> Connection:
    """Open `mysql://user:password@host:port/database`; `timeout` in seconds is for connecting.

    The session is in UTC and READ COMMITTED (fewer gap locks, so writers seldom meet), does not
    commit by itself, and rejects values that do not fit. Row counts are rows *changed*, not rows found.
    Raises `ValueError` for another kind of URL, `pymysql.err.OperationalError` if MySQL does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme != "mysql" or not parts.hostname or len(parts.path) < 2:
        raise ValueError("`url` must read mysql://user:password@host:port/database")
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path[1:]),
        charset="utf8mb4",
        autocommit=False,
        connect_timeout=timeout,
    )
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return connection


def script(name: str) -> list[str]:
    """The statements of a `.sql` file of this package, without comments."""
    text = resources.files("tailrace.example").joinpath(name).read_text(encoding="utf-8")
    code = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    return [statement.strip() for statement in re.split(r";\s*$", code, flags=re.MULTILINE) if statement.strip()]


def run_script(connection: Connection, name: str) -> None:
    """Run every statement of a `.sql` file of this package. DDL commits by itself."""
    with connection.cursor() as cursor:
        for statement in script(name):
            cursor.execute(statement)
