"""Every sink there is. A new one is a line here."""

from sinks.contract import SinkSpec
from sinks.elasticsearch import ELASTICSEARCH
from sinks.redis import REDIS
from sinks.sql import AI_IDENTITY, CREDIT, DAO, POSTGRES, SQLITE

SPECS: dict[str, SinkSpec] = {
    spec.name: spec for spec in (REDIS, POSTGRES, SQLITE, AI_IDENTITY, DAO, CREDIT, ELASTICSEARCH)
}
