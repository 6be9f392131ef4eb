"""Redis: every key of every numbered database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import ConnectionPool, Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search
from changes.errors import Misconfigured
from sinks.redis.errors import classify

_KEY = "tailrace_canary"
_LASTS = 3600
"""Seconds after which a canary goes by itself, should nobody take it away."""
_PAGE = 1000
_READ = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1),
    b"stream": ("XRANGE", "-", "+"),
}
"""How a value of each type is read whole; the words behind the first come after the key."""


def enter(url: str) -> Answer:
    try:
        with _client(url) as client:
            client.dbsize()
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        return Answer("barred" if isinstance(error, exceptions.NoPermissionError) else "refused", str(error))
    except (exceptions.RedisError, OSError, Misconfigured) as error:
        said = str(error) or type(error).__name__
        if said.startswith(("NOAUTH", "WRONGPASS")):
            return Answer("refused", said)
        return Answer("barred" if "DB index" in said else "unknown", said)
    return INSIDE


def plant(url: str, token: str) -> None:
    with _translated(url) as client:
        client.set(_KEY, token, ex=_LASTS)


def remove(url: str) -> None:
    with _translated(url) as client:
        client.delete(_KEY)


def search(url: str, tokens: Sequence[str]) -> Found:
    """Keys and values of whatever type; a type that a module brings is named, not read."""
    seen = Search(tokens)
    with _translated(url) as client:
        numbers = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    for number in numbers:
        with _translated(url, number) as client:
            _database(client, number, seen)
    return seen.found()


def _database(client: Redis, number: int, seen: Search) -> None:
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, count=_PAGE)
        types = _each(client, [("TYPE", key) for key in keys])
        asked = []
        for key, kind in zip(keys, types, strict=True):
            read = _READ.get(kind)
            if read is not None:
                asked.append((key, (read[0], key, *read[1:])))
            elif kind != b"none":  # it went since
                seen.leave(f"key `{_named(key)}`: a {kind.decode()} cannot be read")
        values = _each(client, [words for _, words in asked])
        for (key, _), value in zip(asked, values, strict=True):
            seen.see(f"key `{_named(key)}` of database {number}", key, value)
        if cursor == 0:
            return


def _each(client: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return [b"" if isinstance(answer, exceptions.ResponseError) else answer for answer in answers]


def _named(key: bytes | str) -> str:
    return key[:100] if isinstance(key, str) else key[:100].decode("utf-8", "replace")


@contextmanager
def _translated(url: str, number: int | None = None) -> Iterator[Redis]:
    try:
        with _client(url, number) as client:
            yield client
    except (exceptions.RedisError, OSError) as error:
        raise classify(error) from error


@contextmanager
def _client(url: str, number: int | None = None) -> Iterator[Redis]:
    """``number``: another database than the URL's; every connection of the client is one to that."""
    try:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=30.0,
            socket_connect_timeout=10.0,
            retry=Retry(NoBackoff(), 0),
            client_name="tailrace",
        )
    except ValueError as error:  # its text may hold a part of the password
        raise Misconfigured("Redis: the URL cannot be read") from error
    if number is not None:
        pool.connection_kwargs["db"] = number
    client = Redis(connection_pool=pool)
    try:
        yield client
    finally:
        client.close()
        pool.disconnect()
