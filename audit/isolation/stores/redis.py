"""Redis: every key, whatever it holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import ConnectionPool, Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from audit.isolation.stores.answers import INSIDE, Answer, Found, Search, Seeing
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
    """Every numbered database."""
    seen = Search(tokens)
    with _translated(url) as client:
        numbers = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    for number in numbers:
        walk(url, seen, number)
    return seen.found()


def walk(url: str, seen: Seeing, number: int | None = None) -> None:
    """Show every key and its value, whatever its type; one that a module brings is named, not read. ``number``: of
    another database than the URL's. Raises `Transient` or `Misconfigured`."""
    beside = "" if number is None else f" of database {number}"
    with _translated(url, number) as client:
        cursor = 0
        while True:
            cursor, keys = client.scan(cursor, count=_PAGE)
            _page(client, keys, beside, seen)
            if cursor == 0:
                return


def _page(client: Redis, keys: Sequence[bytes | str], beside: str, seen: Seeing) -> None:
    asked = []
    for key, kind in zip(keys, _each(client, [("TYPE", key) for key in keys]), strict=True):
        if isinstance(kind, exceptions.ResponseError):
            seen.leave(f"{_named(key)}{beside}: {kind}")
        elif kind in _READ:
            asked.append((key, (_READ[kind][0], key, *_READ[kind][1:])))
        elif kind != b"none":  # it went since
            seen.leave(f"{_named(key)}{beside}: a {kind.decode()} cannot be read")
    for (key, _), value in zip(asked, _each(client, [words for _, words in asked]), strict=True):
        other = isinstance(value, exceptions.ResponseError)  # it became of another type since
        seen.see(f"{_named(key)}{beside}", key, client.dump(key) if other else value)


def _each(client: Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What each is answered, be it an error."""
    pipeline = client.pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def _named(key: bytes | str) -> str:
    return f"key `{key if isinstance(key, str) else key.decode('utf-8', 'backslashreplace')}`"


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
