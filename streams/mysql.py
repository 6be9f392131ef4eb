"""Connections to MySQL and MariaDB, and their errors in our terms."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from changes.errors import Misconfigured, Transient

if TYPE_CHECKING:
    Connection = pymysql.Connection[Cursor]
else:
    Connection = pymysql.Connection  # generic in its type stubs only

_REFUSED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.BAD_DB_ERROR, ER.SPECIFIC_ACCESS_DENIED_ERROR}


@dataclass(frozen=True)
class MysqlUrl:
    """``mysql://user:password@host:port/database[?ssl=required]``."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "MysqlUrl":
        """Raises `Misconfigured` where ``url`` is not of that form; the message holds no password."""
        parts = urlsplit(url)
        if parts.scheme not in {"mysql", "mariadb"} or not parts.hostname or not parts.path.strip("/"):
            raise Misconfigured("a MySQL URL looks like mysql://user:password@host:3306/database")
        return cls(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")),
            tls="required" in parse_qs(parts.query).get("ssl", []),
        )


def connect(url: MysqlUrl, **options: Any) -> Connection:
    """A connection in UTC with autocommit. Raises `Transient` or `Misconfigured`."""
    try:
        return pymysql.connect(
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password,
            database=url.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
            init_command="SET time_zone = '+00:00'",
            ssl=ssl.create_default_context() if url.tls else None,
            **options,
        )
    except pymysql.err.MySQLError as error:
        raise classified(error, url) from error


@contextmanager
def session(url: MysqlUrl, **options: Any) -> Iterator[Connection]:
    """A connection that is closed behind its block, errors of the block in our terms."""
    connection = connect(url, **options)
    try:
        yield connection
    except pymysql.err.MySQLError as error:
        raise classified(error, url) from error
    finally:
        if connection.open:
            connection._force_close()  # type: ignore[attr-defined]


def classified(error: pymysql.err.MySQLError, url: MysqlUrl) -> Exception:
    """`Misconfigured` where the server refuses us, `Transient` where it cannot be reached; else the error itself."""
    code, message = (*error.args, "", "")[:2]
    where = f"MySQL at {url.host}:{url.port}"
    if code in _REFUSED:
        return Misconfigured(f"{where} refuses user `{url.user}`: {message}")
    if isinstance(error, pymysql.err.OperationalError | pymysql.err.InterfaceError) or code in {
        CR.CR_SERVER_LOST,
        CR.CR_SERVER_GONE_ERROR,
    }:
        return Transient(f"{where}: {message or error}")
    return error
