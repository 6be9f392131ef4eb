"""The harness of each sink. A sink in the registry without one here fails the suite."""

from collections.abc import Callable
from functools import partial

from conformance import Harness, Others, Servers
<<<<<<< HEAD
from harness_mysql import MysqlHarness
=======
from harness_mongodb import MongoHarness
>>>>>>> efe8404 (A sink for MongoDB: guarded documents, tombstones among them, a view for applications)
from harness_postgres import PostgresHarness
from harness_redis import RedisHarness
from harness_sqlite import SqliteHarness

HARNESSES: dict[str, Callable[[Servers, Others], Harness]] = {
<<<<<<< HEAD
    "ai_identity": partial(PostgresHarness, name="ai_identity"),
    "credit": partial(MysqlHarness, name="credit"),
    "dao": partial(MysqlHarness, name="dao"),
=======
    "mongodb": MongoHarness,
>>>>>>> efe8404 (A sink for MongoDB: guarded documents, tombstones among them, a view for applications)
    "postgres": PostgresHarness,
    "redis": RedisHarness,
    "sqlite": SqliteHarness,
}
