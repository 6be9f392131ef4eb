"""Connections to MySQL and MariaDB, and their errors in our terms."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from changes.errors import Misconfigured, Transient
from changes.mysqlurl import MysqlUrl
from sinks.sql.mysql.tls import driver_tls

__all__ = ["ANSWER_SECONDS", "Connection", "MysqlUrl", "classified", "connect", "session"]

if TYPE_CHECKING:
    Connection = pymysql.Connection[Cursor]
else:
    Connection = pymysql.Connection  # generic in its type stubs only

_REFUSED = {
    ER.ACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.HOST_NOT_PRIVILEGED,
    1820,  # the password has expired
    1862,  # the same, said at the door
    3118,  # the account is locked
}
_TLS_DEMANDED = 3159

ANSWER_SECONDS = 300
"""A server that has sent nothing for so long, in the midst of a statement, is taken for dead."""


def connect(url: MysqlUrl, **options: Any) -> Connection:
    """A connection in UTC with autocommit. Raises `Transient` or `Misconfigured`."""
    try:
        return pymysql.connect(
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password.encode(),  # as its owner typed it: the driver would take Latin-1
            database=url.database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
            init_command="SET time_zone = '+00:00'",
            **{"read_timeout": ANSWER_SECONDS, **driver_tls(url), **options},
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
    """`Misconfigured` where either side refuses the other, `Transient` where the server cannot be reached; else the
    error itself."""
    code, message = (*error.args, "", "")[:2]
    where = f"MySQL at {url.host}:{url.port}"
    if code in _REFUSED:
        without = " on a connection without TLS" if url.tls == "disabled" else ""  # which MariaDB does not say is why
        return Misconfigured(f"{where} refuses user `{url.user}`{without}: {message}")
    if code == _TLS_DEMANDED:
        return Misconfigured(f"{where} takes no connection without TLS: add `?ssl=required` to its URL")
    if code == CR.CR_SSL_CONNECTION_ERROR:
        return Misconfigured(f"{where} offers no TLS, and its URL says `ssl={url.tls}`")
    if isinstance(getattr(error, "original_exception", None), ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the certificate of {where} is not what `ssl={url.tls}` wants ({message}): "
            "`ssl_ca` names the file of the authority that signed it"
        )
    if isinstance(error, pymysql.err.OperationalError | pymysql.err.InterfaceError) or code in {
        CR.CR_SERVER_LOST,
        CR.CR_SERVER_GONE_ERROR,
    }:
        return Transient(f"{where}: {message or error}")
    return error
