"""Connections to MySQL and MariaDB, and their errors in our terms."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from changes.errors import Misconfigured, Transient

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

Tls = Literal["disabled", "preferred", "required", "verify-ca", "verify-identity"]
_OWN_MACHINE = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class MysqlUrl:
    """``mysql://user:password@host:port/database[?ssl=…][&ssl_ca=…]``.

    ``ssl`` goes for every connection, that of the binlog included, and is called as MySQL's clients call it:
    ``disabled``, ``preferred`` (where the server offers it), ``required`` (whoever the server is), ``verify-ca`` (its
    certificate must be signed by ``ssl_ca``, a file, or by one that the system trusts), ``verify-identity`` (and name
    the host too). Where it is left out: ``preferred``, and ``disabled`` within one machine, where it protects nothing
    and costs a fifth of the speed.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    tls: Tls = "preferred"
    ca: str = ""

    @classmethod
    def parse(cls, url: str) -> "MysqlUrl":
        """Raises `Misconfigured` where ``url`` is not of that form; the message holds no password."""
        parts = urlsplit(url)
        if parts.scheme not in {"mysql", "mariadb"} or not parts.hostname or not parts.path.strip("/"):
            raise Misconfigured("a MySQL URL looks like mysql://user:password@host:3306/database")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        tls, ca = _tls(query, parts.hostname)
        return cls(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=unquote(parts.path.strip("/")),
            tls=tls,
            ca=ca,
        )


def _tls(query: Mapping[str, str], host: str) -> tuple[Tls, str]:
    tls = query.get("ssl", "disabled" if host in _OWN_MACHINE else "preferred")
    ca = query.get("ssl_ca", "")
    if tls not in get_args(Tls):
        raise Misconfigured(f"`ssl={tls}` of a MySQL URL is none of {', '.join(get_args(Tls))}")
    if ca and not tls.startswith("verify"):
        raise Misconfigured(f"`ssl_ca` of a MySQL URL is for `ssl=verify-ca` and `verify-identity`, not `ssl={tls}`")
    return cast(Tls, tls), ca


def _driver_tls(url: MysqlUrl) -> dict[str, Any]:
    """The driver's options. Raises `Misconfigured` where the file of certificates cannot be used."""
    if url.tls == "preferred":
        return {}  # what the driver does by itself
    if url.tls == "disabled":
        return {"ssl_disabled": True}
    try:
        context = ssl.create_default_context(cafile=url.ca or None)
    except OSError as error:
        raise Misconfigured(f"`ssl_ca` of the MySQL URL, `{url.ca}`, cannot be used: {error}") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates that servers make for themselves lack what it wants
    context.check_hostname = url.tls == "verify-identity"
    if url.tls == "required":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


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
            **{"read_timeout": ANSWER_SECONDS, **_driver_tls(url), **options},
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
