"""The harness of each sink. A sink in the registry without one here fails the suite."""

from collections.abc import Callable
from functools import partial

from conformance import Harness, Others, Servers
from harness_elasticsearch import ElasticsearchHarness
from harness_mongodb import MongoHarness
from harness_mysql import MysqlHarness
from harness_neo4j import Neo4jHarness
from harness_postgres import PostgresHarness
from harness_redis import RedisHarness
from harness_sqlite import SqliteHarness
from harness_weaviate import WeaviateHarness

HARNESSES: dict[str, Callable[[Servers, Others], Harness]] = {
    "ai_identity": partial(PostgresHarness, name="ai_identity"),
    "credit": partial(MysqlHarness, name="credit"),
    "dao": partial(MysqlHarness, name="dao"),
    "elasticsearch": ElasticsearchHarness,
    "mongodb": MongoHarness,
    "neo4j": Neo4jHarness,
    "postgres": PostgresHarness,
    "redis": RedisHarness,
    "sqlite": SqliteHarness,
    "weaviate": WeaviateHarness,
}
