"""The URL of a MySQL or MariaDB server: where it is, who connects, and how the connection is protected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from changes.errors import Misconfigured

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
