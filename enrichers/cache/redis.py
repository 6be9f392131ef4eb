"""The quick cache: Redis, where everything has a lifetime."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from changes.errors import Misconfigured, Transient

PREFIX = "_tailrace:enrich:"
"""Before every key: no row of a table is stored under one that begins so."""

_MISCONFIGURED = (exceptions.AuthenticationError, exceptions.NoPermissionError, exceptions.MovedError)


class RedisCache:
    """``lifetime`` in seconds. ``url``: ``redis://user:password@host:port/number``."""

    def __init__(self, url: str, *, lifetime: int = 86400, timeout: float = 10.0) -> None:
        self._lifetime = lifetime
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=2,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),  # retrying is the caller's
                client_name="tailrace-enrich",
            )
        except ValueError:  # its text may hold a part of the password
            raise Misconfigured(
                "Redis: the URL cannot be read: it looks like `redis://user:password@host:port/number`"
            ) from None
        self._client = Redis(connection_pool=pool)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        with _translated():
            found: list[Any] = await self._client.mget([PREFIX + key for key in keys])
        return found

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values.items():
            pipeline.set(PREFIX + key, value, ex=self._lifetime)
        with _translated():
            for answer in await pipeline.execute(raise_on_error=False):
                if isinstance(answer, Exception):
                    raise answer

    async def drop_many(self, keys: Sequence[str]) -> None:
        if keys:
            with _translated():
                await self._client.delete(*(PREFIX + key for key in keys))

    async def close(self) -> None:
        with suppress(exceptions.RedisError, OSError):
            await self._client.aclose(close_connection_pool=True)


@contextmanager
def _translated() -> Iterator[None]:
    """redis-py's errors as ours; no message holds the connection's URL."""
    try:
        yield
    except _MISCONFIGURED as error:
        raise Misconfigured(f"Redis: {error}") from error
    except (exceptions.RedisError, OSError) as error:
        raise Transient(f"Redis: {str(error) or type(error).__name__}") from error
