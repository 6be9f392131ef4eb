"""Every sink there is. A new one is a line here."""

from sinks.contract import SinkSpec
from sinks.neo4j import NEO4J
from sinks.redis import REDIS
from sinks.sql import POSTGRES, SQLITE

SPECS: dict[str, SinkSpec] = {spec.name: spec for spec in (REDIS, POSTGRES, SQLITE, NEO4J)}
