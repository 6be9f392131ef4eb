"""One suite for every cache, on real servers; and what two of them make together."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from changes.errors import Misconfigured, Transient
from enrichers.cache import Cache, open_cache
from enrichers.cache.layered import LayeredCache
from enrichers.cache.memory import MemoryCache
from enrichers.cache.postgres import PostgresCache
from enrichers.cache.redis import PREFIX, RedisCache


def build(name: str, endpoints: dict[str, str]) -> Cache:
    if name == "redis":
        return RedisCache(endpoints["redis"])
    if name == "postgres":
        return open_cache(None, endpoints["postgres"])
    if name == "layered":
        return open_cache(endpoints["redis"], endpoints["postgres"])
    return MemoryCache()


@pytest.fixture(params=["memory", "redis", "postgres", "layered"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    stack: Any = None if request.param == "memory" else request.getfixturevalue("stack")
    opened = build(request.param, {} if stack is None else stack.endpoints["future"])
    try:
        yield opened
    finally:
        await opened.close()
        await opened.close()


def keys(count: int) -> list[str]:
    run = secrets.token_hex(4)
    return [f"future:job_analysis:{run}:{number}" for number in range(count)]


async def test_what_was_put_is_got_in_order(cache: Cache) -> None:
    a, b, c = keys(3)
    values = {a: b"1", b: bytes(range(256)) * 100}
    await cache.put_many(values)
    assert await cache.get_many([b, c, a, b]) == [values[b], None, b"1", values[b]]


async def test_nothing_is_asked_and_nothing_put(cache: Cache) -> None:
    await cache.put_many({})
    await cache.drop_many([])
    assert await cache.get_many([]) == []


async def test_the_last_that_was_put_counts(cache: Cache) -> None:
    (key,) = keys(1)
    await cache.put_many({key: b"old"})
    await cache.put_many({key: b""})
    assert await cache.get_many([key]) == [b""]


async def test_what_was_dropped_is_gone(cache: Cache) -> None:
    a, b, c = keys(3)
    await cache.put_many({a: b"1", b: b"2"})
    await cache.drop_many([a, c])
    assert await cache.get_many([a, b, c]) == [None, b"2", None]


async def test_many_at_once(cache: Cache) -> None:
    values = {key: key.encode() for key in keys(2000)}
    await cache.put_many(values)
    assert await cache.get_many(list(values)) == list(values.values())


async def test_what_was_put_lasts(stack: Any) -> None:
    (key,) = keys(1)
    for name, put in (("layered", True), ("postgres", False), ("redis", False)):
        cache = build(name, stack.endpoints["future"])
        if put:
            await cache.put_many({key: b"kept"})
        assert await cache.get_many([key]) == [b"kept"]
        await cache.close()


async def test_what_only_the_lasting_one_has_comes_to_the_quick_one() -> None:
    before, behind = MemoryCache(), MemoryCache()
    layered = LayeredCache(before, behind)
    await behind.put_many({"a": b"1"})
    assert await layered.get_many(["a", "b"]) == [b"1", None]
    assert await before.get_many(["a", "b"]) == [b"1", None]
    await layered.put_many({"c": b"3"})
    assert await behind.get_many(["c"]) == await before.get_many(["c"]) == [b"3"]


async def test_what_is_in_redis_has_a_lifetime(stack: Any) -> None:
    (key,) = keys(1)
    url = stack.endpoints["future"]["redis"]
    cache, client = RedisCache(url, lifetime=100), Redis.from_url(url)
    await cache.put_many({key: b"1"})
    assert 0 < await client.ttl(PREFIX + key) <= 100
    await client.aclose()
    await cache.close()


AWAY: list[Cache] = [
    RedisCache("redis://:secret@127.0.0.1:1/0"),
    PostgresCache("postgresql://u:secret@127.0.0.1:1/d"),
    LayeredCache(MemoryCache(), PostgresCache("postgresql://u:secret@127.0.0.1:1/d")),
]


@pytest.mark.parametrize("away", AWAY, ids=lambda cache: type(cache).__name__)
async def test_a_store_that_is_away_is_transient(away: Cache) -> None:
    with pytest.raises(Transient) as caught:
        await away.get_many(["a"])
    assert "secret" not in str(caught.value)
    with pytest.raises(Transient):
        await away.put_many({"a": b"1"})
    with pytest.raises(Transient):
        await away.drop_many(["a"])
    await away.close()


async def test_a_store_that_breaks_off_is_transient_and_then_comes_back(stack: Any) -> None:
    (key,) = keys(1)
    url = stack.endpoints["future"]["redis"]
    cache, client = RedisCache(url), Redis.from_url(url)
    await cache.put_many({key: b"1"})
    for found in await client.client_list():
        if found["name"] == "tailrace-enrich":
            await client.client_kill_filter(_id=found["id"])
    with pytest.raises(Transient, match="Redis"):
        await cache.get_many([key])
    assert await cache.get_many([key]) == [b"1"]
    await client.aclose()
    await cache.close()


async def test_a_url_that_cannot_be_read_is_told_without_its_secret(stack: Any) -> None:
    with pytest.raises(Misconfigured, match="looks like") as caught:
        RedisCache("mysql://u:secret@127.0.0.1/0")
    assert "secret" not in str(caught.value)
    cache = PostgresCache("postgresql://u:secret@127.0.0.1:port/d")
    with pytest.raises(Misconfigured, match="looks like") as caught:
        await cache.get_many(["a"])
    assert "secret" not in str(caught.value)


async def test_a_server_that_refuses_us_is_misconfigured(stack: Any) -> None:
    rest = stack.endpoints["future"]["redis"].rpartition("@")[2]
    cache = RedisCache(f"redis://:wrong@{rest}")
    with pytest.raises(Misconfigured, match="Redis"):
        await cache.get_many(["a"])
    await cache.close()
