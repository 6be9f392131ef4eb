"""What was made of which input, remembered: a replay makes nothing twice."""

from enrichers.cache.contract import Cache

__all__ = ["Cache", "open_cache"]


def open_cache(redis_url: str | None, postgres_url: str) -> Cache:
    """PostgreSQL, with Redis before it where there is one. Nothing is connected before it is used."""
    from enrichers.cache.postgres import PostgresCache  # noqa: PLC0415  drivers are loaded only where they are used

    behind = PostgresCache(postgres_url)
    if redis_url is None:
        return behind
    from enrichers.cache.layered import LayeredCache  # noqa: PLC0415
    from enrichers.cache.redis import RedisCache  # noqa: PLC0415

    return LayeredCache(RedisCache(redis_url), behind)
