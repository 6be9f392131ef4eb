"""What isolation asks of each kind of store: its door, a canary, a search. A module a kind; drivers load when used."""

from collections.abc import Sequence
from typing import Protocol

from audit.isolation.places import Family
from audit.isolation.stores.answers import Answer, Found


class Store(Protocol):
    """Each call connects, asks and goes; none retries. ``url`` carries the credentials.

    `plant`, `remove` and `search` raise `Transient` or `Misconfigured`. What a search cannot read it names.
    """

    def enter(self, url: str) -> Answer:
        """Ask to be let in, and look at something that only who is inside may see. Never raises."""

    def plant(self, url: str, token: str) -> None:
        """Put ``token`` where no application looks, and nothing else is."""

    def remove(self, url: str) -> None:
        """Take away what any `plant` has put there; idempotent."""

    def search(self, url: str, tokens: Sequence[str]) -> Found:
        """Look at all that there is, whoever wrote it, for any of ``tokens``."""


def store_of(family: Family) -> Store:  # noqa: PLR0911
    """Raises `KeyError` for Kafka, which is asked more (`audit.isolation.kafka`)."""
    match family:
        case "mysql":
            from audit.isolation.stores import mysql  # noqa: PLC0415

            return mysql
        case "postgres":
            from audit.isolation.stores import postgres  # noqa: PLC0415

            return postgres
        case "redis":
            from audit.isolation.stores import redis  # noqa: PLC0415

            return redis
        case "sqlite":
            from audit.isolation.stores import sqlite  # noqa: PLC0415

            return sqlite
        case "mongodb":
            from audit.isolation.stores import mongodb  # noqa: PLC0415

            return mongodb
        case "elasticsearch":
            from audit.isolation.stores import elasticsearch  # noqa: PLC0415

            return elasticsearch
        case "neo4j":
            from audit.isolation.stores import neo4j  # noqa: PLC0415

            return neo4j
        case "weaviate":
            from audit.isolation.stores import weaviate  # noqa: PLC0415

            return weaviate
    raise KeyError(family)
