"""Every sink there is. A new one is a line here."""

from sinks.contract import SinkSpec
from sinks.elasticsearch import ELASTICSEARCH
from sinks.mongodb import MONGODB
from sinks.neo4j import NEO4J
from sinks.redis import REDIS
from sinks.sql import AI_IDENTITY, CREDIT, DAO, POSTGRES, SQLITE
from sinks.weaviate import WEAVIATE

_ALL = (
    REDIS,
    POSTGRES,
    SQLITE,
    MONGODB,
    ELASTICSEARCH,
    NEO4J,
    WEAVIATE,
    AI_IDENTITY,
    DAO,
    CREDIT,
)

SPECS: dict[str, SinkSpec] = {spec.name: spec for spec in _ALL}
