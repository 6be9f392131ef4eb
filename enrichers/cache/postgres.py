"""The lasting cache: a table in PostgreSQL."""

from collections.abc import Mapping, Sequence

from enrichers.postgres import Database

_TABLE = (
    "CREATE TABLE IF NOT EXISTS tailrace.enrich_cache"
    " (key text PRIMARY KEY, value bytea NOT NULL, at timestamptz NOT NULL DEFAULT now())"
)
_GET = "SELECT key, value FROM tailrace.enrich_cache WHERE key = ANY ($1::text[])"
_PUT = (
    "INSERT INTO tailrace.enrich_cache (key, value) SELECT * FROM unnest($1::text[], $2::bytea[])"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = excluded.at"
)
_DROP = "DELETE FROM tailrace.enrich_cache WHERE key = ANY ($1::text[])"


class PostgresCache:
    """``url``: ``postgresql://user:password@host:port/database``."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, (_TABLE,))

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        found = {row["key"]: row["value"] for row in await self._database.fetch(_GET, list(keys))}
        return [found.get(key) for key in keys]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        if values:
            # In one order for all, so that no two batches wait for each other's rows.
            keys = sorted(values)
            await self._database.fetch(_PUT, keys, [values[key] for key in keys])

    async def drop_many(self, keys: Sequence[str]) -> None:
        if keys:
            await self._database.fetch(_DROP, list(keys))

    async def close(self) -> None:
        await self._database.close()
