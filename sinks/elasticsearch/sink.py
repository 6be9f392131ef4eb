"""The Elasticsearch sink's I/O."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from changes.canonical import halves
from changes.errors import Misconfigured, Rejected, TailraceError, Transient
from changes.key import Key, keys_of
from changes.record import APPLIED, STALE, BucketSum, Outcome, Record, StoredRow, StoredSums, rejected
from changes.schema import Column, TableSchema
from changes.target import Target
from sinks.contract import Exchange, Swap
from sinks.elasticsearch import alias_of, catalog, exchange, graves, index_of, stamps, statements
from sinks.elasticsearch.errors import CONFLICT, Cause, classify
from sinks.elasticsearch.mappings import Analyzers, Index, index_for
from sinks.elasticsearch.statements import Held, Prepared
from sinks.elasticsearch.values import Encoder, decoder, id_of
from sinks.elasticsearch.view import view
from sinks.elasticsearch.wire import Wire
from sinks.fold import fold

_PORTION, _PORTION_BYTES = 1000, 4 << 20
_AT_ONCE = 2  # while the server looks for one portion, it writes another
_PAGE = 200
_ROUNDS = 20
_EXPIRE_EVERY = 3600.0


class ElasticsearchSink:
    """Any number of targets in one cluster.

    A batch is written in portions, two at a time; each is read first and then written under the condition that nothing
    was written meanwhile, and where something was, those documents are read again. ``clock`` gives seconds and never
    goes back, ``now`` the time of day in ms: tombstones that have outlived their target's ``tombstones_for`` go at
    the first write and hourly.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 5,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._wire = Wire(url, connections=connections, timeout=timeout)
        self._clock = clock
        self._now = now
        self._version = (0, 0)
        self._analyzers: Analyzers | None = None
        self._targets: dict[str, Target] = {}
        self._fields: dict[str, Mapping[str, Any]] = {}
        self._last: tuple[Target, TableSchema, Encoder] | None = None
        self._expired_at = float("-inf")  # so that the first write looks, by when every shard is there

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        planned = [index_for(target, schema) for target, schema in tables]
        targets = dict(self._targets)
        for index in planned:
            other = targets.setdefault(index.name, index.target)
            if other.name != index.target.name:
                raise Misconfigured(
                    f"Elasticsearch: `{other.name}` and `{index.target.name}` would share the index `{index.name}`"
                )
        self._version = await catalog.version_of(self._wire)
        if planned and self._analyzers is None:
            self._analyzers = await catalog.analyzers_of(self._wire)
        for index in planned:
            await self._ensure(index)
        self._targets = targets

    async def _ensure(self, index: Index) -> None:
        if self._analyzers is None:
            raise RuntimeError("the sink is not open")
        self._fields[index.name] = await catalog.ensure(self._wire, index, self._analyzers, self._version)
        self._last = None

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._clock() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._write)

    async def _write(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows. Whatever is raised, nothing is under way any more."""
        outcomes = [STALE] * len(records)
        room = asyncio.Semaphore(_AT_ONCE)

        async def store(portion: list[Prepared]) -> None:
            async with room:
                await self._store(portion, outcomes)

        portions = list(self._portions(records, outcomes))
        for failure in await asyncio.gather(*map(store, portions), return_exceptions=True):
            if failure is not None:
                raise failure
        return outcomes

    def _portions(self, records: Sequence[Record], outcomes: list[Outcome]) -> Iterator[list[Prepared]]:
        """The records' documents, as many together as go into one bulk; the outcomes of those that are none."""
        portion: list[Prepared] = []
        size = 0
        for number, record in enumerate(records):
            try:
                prepared = self._prepared(number, record)
            except Rejected as refusal:
                outcomes[number] = rejected(refusal)
                continue
            if portion and (len(portion) == _PORTION or size + len(prepared.source) > _PORTION_BYTES):
                yield portion
                portion, size = [], 0
            portion.append(prepared)
            size += len(prepared.source)
        yield portion

    def _prepared(self, number: int, record: Record) -> Prepared:
        encoder = self._encoder(record.target, record.schema)
        source = encoder.document(record, self._now())
        return Prepared(number, record, encoder.index.alias, id_of(encoder.index.key, record.key), source)

    def _encoder(self, target: Target, schema: TableSchema) -> Encoder:
        # By identity: hashing a schema for every record would cost more than encoding it.
        last = self._last
        if last is None or last[0] is not target or last[1] is not schema:
            index = index_for(target, schema)
            last = self._last = (target, schema, Encoder(index, self._fields.get(index.name, {})))
        return last[2]

    async def _store(self, portion: list[Prepared], outcomes: list[Outcome]) -> None:
        for _ in range(_ROUNDS):
            if not portion:
                return
            held = await self._held(portion)
            seen = zip(portion, held, strict=True)
            landing = [(one, found) for one, found in seen if statements.lands(one.record, found)]
            portion = await self._bulk(landing, outcomes)
        raise Transient("Elasticsearch: others keep writing the same rows")

    async def _held(self, portion: Sequence[Prepared]) -> list[Held | None]:
        places = [(one.alias, one.id) for one in portion]
        answer = await self._wire.ask("POST", statements.LOOK, statements.wanted(places))
        held: list[Held | None] = []
        for one in statements.held(answer.body):
            if isinstance(one, Cause):
                raise _unreadable(one)
            held.append(one)
        return held

    async def _bulk(self, landing: Sequence[tuple[Prepared, Held | None]], outcomes: list[Outcome]) -> list[Prepared]:
        """Write what lands; those that somebody else has written meanwhile."""
        if not landing:
            return []
        try:
            answer = await self._wire.ask("POST", statements.BULK, statements.bulk(landing), lines=True)
        except Rejected as refusal:  # too large, for the server or for what stands before it
            if len(landing) == 1:
                outcomes[landing[0][0].number] = rejected(refusal)
                return []
            middle = len(landing) // 2
            return [*await self._bulk(landing[:middle], outcomes), *await self._bulk(landing[middle:], outcomes)]
        again: list[Prepared] = []
        for (one, _), item in zip(landing, statements.items(answer.body), strict=True):
            if item.status == CONFLICT:
                again.append(one)
            elif item.error is None:
                outcomes[one.number] = APPLIED
            else:
                error = classify(item.status, item.error, document=True)
                if not isinstance(error, Rejected):
                    raise error
                outcomes[one.number] = rejected(error)
        return again

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        index, name = index_for(target, schema), await self._name(target)
        stored, found = _storing(index.columns, schema), list[StoredRow | None]()
        for start in range(0, len(wanted), _PAGE):
            page = wanted[start : start + _PAGE]
            ids = [place or id_of(index.key, key) for place, key in page]
            answer = await self._wire.ask("POST", statements.MGET, statements.wanted([(name, id_) for id_ in ids]))
            for (_, key), id_, one in zip(page, ids, statements.got(answer.body), strict=True):
                if one.error is not None:
                    raise _unreadable(one.error)
                row = stored(one.source, id_) if one.found else None
                found.append(None if row is None or row[0].key.canonical != key.canonical else row[0])
        return found

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        if buckets is not None and not buckets:
            return
        stored = _storing(target.columns(schema), schema)
        async with view(self._wire, await self._name(target)) as seen:
            async for hits in seen.pages(statements.living(buckets)):
                for hit in hits:
                    found = stored(hit.source, hit.id)
                    # One that we did not write is in the bucket of its key, any other where it says that it is.
                    if found is not None and (
                        buckets is None or (found[1] if found[0].position else found[0].key.bucket) in buckets
                    ):
                        yield found[0]

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        stored = _storing(tuple(schema.column(name) for name in schema.key), schema)
        names = [*schema.key, "_tr_bucket"]
        async with view(self._wire, await self._name(target)) as seen:
            sums = await seen.sums(upto)
            async for hits in seen.pages(statements.foreign(), schema.key):
                for hit in hits:
                    if (found := stored(hit.source, hit.id)) is not None:
                        row, _ = found
                        sums[row.key.bucket] = sums.get(row.key.bucket, BucketSum()) + BucketSum(1, *halves(row.hash))
            beyond: dict[tuple[str, bytes], int] = {}
            async for hits in seen.pages(statements.beyond(upto), names):
                for hit in hits:
                    if (found := stored(hit.source, hit.id)) is not None:
                        row, bucket = found
                        beyond[row.place, row.key.canonical] = bucket
        return StoredSums(sums, beyond)

    async def _name(self, target: Target) -> str:
        """The index in which a target's documents are: that behind its alias, which is not always called after it."""
        return await catalog.behind(self._wire, alias_of(target)) or index_of(target)

    @asynccontextmanager
    async def held(self, swaps: Sequence[Swap]) -> AsyncIterator[Exchange]:
        indexes = [await self._name(swap.live) for swap in swaps]
        try:
            await exchange.hold(self._wire, indexes)
            yield lambda: exchange.exchange(self._wire, swaps)
        finally:
            await exchange.free(self._wire, [await self._name(swap.live) for swap in swaps])

    async def exchanged(self, swaps: Sequence[Swap]) -> bool:
        return await exchange.exchanged(self._wire, swaps)

    async def drop(self, targets: Sequence[Target]) -> None:
        await exchange.drop(self._wire, targets)

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` (a few kB of text at most) for ``lane``, durably; the one it replaced, None for none."""
        return await stamps.stamp(self._wire, lane, stamp)

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; None where the store knows of none."""
        return await stamps.stamped(self._wire, lane)

    async def close(self) -> None:
        await self._wire.close()

    async def _expire(self) -> None:
        for target in self._targets.values():
            await graves.clear(self._wire, await self._name(target), self._now() - target.tombstones_for * 1000)
        self._expired_at = self._clock()


_STATUS_OF = {"index_not_found_exception": 404, "illegal_argument_exception": 400, "security_exception": 403}


def _unreadable(cause: Cause) -> TailraceError:
    """The error for a document that could not be looked at: its answer has no status of its own."""
    return classify(_STATUS_OF.get(cause.type, 503), cause, document=False)


def _storing(
    columns: tuple[Column, ...], schema: TableSchema
) -> Callable[[msgspec.Raw, str], tuple[StoredRow, int] | None]:
    """What makes a row of a document and its id, with the bucket that it says; ``None`` for a tombstone, and for what
    somebody wrote without a key.

    The row's place is ``""``, or the id where that is not the one of its key: then somebody else wrote it.
    """
    reader, key_of, key_columns = decoder(columns), keys_of(schema), [schema.column(name) for name in schema.key]

    def stored(source: msgspec.Raw, id_: str) -> tuple[StoredRow, int] | None:
        found = reader.stored(source)
        if not found.alive or any(found.row[name] is None for name in schema.key):
            return None
        try:
            key = key_of(found.row)
            place = "" if id_of(key_columns, key) == id_ else id_
        except ValueError:
            return None
        row = StoredRow(key, place, found.position, found.hash, found.mapping, found.row, found.generation)
        return row, found.bucket

    return stored
