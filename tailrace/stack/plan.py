"""Which servers a stack needs, given what the environment names already."""

from collections.abc import Mapping
from pathlib import Path

from tailrace.stack.elasticsearch import Elasticsearch
from tailrace.stack.host import Host
from tailrace.stack.kafka import Kafka
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mongo import Mongo
from tailrace.stack.mysql import MySQL
from tailrace.stack.neo4j import Neo4j
from tailrace.stack.postgres import Postgres
from tailrace.stack.redis import Redis
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings
from tailrace.stack.special import AiIdentity, Credit, Dao
from tailrace.stack.weaviate import Weaviate

CORE: tuple[type[Server], ...] = (MySQL, Postgres, Redis)
KINDS: Mapping[str, tuple[type[Server], ...]] = {
    "core": CORE,
    "full": (Weaviate, Neo4j, Elasticsearch, Mongo, *CORE, AiIdentity, Dao, Credit),
}
"""By profile, what a version has of its own."""


def services(profile: str) -> list[str]:
    """The kinds of servers that a version has of its own."""
    return [kind.kind for kind in KINDS[profile]]


def plan(
    host: Host, settings: Settings, folder: Path, given: Mapping[str, Mapping[str, str]], profile: str = "core"
) -> list[Server]:
    """The servers to start, the slowest first: one of each kind a version, one Kafka for all that are given none.

    ``given`` are endpoints by version and kind, see `endpoints.given`.
    """
    servers: list[Server] = []
    if sharing := tuple(version for version, urls in given.items() if "kafka" not in urls):
        servers.append(Kafka(host, settings, folder, sharing))
    for version, urls in given.items():
        for kind in KINDS[profile]:
            if kind.kind not in urls:
                servers.append(_with_its_data(kind(host, settings, folder, version)))
    return servers


def _with_its_data(server: Server) -> Server:
    """MariaDB where an earlier start had to take it: MySQL could not read its data."""
    if isinstance(server, MySQL) and not server.data.exists():
        other = instead(server)
        return other if other.data.exists() else server
    return server


def instead(server: MySQL) -> MariaDB:
    """What stands in for a MySQL that cannot be had."""
    other = MariaDB(server.host, server.settings, server.folder.parent, server.version, name=server.name)
    other.kind, other.database = server.kind, server.database
    return other
