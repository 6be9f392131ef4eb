"""Every sink there is. A new one is a line here."""

from sinks.contract import SinkSpec
from sinks.redis import REDIS
from sinks.sql import POSTGRES, SQLITE
from sinks.weaviate import WEAVIATE

SPECS: dict[str, SinkSpec] = {spec.name: spec for spec in (REDIS, POSTGRES, SQLITE, WEAVIATE)}
