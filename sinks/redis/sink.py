"""The Redis sink's I/O, over redis.asyncio."""

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from changes.canonical import halves
from changes.errors import Misconfigured
from changes.key import Key, keys_of
from changes.record import BucketSum, Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from sinks.isolate import isolate
from sinks.redis import statements
from sinks.redis.errors import classify
from sinks.redis.place import META_PREFIX, STAMP_PREFIX, glob, matches, shape, stamped

_PAGE = 1000
_GONE = -2
_REMEMBERED = 20_000


class RedisSink:
    """Any number of targets in one database of one server (no cluster), over at most ``connections`` connections, made
    as they are needed: enough for all tables of an audit, for whoever has one tends to have the next one too.

    Rows are written in the batch's order, `statements.PORTION` at a time, each portion at once or not at all. What a
    server that lost its memory had acknowledged (``appendfsync everysec``) is gone with the lane's stamp, or stands
    behind it: the lane writes it again.
    """

    def __init__(self, url: str, *, connections: int = 32, timeout: float = 30.0) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=connections,
                timeout=None,  # to wait for our own turn says nothing of the server
                socket_timeout=timeout,
                socket_connect_timeout=10.0,
                # Retrying is the caller's; a retry in here would hide how often it happens.
                retry=Retry(NoBackoff(), 0),
                client_name="tailrace",
            )
        except ValueError as error:  # its text may hold a part of the password
            raise Misconfigured(
                "Redis: the URL cannot be read: it looks like `redis://user:password@host:port/number`"
            ) from error
        self._client = Redis(connection_pool=pool)
        self._script = ""
        self._shapes: dict[str, str] = {}

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        shapes = dict(self._shapes)
        for target, _ in tables:
            other = shapes.setdefault(shape(target.place), target.name)
            if other != target.name:
                raise Misconfigured(f"Redis: `{other}` and `{target.name}` would write each other's keys")
        with _translated():
            await self._client.ping()
            self._script = await self._client.script_load(statements.SCRIPT)
            if any(target.keep == "mirror" for target, _ in tables):
                await self._refuse_eviction()
        self._shapes = shapes

    async def _refuse_eviction(self) -> None:
        """A server that may drop keys is no mirror. Where we may not ask, we trust."""
        try:
            policy = (await self._client.config_get("maxmemory-policy")).get("maxmemory-policy", "noeviction")
        except exceptions.ResponseError:
            return
        if policy != "noeviction":
            raise Misconfigured(
                f"Redis: the server's `maxmemory-policy` is `{policy}`: it may drop rows that are mirrored."
                " Set it to `noeviction`, or declare `keep: cache`"
            )

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        return await isolate(batch, self._attempt)

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        calls = [
            statements.arguments(records[start : start + statements.PORTION])
            for start in range(0, len(records), statements.PORTION)
        ]
        with _translated():
            try:
                answers = await self._call(calls)
            except exceptions.NoScriptError:
                # The server was restarted or its scripts flushed; portions that went through are repeated.
                self._script = await self._client.script_load(statements.SCRIPT)
                answers = await self._call(calls)
        return [outcome for answer in answers for outcome in statements.outcomes(answer)]

    async def _call(self, calls: Sequence[tuple[list[str], list[str | bytes | int]]]) -> list[list[bytes]]:
        pipeline = self._client.pipeline(transaction=False)
        for keys, values in calls:
            pipeline.evalsha(self._script, len(keys), *keys, *values)
        return _or_raise(await pipeline.execute(raise_on_error=False))

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        found: list[StoredRow | None] = []
        for start in range(0, len(wanted), _PAGE):
            found += await self._read(target, schema, [place for place, _ in wanted[start : start + _PAGE]])
        return found

    async def _read(self, target: Target, schema: TableSchema, places: Sequence[str]) -> list[StoredRow | None]:
        if not places:
            return []
        with _translated():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.mget([*places, *map(statements.stamp_key, places)])
            pipeline.eval(statements.LEFT, len(places), *places)
            texts, left = _or_raise(await pipeline.execute(raise_on_error=False))
        stored = _storing(target, schema)
        return list(map(stored, places, texts[: len(places)], texts[len(places) :], left))

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        among = None if buckets is None else frozenset(buckets)
        async for places in self._places(target):
            wanted, bare = places, set[str]()
            if among is not None:
                # A value without a stamp may be in any.
                stamps = list(zip(places, await self._stamps(places), strict=True))
                bare = {place for place, stamp in stamps if stamp.bucket < 0}
                wanted = [place for place, stamp in stamps if place in bare or stamp.bucket in among]
            for row in await self._read(target, schema, wanted):
                if row is not None and (among is None or row.place not in bare or row.key.bucket in among):
                    yield row

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        """By the stamps, each seen together with whether its value is there; only values without one are fetched.

        A row that was there before has its stamp from before this begins until after it ends, dead or alive: so the
        walk comes by it.
        """
        found = StoredSums({}, {})

        def count(bucket: int, hash_: int) -> None:
            found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(1, *halves(hash_))

        async for keys in self._keys(f"*{glob(target.place)}", stamped(target.place)):
            rows = [key.removeprefix(STAMP_PREFIX) for key in keys if key.startswith(STAMP_PREFIX)]
            for place, stamp, there in await self._look(rows):
                if stamp.position > upto:
                    found.beyond[place, b""] = stamp.bucket
                elif there and stamp.bucket >= 0:
                    count(stamp.bucket, stamp.hash)
            values = [key for key in keys if not key.startswith(STAMP_PREFIX)]
            bare = [p for p, s in zip(values, await self._stamps(values), strict=True) if s.bucket < 0]
            for row in await self._read(target, schema, bare):
                if row is not None and row.position == 0:  # else it was written meanwhile
                    count(row.key.bucket, row.hash)
        return found

    async def _look(self, places: Sequence[str]) -> list[tuple[str, statements.Stamp, bool]]:
        """Each place's stamp, and whether its value is there, as of one moment."""
        if not places:
            return []
        keys = [key for place in places for key in (place, statements.stamp_key(place))]
        with _translated():
            answer: list[Any] = await self._client.eval(statements.LOOK, len(keys), *keys)
        stamps = map(statements.stamp_from, answer[::2])
        return list(zip(places, stamps, map(bool, answer[1::2]), strict=True))

    async def _places(self, target: Target) -> AsyncIterator[list[str]]:
        """The keys of a target's values, each once, a page at a time."""
        async for keys in self._keys(glob(target.place), matches(target.place)):
            yield keys

    async def _keys(self, pattern: str, exact: "re.Pattern[str]") -> AsyncIterator[list[str]]:
        """The keys that are of a glob pattern and of an expression, each once, a page at a time.

        SCAN gives a key again where the server makes its table of keys smaller meanwhile: of the keys that then share
        the part of it where the scan stands, all of which it gave shortly before. So the last ones are remembered.
        """
        cursor = -1
        before: set[str] = set()
        lately: set[str] = set()
        while cursor != 0:
            with _translated():
                cursor, keys = await self._client.scan(max(cursor, 0), match=pattern, count=_PAGE)
            found = {key.decode(errors="replace") if isinstance(key, bytes) else key for key in keys}
            places = [place for place in found - before - lately if exact.fullmatch(place)]
            lately.update(places)
            if len(lately) >= _REMEMBERED:
                before, lately = lately, set()
            if places:
                yield places

    async def _stamps(self, places: Sequence[str]) -> list[statements.Stamp]:
        if not places:
            return []
        with _translated():
            texts: list[Any] = await self._client.mget([statements.stamp_key(place) for place in places])
        return [statements.stamp_from(text) for text in texts]

    async def stamp(self, lane: str, stamp: str) -> str | None:
        with _translated():
            return _text(await self._client.set(META_PREFIX + lane, stamp, get=True))

    async def stamped(self, lane: str) -> str | None:
        with _translated():
            return _text(await self._client.get(META_PREFIX + lane))

    async def close(self) -> None:
        with suppress(exceptions.RedisError, OSError):
            await self._client.aclose(close_connection_pool=True)


def _storing(target: Target, schema: TableSchema) -> Callable[[str, bytes | None, bytes | None, int], StoredRow | None]:
    """What makes a row of its place, its value, its stamp and its lifetime."""
    names, key_of = {column.name for column in target.columns(schema)}, keys_of(schema)
    mapping, (given, _) = target.mapping, statements.lifetimes(target, alive=True)

    def stored(place: str, text: bytes | None, stamp: bytes | None, left: int) -> StoredRow | None:
        """A value without a stamp was not written by us, or lost it: its position is 0, and the next write lands."""
        if text is None:
            return None
        row = statements.row_from(names, text)
        if row is None or any(row[name] is None for name in schema.key):
            return None
        try:
            key = key_of(row)
        except ValueError:  # somebody put there what is no key
            return None
        told = statements.stamp_from(stamp)
        # One that went meanwhile was there; one that was written under another declaration lives as that says.
        lives = left == _GONE or told.mapping != mapping or statements.lives_right(given, left)
        wrong = () if lives else (statements.LIFETIME,)
        return StoredRow(key, place, told.position, told.hash, told.mapping, row, told.generation, wrong)

    return stored


def _or_raise(answers: list[Any]) -> list[Any]:
    """A pipeline's answers. Errors among them are values: raised by the pipeline itself they would carry the command,
    and with it the rows."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _text(value: Any) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise classify(error) from error
