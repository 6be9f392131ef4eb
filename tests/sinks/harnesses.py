"""The harness of each sink. A sink in the registry without one here fails the suite."""

from collections.abc import Callable

from conformance import Harness, Others, Servers
from harness_postgres import PostgresHarness
from harness_redis import RedisHarness
from harness_sqlite import SqliteHarness
from harness_weaviate import WeaviateHarness

HARNESSES: dict[str, Callable[[Servers, Others], Harness]] = {
    "postgres": PostgresHarness,
    "redis": RedisHarness,
    "sqlite": SqliteHarness,
    "weaviate": WeaviateHarness,
}
