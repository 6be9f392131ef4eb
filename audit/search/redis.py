"""Redis: every key of the database that the URL names, whatever it holds."""

from collections.abc import AsyncIterator
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from audit.search.found import Found
from audit.search.needles import Needles
from audit.search.walked import flat
from changes.errors import Misconfigured
from sinks.redis.errors import classify

_PAGE = 500
_READ = {b"hash": "hgetall", b"set": "smembers"}
_RANGE = {b"list": "lrange", b"zset": "zrange"}


async def find(url: str, needles: Needles) -> Found:
    """Raises `Transient` or `Misconfigured`. A key that goes while it is looked at is as one that was never there."""
    found = Found("redis", needles)
    try:
        client = Redis.from_url(url, socket_timeout=30.0, socket_connect_timeout=10.0, retry=Retry(NoBackoff(), 0))
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured("Redis: the URL cannot be read") from error
    try:
        async for keys in _pages(client):
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.type(key)
            kinds = await pipeline.execute()
            for key, kind in zip(keys, kinds, strict=True):
                _ask(pipeline, key, kind)
            for key, value in zip(keys, await pipeline.execute(raise_on_error=False), strict=True):
                other = isinstance(value, exceptions.ResponseError)  # it became of another kind meanwhile
                held = await client.dump(key) if other else value
                found.look(key.decode("utf-8", "backslashreplace"), *flat(held))
    except (exceptions.RedisError, OSError) as error:
        raise classify(error) from error
    finally:
        await client.aclose(close_connection_pool=True)
    return found.end()


async def _pages(client: Any) -> AsyncIterator[list[bytes]]:
    cursor = -1
    while cursor != 0:
        cursor, keys = await client.scan(max(cursor, 0), count=_PAGE)
        if keys:
            yield keys


def _ask(pipeline: Any, key: bytes, kind: bytes) -> None:
    if kind == b"string":
        pipeline.get(key)
    elif kind in _READ:
        getattr(pipeline, _READ[kind])(key)
    elif kind in _RANGE:
        getattr(pipeline, _RANGE[kind])(key, 0, -1)
    elif kind == b"stream":
        pipeline.xrange(key)
    else:
        pipeline.dump(key)
