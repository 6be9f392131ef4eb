"""The Weaviate sink's I/O."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from changes.canonical import halves
from changes.errors import Rejected, Transient
from changes.key import Key
from changes.record import APPLIED, STALE, BucketSum, Outcome, Record, StoredRow, StoredSums, rejected
from changes.schema import TableSchema
from changes.target import Target
from sinks.fold import fold
from sinks.weaviate import META, catalog
from sinks.weaviate.client import Client
from sinks.weaviate.errors import refused, said
from sinks.weaviate.schema import Slot, layout_of, slots
from sinks.weaviate.statements import (
    STAMPED,
    Found,
    Object,
    Stamp,
    bucket_of_id,
    lands,
    meta_id,
    object_id,
    object_of,
    portions,
    runs,
    stamp_from,
    stored_row,
    verdict,
)
from sinks.weaviate.turns import turn
from sinks.weaviate.wire import Ready, insertion

_EXPIRE_EVERY = 3600.0
Made = TypeVar("Made")
_FEW, _MANY, _PAGE_BYTES = 100, 2000, 4 << 20
_ENVELOPE = 64
"""Bytes of a call around its one object."""


class WeaviateSink:
    """Any number of targets on one server.

    Weaviate writes nothing conditionally. Each portion of a batch is looked up, decided, written and looked up again,
    and no other sink of this process writes to the class meanwhile; between processes it is the lane that sees to it
    that a row has one writer (docs/decisions/0012-weaviate-guard.md).

    ``clock`` gives seconds and never goes back, ``now`` those since 1970. Tombstones that have outlived their
    target's ``tombstones_for`` go at the first `write` and hourly; not at `open`, which audits call too.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url, self._timeout = url, timeout
        self._clock, self._now = clock, now
        self._client: Client | None = None
        self._targets: dict[str, Target] = {}
        self._types: dict[str, dict[str, str]] = {}
        self._expired_at: float | None = None

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        layouts = [layout_of(target, schema) for target, schema in tables]
        if self._client is None:
            client = Client(self._url, self._timeout)
            try:
                await client.connect()
                await catalog.ensure_meta(client)
                await client.by_ids(META, [meta_id("")], ["stamp"])  # gRPC has a port of its own
            except BaseException:
                await client.close()
                raise
            self._client = client
        for layout in layouts:
            place = layout.target.place
            self._types[place] = await catalog.ensure(self._client, layout)
            if place not in self._targets:
                self._expired_at = None
            self._targets[place] = layout.target

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        if self._expired_at is None or self._clock() - self._expired_at >= _EXPIRE_EVERY:
            await self._expire()
        return await fold(batch, self._attempt)

    async def _attempt(self, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows; raises `Transient` where it is not known which of them landed."""
        outcomes = [STALE] * len(records)
        ready: dict[str, list[Ready]] = {}
        where: dict[tuple[int, int], list[Slot]] = {}  # by identity: hashing a schema for every record would cost
        for number, record in enumerate(records):
            found = where.get(identity := (id(record.target), id(record.schema)))
            if found is None:
                found = where[identity] = self._slots(record.target, record.schema)
            try:
                ready.setdefault(record.target.place, []).append(self._ready(number, record, found))
            except Rejected as refusal:
                outcomes[number] = rejected(refusal)
        for place, ones in ready.items():
            for portion in portions(ones):
                for number, outcome in await _finished(self._in_turn(place, portion)):
                    outcomes[number] = outcome
        return outcomes

    def _ready(self, number: int, record: Record, where: Sequence[Slot]) -> Ready:
        made = object_of(record, where, int(self._now()))
        try:
            message = insertion(record.target.place, made)
        except (ValueError, TypeError) as error:
            raise Rejected(f"Weaviate: {error}") from error
        size = message.ByteSize()
        if size + _ENVELOPE > (longest := self._connected().longest):
            raise Rejected(f"Weaviate: the row has {size} bytes, and the server takes {longest}")
        return Ready(number, record, made.id, message, size)

    async def _in_turn(self, place: str, portion: Sequence[Ready]) -> list[tuple[int, Outcome]]:
        async with turn(self._connected().address, place):
            return await self._put(place, portion)

    async def _put(self, place: str, portion: Sequence[Ready]) -> list[tuple[int, Outcome]]:
        client = self._connected()
        stored = await self._stamps(place, [one.id for one in portion])
        winners = [one for one in portion if lands(one.record, stored.get(one.id))]
        if not winners:
            return []
        errors = await client.insert([one.message for one in winners])
        for error in errors.values():
            if not refused(error):
                raise Transient(said(error))
        outcomes = [(winners[index].number, rejected(f"Weaviate: {error}")) for index, error in errors.items()]
        written = [one for index, one in enumerate(winners) if index not in errors]
        stored = await self._stamps(place, [one.id for one in written])
        for one in written:
            became = verdict(one.record, stored.get(one.id))
            if became == "lost":
                raise Transient(f"Weaviate: another writer replaced rows of `{place}` that were just written")
            outcomes.append((one.number, APPLIED if became == "applied" else STALE))
        return outcomes

    async def _stamps(self, place: str, ids: Sequence[str]) -> dict[str, Stamp]:
        found = await self._connected().by_ids(place, ids, STAMPED)
        return {id_: stamp_from(one.properties) for id_, one in found.items()}

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        where = self._slots(target, schema)
        found: list[StoredRow | None] = []
        for start in range(0, len(wanted), _FEW):
            asked = [(place or object_id(key.canonical), key) for place, key in wanted[start : start + _FEW]]
            objects = await self._whole(target, where, [id_ for id_, _ in asked])
            for id_, key in asked:
                row = stored_row(schema, where, objects[id_]) if id_ in objects else None
                found.append(row if row is not None and row.key == key else None)
        return found

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        where = self._slots(target, schema)
        for after, last in [(None, None)] if buckets is None else runs(buckets):
            async for found in self._walk(target.place, None, _vectors(where), after, last):
                for one in found:
                    row = stored_row(schema, where, one)
                    if row is not None:
                        yield row

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        """By the reserved properties; only objects that lack them, which somebody else wrote, are fetched whole.

        A row has the same id before and after a write, dead or alive: so the walk comes by it once.
        """
        where = self._slots(target, schema)
        found = StoredSums({}, {})

        def count(id_: str, hash_: int) -> None:
            bucket = bucket_of_id(id_)
            found.sums[bucket] = found.sums.get(bucket, BucketSum()) + BucketSum(1, *halves(hash_))

        async for objects in self._walk(target.place, STAMPED, ()):
            bare = []
            for one in objects:
                stamp = stamp_from(one.properties)
                if stamp.key is None:
                    bare.append(one.id)
                elif stamp.position > upto:
                    place = "" if object_id(stamp.key) == one.id else one.id
                    found.beyond[place, stamp.key] = bucket_of_id(one.id)
                elif not stamp.deleted:
                    count(one.id, stamp.hash)
            for start in range(0, len(bare), _FEW):
                for one in (await self._whole(target, where, bare[start : start + _FEW])).values():
                    row = stored_row(schema, where, one)
                    if row is not None and row.position == 0:  # else it was written meanwhile
                        count(one.id, row.hash)
        return found

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` for ``lane``, durably; the one that it replaced."""
        client = self._connected()
        async with turn(client.address, META):
            await catalog.ensure_meta(client)
            before = await self.stamped(lane)
            errors = await client.insert([insertion(META, Object(meta_id(lane), {"lane": lane, "stamp": stamp}))])
        if errors:
            raise Transient(said(errors[0]))
        return before

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; ``None`` where the store knows of none."""
        client = self._connected()
        if await client.class_(META) is None:
            return None
        found = await client.by_ids(META, [meta_id(lane)], ["stamp"])
        return next((one.properties.get("stamp") for one in found.values()), None)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _walk(
        self,
        place: str,
        properties: Sequence[str] | None,
        vectors: Sequence[str],
        after: str | None = None,
        last: str | None = None,
    ) -> AsyncIterator[list[Found]]:
        """The objects beyond ``after`` up to ``last`` in the order of their ids, some MB at a time."""
        limit = _FEW
        while True:
            found, size = await self._connected().page(place, after, limit, properties, vectors)
            within = [one for one in found if last is None or one.id <= last]
            if within:
                yield within
            if len(found) < limit or len(within) < len(found):
                return
            after = found[-1].id
            limit = max(1, min(_MANY, _PAGE_BYTES * len(found) // max(1, size)))

    async def _whole(self, target: Target, where: Sequence[Slot], ids: Sequence[str]) -> dict[str, Found]:
        return await self._connected().by_ids(target.place, ids, None, _vectors(where))

    async def _expire(self) -> None:
        client = self._connected()
        for place, target in self._targets.items():
            async with turn(client.address, place):
                while await client.expire(place, int(self._now()) - target.tombstones_for):
                    pass  # a call removes as many as the server lets a query find
        self._expired_at = self._clock()

    def _slots(self, target: Target, schema: TableSchema) -> list[Slot]:
        types = self._types.get(target.place)
        if types is None:
            raise RuntimeError(f"the sink is not open with `{target.place}`")
        return slots(layout_of(target, schema), types)

    def _connected(self) -> Client:
        if self._client is None:
            raise RuntimeError("the sink is not open")
        return self._client


async def _finished(work: Coroutine[Any, Any, Made]) -> Made:
    """What ``work`` gives. It goes on to its end where its caller is cancelled: a bulk that was sent may land yet, and
    until then it must not be another's turn."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever asked for it may be gone
    return await asyncio.shield(task)


def _vectors(where: Sequence[Slot]) -> list[str]:
    return [slot.names[0] for slot in where if slot.vector]
