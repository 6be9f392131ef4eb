"""The MongoDB sink on a server: races, both ways of guarding, tombstones that expire, and what is refused."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bson import Int64, ObjectId
from conformance import PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of, with_row
from harness_mongodb import MongoHarness
from pymongo import AsyncMongoClient, monitoring

from changes.errors import Misconfigured, Transient
from changes.key import key_of
from changes.record import BucketSum
from sinks.mongodb.sink import MongoSink

ROW = {"id": 7, "user_id": 1, "title": "é", "amount": "1.50"}


@pytest.fixture(scope="module")
def harness(stack: Servers, beside: Others) -> MongoHarness:
    return MongoHarness(stack, beside)


@pytest.fixture
async def stage(harness: MongoHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "mongodb") as opened:
        yield opened


def needs(stage: Stage, lacking: str) -> None:
    assert isinstance(stage.sink, MongoSink)
    if not stage.sink.whole:
        pytest.skip(f"this server is a stand-in of the wire protocol: it has no {lacking}")


@pytest.mark.parametrize("whole", [False, True])
async def test_two_writers_of_one_row_end_at_the_greater_position(
    harness: MongoHarness, stage: Stage, whole: bool
) -> None:
    """By either way of guarding, whatever the server has."""
    stages = [replace(stage, sink=harness.build()) for _ in range(2)]
    for one in stages:
        await one.sink.open([(stage.target, stage.schema)])
        one.sink.whole = whole  # type: ignore[attr-defined]

    async def write(one: Stage, position: int) -> list[str]:
        rows = [{"id": id_, "user_id": 1, "title": f"{position}"} for id_ in range(5)]
        while True:
            try:
                return await one.write(*(one.put(position, **row) for row in rows))
            except Transient:  # which is for the caller to repeat
                pass

    try:
        for position in range(10, 20, 2):
            both = await asyncio.gather(write(stages[0], position), write(stages[1], position + 1))
            assert both[1] == ["applied"] * 5
            assert set(both[0]) <= {"applied", "stale"}
            held = await stage.all()
            assert {(row.position, row.row["title"]) for row in held} == {(position + 1, f"{position + 1}")}
    finally:
        for one in stages:
            await one.sink.close()


async def test_the_filter_that_a_whole_server_is_given_guards_too(stage: Stage) -> None:
    """A stand-in evaluates it as well, only slowly."""
    stage.sink.whole = True  # type: ignore[attr-defined]
    row = {"id": 1, "user_id": 1, "title": "a"}
    assert await stage.write(stage.put(10, **row), stage.put(10, **row | {"id": 2})) == ["applied"] * 2
    assert await stage.write(stage.put(9, **row), stage.put(11, **row | {"id": 2})) == ["stale", "applied"]
    assert await stage.write(stage.gone(9, **row)) == ["stale"]
    assert await stage.write(stage.put(5, generation=1, **row)) == ["applied"]
    assert await stage.write(stage.put(99, **row)) == ["stale"]
    assert await stage.write(stage.put(4, generation=1, **row)) == ["stale"]
    assert await stage.write(stage.put(3, over=6, **row)) == ["stale"]
    assert await stage.write(stage.put(3, over=5, **row)) == ["applied"]
    assert await stage.write(stage.gone(4, **row)) == ["applied"]
    assert [found.key.values for found in await stage.all()] == [(2,)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_write_that_is_cancelled_leaves_the_sink_usable(stage: Stage) -> None:
    batch = [record for id_ in range(200) for record in stage.put(10, id=id_, user_id=1, title="t" * 500)]
    for _ in range(3):
        writing = asyncio.ensure_future(stage.sink.write(batch))
        await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    while True:
        try:  # the server may still be at what was cancelled
            assert await stage.write(batch) == ["applied"] * 200
            break
        except Transient:
            pass
    assert len(await stage.all()) == 200
    gc.collect()  # the driver leaves the socket of what was cancelled to be found


async def test_a_tombstone_is_a_document_without_values_until_it_expires(harness: MongoHarness, stage: Stage) -> None:
    times = [datetime.now(UTC).replace(microsecond=0)]
    target = target_of("mongodb", new_place(), tombstones_for=10 * 86400)
    sink = MongoSink(harness.url, now=lambda: times[-1])
    kept = replace(stage, sink=sink, target=target)
    await sink.open([(target, PLAIN)])
    try:
        await kept.write(kept.put(10, **ROW), kept.put(10, **ROW | {"id": 8}))
        await kept.write(kept.gone(11, **ROW))
        async with harness.collection(target) as collection:
            found = await collection.find_one({"_id": 7})
            assert {name for name in found if not name.startswith("_tr")} == {"_id", "id"}
            assert found["_tr_deleted"] is True
            assert found["_tr_until"] == (times[0] + timedelta(days=10)).replace(tzinfo=None)
            assert await kept.write(kept.put(10, **ROW)) == ["stale"]
            times.append(times[0] + timedelta(days=10, hours=1))
            assert await kept.write() == []
            if not sink.whole:  # else the server does it, within a minute of real time
                assert [document["_id"] async for document in collection.find()] == [8]
    finally:
        await sink.close()


async def test_keys_of_several_columns_and_beyond_an_int64(stage: Stage) -> None:
    schema = schema_of(("user_id", "bigint unsigned"), ("code", "varchar(20)"), key=("user_id", "code"))
    target = target_of("mongodb", new_place(), key=schema.key)
    several = replace(stage, target=target, schema=schema)
    await several.sink.open([(target, schema)])
    ids = (1, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
    rows = [{"user_id": id_, "code": code} for id_ in ids for code in ("a", "A", "")]
    assert await several.write(*(several.put(10, **row) for row in rows)) == ["applied"] * len(rows)
    assert await several.write(*(several.put(9, **row) for row in rows)) == ["stale"] * len(rows)
    assert {row.key.values for row in await several.all()} == {tuple(row.values()) for row in rows}
    assert [await several.held(**row) is not None for row in rows] == [True] * len(rows)


async def test_documents_of_others(harness: MongoHarness, stage: Stage) -> None:
    key = key_of(PLAIN, ROW)
    async with harness.collection(stage.target) as collection:
        await collection.insert_many([{"_id": Int64(7), "title": "mine"}, {"_id": ObjectId(), "title": "of no row"}])
    (found,) = await stage.all()
    assert (found.key, found.position, found.row["title"]) == (key, 0, "mine")
    assert await stage.all([key.bucket]) == [found]
    assert await stage.all([(key.bucket + 1) % 1024]) == []
    stored = await stage.sink.sums(stage.target, PLAIN, 100)
    assert (stored.sums, stored.beyond) == ({key.bucket: BucketSum(1, 0, 0)}, {})
    assert await stage.write(stage.put(1, **ROW)) == ["applied"]
    assert [row.position for row in await stage.all()] == [1]


async def test_what_somebody_else_put_into_the_collection_is_told_where_it_stands(
    harness: MongoHarness, stage: Stage
) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="ours", amount="1.00"))
    (ours,) = await stage.all()
    ids = [ObjectId() for _ in range(3)]
    async with harness.collection(stage.target) as collection:
        copied = await collection.find_one({"_id": 1})
        await collection.insert_many(
            [copied | {"_id": ids[0]}, {"_id": ids[1], "id": 9, "title": "theirs"}, {"_id": ids[2], "title": "no row"}]
        )
    copy, found, theirs = sorted(await stage.all(), key=lambda one: (one.key.canonical, not one.place))
    assert found == ours
    assert [(one.place, one.key.values, one.position) for one in (copy, theirs)] == [
        (str(ids[0]), (1,), 10),
        (str(ids[1]), (9,), 0),
    ]
    places = [(copy.place, copy.key), ("", copy.key), (theirs.place, theirs.key), ("", theirs.key)]
    assert await stage.sink.read(stage.target, stage.schema, places) == [copy, ours, theirs, None]
    assert await stage.all([theirs.key.bucket]) == [theirs]
    sums = await stage.sink.sums(stage.target, stage.schema, 10)
    assert {bucket: one.count for bucket, one in sums.sums.items()} == {ours.key.bucket: 2, theirs.key.bucket: 1}


async def test_a_collection_of_somebody_s_is_refused(harness: MongoHarness, stage: Stage) -> None:
    full = target_of("mongodb", new_place())
    async with harness.collection(full) as collection:
        await collection.insert_one({"title": "somebody's"})
    with pytest.raises(Misconfigured, match="not Tailrace's"):
        await stage.sink.open([(full, PLAIN)])


async def test_a_collection_that_is_no_plain_one_is_refused(harness: MongoHarness, stage: Stage) -> None:
    needs(stage, "capped collections")
    capped = target_of("mongodb", new_place())
    async with harness.collection(capped) as collection:
        await collection.database.create_collection(capped.place, capped=True, size=4096)
    with pytest.raises(Misconfigured, match="no plain collection"):
        await stage.sink.open([(capped, PLAIN)])


async def test_stamps_are_kept_for_each_lane(harness: MongoHarness, stage: Stage) -> None:
    lane, other = new_place("lane"), new_place("lane")
    assert isinstance(stage.sink, MongoSink)
    assert await stage.sink.stamped(lane) is None
    assert await stage.sink.stamp(lane, "one") is None
    assert await stage.sink.stamp(lane, "two" * 1000) == "one"
    assert await stage.sink.stamp(other, "other") is None
    fresh = MongoSink(harness.url)
    await fresh.open([])
    try:
        assert (await fresh.stamped(lane), await fresh.stamped(other)) == ("two" * 1000, "other")
    finally:
        await fresh.close()


async def test_a_document_that_is_too_large_takes_no_neighbour(stage: Stage) -> None:
    good, bad = stage.put(10, **ROW), stage.put(10, **ROW | {"id": 8})
    results = await stage.outcomes([with_row(bad[0], title="x" * (16 << 20))], good)
    assert [outcome.kind for outcome in results] == ["rejected", "applied"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class Summing(monitoring.CommandListener):
    """How many collections are summed at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.now += event.command_name == "aggregate"
        self.most = max(self.most, self.now)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.now -= event.command_name == "aggregate"

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.now -= event.command_name == "aggregate"


async def test_long_requests_leave_a_connection_for_short_ones(harness: MongoHarness, stage: Stage) -> None:
    await stage.write(*(stage.put(10, **{**ROW, "id": id_}) for id_ in range(500)))
    summing = Summing()
    monitoring.register(summing)
    sink = MongoSink(harness.url, connections=3)
    await sink.open([(stage.target, stage.schema)])
    found = await asyncio.gather(*(sink.sums(stage.target, stage.schema, 20) for _ in range(8)))
    assert {sum(one.count for one in sums.sums.values()) for sums in found} == {500}
    assert summing.most == 2
    await sink.close()


async def test_an_unreachable_server_and_urls_that_are_none(harness: MongoHarness) -> None:
    sink = MongoSink("mongodb://127.0.0.1:1/shop", timeout=0.2)
    with pytest.raises(Transient):
        await sink.open([])
    await sink.close()
    for url in ("http://host", "mongodb://user:pass@word@host:x/shop", re.sub(r"/[^/]*$", "", harness.url)):
        sink = MongoSink(url)
        with pytest.raises(Misconfigured, match="looks like") as refused:
            await sink.open([])
        assert "word" not in str(refused.value).replace("password", "")
    gc.collect()  # the driver leaves the socket of an attempt that it gave up to be found


async def test_a_database_that_nobody_has_seen_is_made(harness: MongoHarness) -> None:
    place = new_place()
    sink = MongoSink(re.sub(r"/[^/?]*(\?.*)?$", rf"/{place}\1", harness.url))
    stage = replace(await _closed(harness), sink=sink)
    await sink.open([(stage.target, PLAIN)])
    try:
        assert await stage.write(stage.put(10, **ROW)) == ["applied"]
        async with AsyncMongoClient[dict[str, object]](harness.url) as client:
            await client.drop_database(place)
    finally:
        await sink.close()


async def _closed(harness: MongoHarness) -> Stage:
    async with staged(harness, "mongodb") as stage:
        return stage


async def test_a_wrong_password(harness: MongoHarness, stage: Stage) -> None:
    needs(stage, "accounts")
    sink = MongoSink(re.sub(r"mongodb://([^@/]*@)?", "mongodb://nobody:wrong@", harness.url))
    with pytest.raises(Misconfigured) as refused:
        await sink.open([(stage.target, PLAIN)])
    assert "wrong" not in str(refused.value)
    await sink.close()


async def test_applications_see_a_view(harness: MongoHarness, stage: Stage) -> None:
    needs(stage, "views")
    await stage.write(stage.put(10, **ROW), stage.gone(10, **ROW | {"id": 8}))
    async with harness.collection(stage.target) as collection:
        (found,) = await collection.database[f"{stage.target.place}_app"].find().to_list()
    assert found.keys() == {"_id", *ROW}


async def test_a_cache_is_refused_where_nothing_expires(stage: Stage) -> None:
    cached = target_of("mongodb", new_place(), keep="cache", keep_for=10 * 86400)
    stage.spec.check(cached)
    assert isinstance(stage.sink, MongoSink)
    if stage.sink.whole:
        await stage.sink.open([(cached, PLAIN)])
    else:
        with pytest.raises(Misconfigured, match="keep: cache"):
            await stage.sink.open([(cached, PLAIN)])
