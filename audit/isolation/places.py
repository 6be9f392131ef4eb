"""Where a version's data are and with which credentials: its URLs, taken apart. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from changes.errors import Misconfigured

Family = Literal["mysql", "postgres", "redis", "sqlite", "mongodb", "elasticsearch", "neo4j", "weaviate", "kafka"]
"""What speaks one protocol: credentials of one kind can be tried on every server of its family."""

_FAMILIES: Mapping[str, Family] = {
    "mysql": "mysql",
    "dao": "mysql",
    "credit": "mysql",
    "postgres": "postgres",
    "ai_identity": "postgres",
    "redis": "redis",
    "sqlite": "sqlite",
    "mongodb": "mongodb",
    "elasticsearch": "elasticsearch",
    "neo4j": "neo4j",
    "weaviate": "weaviate",
    "kafka": "kafka",
}
_PORTS: Mapping[Family, int] = {
    "mysql": 3306,
    "postgres": 5432,
    "redis": 6379,
    "mongodb": 27017,
    "elasticsearch": 9200,
    "neo4j": 7687,
    "weaviate": 8080,
    "kafka": 9092,
}
_OWN_MACHINE = {"localhost", "127.0.0.1", "::1"}
_HOST = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")

Address = tuple[str, int]


@dataclass(frozen=True)
class Place:
    """One endpoint of one version. ``database`` is a database's name or number, of ``sqlite`` the folder; "" where the
    kind has none. ``addresses`` are all that the URL names, and Weaviate's second port; a folder has none."""

    version: str
    kind: str
    family: Family
    addresses: tuple[Address, ...]
    database: str
    user: str
    url: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def name(self) -> str:
        return f"`{self.kind}` of `{self.version}`"

    @property
    def at(self) -> str:
        """Where it is, without credentials."""
        hosts = ", ".join(f"{host}:{port}" for host, port in self.addresses)
        return " ".join(part for part in (hosts, self.database) if part)


def place(version: str, kind: str, url: str) -> Place:
    """Raises `Misconfigured`; its text holds no part of the URL."""
    family = _FAMILIES[kind]
    if family == "sqlite":
        return Place(version, kind, family, (), url.removeprefix("sqlite://"), "", url, "")
    try:
        parts = urlsplit(url)
        account, _, hosts = parts.netloc.rpartition("@")
        addresses = [_address(host, _PORTS[family]) for host in hosts.split(",")]
        grpc = parse_qs(parts.query).get("grpc", ["50051"])[0] if family == "weaviate" else None
        if grpc is not None:
            addresses.append((addresses[0][0], int(grpc)))
    except ValueError as error:
        raise Misconfigured(f"the URL of `{kind}` of version `{version}` cannot be read") from error
    user, _, secret = account.partition(":")
    database = unquote(parts.path.strip("/")) or ("0" if family == "redis" else "")
    return Place(version, kind, family, tuple(addresses), database, unquote(user), url, unquote(secret))


def places(endpoints: Mapping[str, Mapping[str, str]]) -> list[Place]:
    """``endpoints`` are URLs by version and kind."""
    return [place(version, kind, url) for version, urls in endpoints.items() for kind, url in urls.items()]


def _address(text: str, port: int) -> Address:
    found = _HOST.fullmatch(text)
    host = (found["six"] or found["name"] or "") if found else ""
    if found is None or not host:
        raise ValueError("no host")
    return "127.0.0.1" if host.lower() in _OWN_MACHINE else host.lower(), int(found["port"] or port)


def with_login(url: str, user: str, secret: str) -> str:
    """The same place, with other credentials; without any where both are empty."""
    parts = urlsplit(url)
    account = f"{quote(user, safe='')}:{quote(secret, safe='')}@" if user or secret else ""
    return urlunsplit(parts._replace(netloc=account + parts.netloc.rpartition("@")[2]))


def secrets(found: Iterable[Place]) -> set[str]:
    return {one.secret for one in found if one.secret}
