"""Which servers are given by the environment, and which have to be started."""

import re
from collections.abc import Mapping, Sequence

from tailrace.stack.errors import StackError

# Kinds of endpoints and the variable of each, after the version's prefix.
VARIABLES = {
    "mysql": "MYSQL_URL",
    "kafka": "KAFKA_URL",
    "postgres": "POSTGRES_URL",
    "redis": "REDIS_URL",
    "sqlite": "SQLITE_DIR",
    "mongodb": "MONGODB_URL",
    "elasticsearch": "ELASTICSEARCH_URL",
    "neo4j": "NEO4J_URL",
    "weaviate": "WEAVIATE_URL",
    "ai_identity": "AI_IDENTITY_URL",
    "dao": "DAO_URL",
    "credit": "CREDIT_URL",
}

RESERVED = {"admin", "kafka", "shared"}  # names of accounts and folders that are not of versions


def check_versions(versions: Sequence[str]) -> tuple[str, ...]:
    """The versions, once each; a name becomes part of databases, topics and variables, so raises `StackError`."""
    if not versions:
        raise StackError("a stack needs at least one version")
    for version in versions:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", version) or version in RESERVED:
            raise StackError(f"`{version}` cannot name a version: use small letters, digits and underscores")
    return tuple(dict.fromkeys(versions))


def variable(version: str, kind: str) -> str:
    """``FUTURE_MYSQL_URL`` for ``("future", "mysql")``."""
    return f"{version.upper()}_{VARIABLES[kind]}"


def given(environ: Mapping[str, str], version: str) -> dict[str, str]:
    """The endpoints of a version that the environment names, by kind; an empty variable names none."""
    found = {kind: environ.get(variable(version, kind), "") for kind in VARIABLES}
    return {kind: value for kind, value in found.items() if value}
