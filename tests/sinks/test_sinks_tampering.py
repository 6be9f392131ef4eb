"""Every way to spoil a row, in every store: what its sums tell of it, which is all that a quick audit goes by, and what
an audit says of the row once it has read it."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from conformance import Others, Servers, Stage, staged
from harnesses import HARNESSES

from audit.compare import Expected, LastSaid, explained, judge
from audit.report import Class
from bench.tampering.plan import CLASSES, Kind
from bench.tampering.spoiler import STORES
from bench.tampering.store import Row, Store
from changes.canonical import Value, halves, row_hash
from changes.key import Key, key_of
from changes.record import BucketSum, StoredSums
from sinks.registry import SPECS

OWNER = 3
UPTO = 1 << 61
"""A position behind all that is written here, and before that of rows which are raised."""
OLD, NEW, OTHER = 1, 2, 1001
"""A row that stays as it was, one that is changed, and one that nobody wrote."""
ROW: Mapping[str, Value] = {"user_id": OWNER, "title": "right", "amount": "1.50"}


@pytest.fixture(scope="module", params=sorted(SPECS))
def name(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def store(name: str, stack: Servers, beside: Others) -> Iterator[Store]:
    """The store as anybody reaches it."""
    found = STORES[name](stack.endpoints["future"].get(name) or beside.url(name))
    yield found
    found.close()


class Spoilt(NamedTuple):
    """One row that was spoilt: its key, what it should be (``None``: nothing), the sums before and after."""

    key: Key
    row: Mapping[str, Value] | None
    position: int
    before: StoredSums
    after: StoredSums

    @property
    def changed(self) -> dict[int, BucketSum]:
        """By how much the sums of buckets have grown."""
        nothing = BucketSum()
        buckets = self.before.sums.keys() | self.after.sums.keys()
        grown = {
            bucket: (self.after.sums.get(bucket, nothing), self.before.sums.get(bucket, nothing)) for bucket in buckets
        }
        return {
            bucket: after + BucketSum(-before.count, -before.h1, -before.h2)
            for bucket, (after, before) in grown.items()
            if after != before
        }


async def spoilt(stage: Stage, store: Store, kind: Kind) -> Spoilt:
    """Write three rows, and spoil one as ``kind`` says."""
    first, second, third = ({"id": id_, **ROW} for id_ in (OLD, NEW, NEW + 1))
    newer = second | {"title": "newer"}
    assert await stage.write(*(stage.put(10, **row) for row in (first, second, third))) == ["applied"] * 3

    async def done(verb: str, number: int, *held: Any) -> Any:
        return await asyncio.to_thread(getattr(store, verb), stage.target, Row({"id": number}, str(OWNER)), *held)

    old = await done("take", NEW)
    assert await stage.write(stage.put(20, before=second, **newer)) == ["applied"]
    before = await stage.sink.sums(stage.target, stage.schema, UPTO)
    assert not before.beyond
    wanted: Mapping[str, Value] | None = first
    at, position = OLD, 10
    match kind:
        case "deleted":
            await done("drop", OLD)
        case "extra":
            at, wanted = OTHER, None
            await done("put", OTHER, await done("take", OLD))
        case "put back":
            at, wanted, position = NEW, newer, 20
            await done("put", NEW, old)
        case "position raised":
            await done("put", OLD, store.raised(await done("take", OLD)))
        case "altered":
            held = await done("take", OLD)
            await done("put", OLD, held | {store.name("title"): "wrong"})
    after = await stage.sink.sums(stage.target, stage.schema, UPTO)
    return Spoilt(key_of(stage.schema, {"id": at, **ROW}), wanted, position, before, after)


async def classed(stage: Stage, found: Spoilt) -> Class:
    """What an audit says of the row."""
    place = stage.spec.place_of(stage.target, {"id": found.key.values[0], **ROW})
    (held,) = await stage.sink.read(stage.target, stage.schema, [(place, found.key)])
    hash_ = 0 if found.row is None else row_hash(stage.schema.columns, found.row)
    expected = None if found.row is None else Expected(place, found.row, hash_, hash_)
    ((_, flaw),) = judge(stage.target, stage.schema, expected, {place: held}, newest=UPTO)
    return explained(flaw, None if found.row is None else LastSaid(found.position, deleted=False)).class_


def of(stage: Stage, row: Mapping[str, Value], sign: int = 1) -> BucketSum:
    high, low = halves(row_hash(stage.schema.columns, row))
    return BucketSum(sign, sign * high, sign * low)


async def test_what_is_deleted_is_missing_in_the_sums(name: str, stack: Servers, beside: Others, store: Store) -> None:
    async with staged(HARNESSES[name](stack, beside), name) as stage:
        found = await spoilt(stage, store, "deleted")
        assert found.changed == {found.key.bucket: of(stage, {"id": OLD, **ROW}, -1)}
        assert await classed(stage, found) == CLASSES["deleted"]


async def test_what_is_extra_is_counted(name: str, stack: Servers, beside: Others, store: Store) -> None:
    async with staged(HARNESSES[name](stack, beside), name) as stage:
        found = await spoilt(stage, store, "extra")
        assert list(found.changed.values()) == [of(stage, {"id": OLD, **ROW})]
        assert found.key in {row.key for row in await stage.all(found.changed)}
        assert await classed(stage, found) == CLASSES["extra"]


async def test_an_old_row_has_its_old_hash(name: str, stack: Servers, beside: Others, store: Store) -> None:
    async with staged(HARNESSES[name](stack, beside), name) as stage:
        found = await spoilt(stage, store, "put back")
        old, new = {"id": NEW, **ROW}, {"id": NEW, **ROW, "title": "newer"}
        assert found.changed == {found.key.bucket: of(stage, old) + of(stage, new, -1)}
        assert await classed(stage, found) == CLASSES["put back"]


async def test_what_is_raised_lies_beyond_the_mark(name: str, stack: Servers, beside: Others, store: Store) -> None:
    async with staged(HARNESSES[name](stack, beside), name) as stage:
        found = await spoilt(stage, store, "position raised")
        assert found.changed == {found.key.bucket: of(stage, {"id": OLD, **ROW}, -1)}
        assert list(found.after.beyond.values()) == [found.key.bucket]
        assert await classed(stage, found) == CLASSES["position raised"]


async def test_a_value_alone_leaves_the_sums_as_they_are(
    name: str, stack: Servers, beside: Others, store: Store
) -> None:
    async with staged(HARNESSES[name](stack, beside), name) as stage:
        found = await spoilt(stage, store, "altered")
        assert not found.changed
        assert await classed(stage, found) == CLASSES["altered"]
