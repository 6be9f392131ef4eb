"""Keys, stamps and the script's arguments by value; lifetimes and settings on a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from fnmatch import fnmatchcase

import msgspec
import pytest
from conformance import PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of, with_row
from harness_redis import RedisHarness
from hypothesis import given
from hypothesis import strategies as st
from redis import exceptions
from redis.asyncio import Redis

from changes.errors import Misconfigured, Rejected, Transient
from changes.key import key_of
from changes.record import APPLIED, STALE, Record, rejected
from sinks.redis import check, place_of
from sinks.redis.errors import classify
from sinks.redis.place import glob, matches, render
from sinks.redis.sink import RedisSink
from sinks.redis.statements import (
    LIFETIME,
    NO_STAMP,
    Stamp,
    arguments,
    lifetimes,
    outcomes,
    row_from,
    stamp_from,
    value_text,
)

ROW = {"id": 7, "user_id": 1, "title": "é", "amount": "1.50"}


def record(place: str = "notes:7", row: dict[str, object] | None = None, **declared: object) -> Record:
    target = target_of("redis", "notes:{id}", **declared)
    return Record(target, key_of(PLAIN, ROW), 42, row, 0xABC, PLAIN, place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "row", "place"),
    [
        ("job:{id}", {"id": 7}, "job:7"),
        ("user:{user_id}:job:{id}", {"id": 7, "user_id": 3}, "user:3:job:7"),
        ("mail:{id}:x", {"id": "a:b%c@d.é"}, "mail:a%3Ab%25c@d.é:x"),
        ("flag:{id}", {"id": True}, "flag:1"),
        ("job:{id}:{user_id}", {"id": 7, "user_id": None}, "job:7:"),
    ],
)
def test_places(pattern: str, row: dict[str, object], place: str) -> None:
    assert place_of(target_of("redis", pattern), row) == place  # type: ignore[arg-type]


_values = st.text(":%ab*[]\\\n", max_size=4)


@given(st.tuples(_values, _values), st.tuples(_values, _values))
def test_no_two_rows_share_a_key_and_each_is_walked_to(one: tuple[str, str], other: tuple[str, str]) -> None:
    pattern = "a[*]:{x}b:c{y}"
    keys = [render(pattern, {"x": x, "y": y}) for x, y in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
    for key in keys:
        assert matches(pattern).fullmatch(key)
        assert fnmatchcase(key, re.sub(r"\\(.)", r"[\1]", glob(pattern)))


def test_a_longer_pattern_is_told_apart() -> None:
    assert glob("job:{id}") == "job:*"
    assert matches("job:{id}").fullmatch("job:1:skills") is None


@pytest.mark.parametrize(
    "target",
    [
        target_of("redis", "job"),
        target_of("redis", "job:{user_id}"),
        target_of("redis", "job:{id}{user_id}"),
        target_of("redis", "job:{id}-{user_id}"),
        target_of("redis", "job:{id"),
        target_of("redis", "{id}"),
        target_of("redis", "_tr:{id}"),
        target_of("redis", "job:{id}", keep="cache"),
        target_of("redis", "job:{id}", owns="columns"),
    ],
)
def test_places_that_are_refused(target: object) -> None:
    with pytest.raises(Misconfigured):
        check(target)  # type: ignore[arg-type]


def test_what_the_script_is_given() -> None:
    alive, gone = record(row=ROW), record(tombstones_for=10)  # type: ignore[arg-type]
    bucket, mapping = alive.key.bucket, alive.target.mapping
    keys, values = arguments([alive, gone])
    assert arguments([msgspec.structs.replace(alive, over=7)])[1][-1] == "0000000000000000007"
    assert keys == ["notes:7", "_tr:notes:7"] * 2
    assert values == [
        f"000000000000000000000042 0000000000000abc {bucket} {mapping} +",
        '{"id":7,"user_id":1,"title":"é","amount":"1.50"}'.encode(),
        0,
        0,
        "",
        f"000000000000000000000042 0000000000000abc {bucket} {mapping} -",
        b"",
        0,
        10_000,
        "",
    ]


def test_what_the_script_answers() -> None:
    assert outcomes([b"asra", b"WRONGTYPE no string"]) == [APPLIED, STALE, rejected("WRONGTYPE no string"), APPLIED]


def test_lifetimes() -> None:
    mirror = target_of("redis", "a:{id}", tombstones_for=100)
    short = target_of("redis", "a:{id}", keep="cache", keep_for=60, tombstones_for=100)
    long = target_of("redis", "a:{id}", keep="cache", keep_for=600, tombstones_for=100)
    assert lifetimes(mirror, alive=True) == (0, 0)
    assert lifetimes(mirror, alive=False) == (0, 100_000)
    assert lifetimes(short, alive=True) == (60_000, 100_000)
    assert lifetimes(long, alive=True) == (600_000, 600_000)
    assert lifetimes(long, alive=True, lived=590) == (10_000, 600_000)
    assert lifetimes(long, alive=True, lived=601) == (1, 600_000), "gone at once, and in the place of what is older"
    assert lifetimes(mirror, alive=True, lived=601) == (0, 0)


def test_stamps_and_values_are_read_back() -> None:
    assert stamp_from(b"000070000000000000000042 0000000000000abc 5 6 -") == Stamp(7, 42, 0xABC, 5, 6, False)
    assert stamp_from(b"0000000000000000042 0000000000000abc 5 6 +") == Stamp(0, 42, 0xABC, 5, 6, True)
    assert stamp_from(None) == stamp_from(b"something else") == NO_STAMP
    assert row_from({"id", "new"}, b'{"id":1,"old":2}') == {"id": 1, "new": None}
    assert row_from({"id"}, b"[1]") is row_from({"id"}, b"\xff") is None
    with pytest.raises(Rejected):
        value_text({"title": "\ud800"})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.OutOfMemoryError("command not allowed"), Transient),
        (exceptions.BusyLoadingError("loading"), Transient),
        (exceptions.ReadOnlyError("a replica"), Transient),
        (exceptions.TimeoutError("late"), Transient),
        (ConnectionResetError("reset"), Transient),
        (exceptions.ResponseError("MISCONF disk"), Transient),
        (exceptions.AuthenticationError("no"), Misconfigured),
        (exceptions.NoPermissionError("no"), Misconfigured),
        (exceptions.ResponseError("DB index is out of range"), Misconfigured),
        (exceptions.ResponseError("unknown command 'EVALSHA'"), Misconfigured),
    ],
)
def test_errors(error: exceptions.RedisError, kind: type[Exception]) -> None:
    assert type(classify(error)) is kind


@pytest.fixture
def harness(stack: Servers, beside: Others) -> RedisHarness:
    return RedisHarness(stack, beside)


@pytest.fixture
async def stage(harness: RedisHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "redis") as opened:
        yield opened


@pytest.fixture
async def client(harness: RedisHarness) -> AsyncIterator[Redis]:
    async with Redis.from_url(harness.url) as opened:
        yield opened


async def test_applications_read_json_under_the_key(stage: Stage, client: Redis) -> None:
    (one,) = stage.put(10, **ROW)
    await stage.write([one])
    assert await client.get(one.place) == value_text(ROW)
    assert await client.ttl(one.place) == await client.ttl(f"_tr:{one.place}") == -1
    await stage.write(stage.gone(11, **ROW))
    assert await client.get(one.place) is None
    assert 0 < await client.ttl(f"_tr:{one.place}") <= stage.target.tombstones_for


async def test_a_cached_value_that_expired_may_come_back(stage: Stage, client: Redis) -> None:
    target = target_of("redis", f"{new_place()}:{{id}}", keep="cache", keep_for=60)
    cached = replace(stage, target=target)
    await cached.sink.open([(target, PLAIN)])
    (one,) = cached.put(10, **ROW)
    await cached.write([one])
    assert 0 < await client.pttl(one.place) <= 60_000
    assert await client.ttl(f"_tr:{one.place}") > 60
    await client.delete(one.place)  # what its lifetime does in the end
    assert await cached.all() == []
    assert await cached.write(cached.put(9, **ROW)) == ["stale"]
    assert await cached.write([one]) == ["applied"]
    assert len(await cached.all()) == 1


async def test_another_lifetime_than_is_declared_is_told(stage: Stage, client: Redis) -> None:
    cached = replace(stage, target=target_of("redis", f"{new_place()}:{{id}}", keep="cache", keep_for=60))
    await cached.sink.open([(cached.target, PLAIN)])

    async def broken(one: Stage) -> list[tuple[str, ...]]:
        held = await one.held(**ROW)
        assert held is not None
        return [held.broken, *(row.broken for row in await one.all())]

    for one in (stage, cached):
        place = one.spec.place_of(one.target, ROW)
        await one.write(one.put(10, **ROW))
        assert await broken(one) == [(), ()]
        await client.expire(place, 3600)
        assert await broken(one) == [(LIFETIME,), (LIFETIME,)]
        await one.write(one.put(10, **ROW))
        assert await broken(one) == [(), ()]
    await client.persist(place)
    assert await broken(cached) == [(LIFETIME,), (LIFETIME,)]
    # What was written under another declaration is told for that.
    assert await broken(replace(cached, target=msgspec.structs.replace(cached.target, keep_for=7200))) == [(), ()]


async def test_only_keys_of_the_pattern_are_walked(stage: Stage, client: Redis) -> None:
    (one,) = stage.put(10, **ROW)
    await stage.write([one])
    longer = replace(stage, target=target_of("redis", f"{stage.target.place}:more"))
    await longer.write(longer.put(10, **ROW))
    await client.set(f"{one.place[:-1]}8", "no row of ours")
    assert [row.place for row in await stage.all()] == [one.place]


async def test_a_value_without_a_stamp_is_shown_at_position_0(stage: Stage, client: Redis) -> None:
    (one,) = stage.put(10, **ROW)
    await client.set(one.place, value_text(ROW))
    (found,) = await stage.all()
    assert (found.key, found.position, found.hash) == (one.key, 0, 0)
    assert await stage.write([one]) == ["applied"]


async def test_scripts_that_were_flushed_are_loaded_again(stage: Stage, client: Redis) -> None:
    await client.script_flush()
    assert await stage.write(stage.put(10, **ROW)) == ["applied"]


async def test_a_server_without_memory_is_transient(stage: Stage, client: Redis) -> None:
    await stage.write(stage.put(10, **ROW))
    await client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(Transient):
            await stage.write(*(stage.put(11, **{**ROW, "id": id_}) for id_ in range(1000)))
        assert (await stage.held(**ROW)) is not None
    finally:
        await client.config_set("maxmemory", "0")
    assert await stage.write(stage.put(11, **ROW)) == ["applied"]


async def test_a_server_that_evicts_is_no_mirror(stage: Stage, client: Redis) -> None:
    cached = target_of("redis", f"{new_place()}:{{id}}", keep="cache", keep_for=60)
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        await stage.sink.open([(cached, PLAIN)])
        with pytest.raises(Misconfigured, match="noeviction"):
            await stage.sink.open([(stage.target, PLAIN)])
    finally:
        await client.config_set("maxmemory-policy", "noeviction")


async def test_two_targets_of_one_shape_are_refused(stage: Stage) -> None:
    other = target_of("redis", stage.target.place.replace("{id}", "{user_id}"))
    with pytest.raises(Misconfigured, match="each other"):
        await stage.sink.open([(stage.target, PLAIN), (other, PLAIN)])


async def test_a_wrong_password_and_an_unreachable_server(harness: RedisHarness) -> None:
    for url, error in (
        (re.sub(r"redis://[^/]*?([\w.]+:\d+)", r"redis://nobody:wrong@\1", harness.url), Misconfigured),
        (re.sub(r":\d+/", ":1/", harness.url), Transient),
        (re.sub(r"/\d+$", "/99999", harness.url), Misconfigured),
    ):
        sink = RedisSink(url)
        with pytest.raises(error):
            await sink.open([])
        await sink.close()
    with pytest.raises(Misconfigured, match="looks like"):
        RedisSink("http://host")


async def test_waiting_for_our_own_connections_is_no_fault_of_the_server(harness: RedisHarness) -> None:
    sink = RedisSink(harness.url, connections=1, timeout=0.2)
    await sink.open([])
    pool = sink._client.connection_pool
    held = await pool.get_connection()
    waiting = asyncio.create_task(sink.stamped(new_place("lane")))
    await asyncio.sleep(0.6)
    assert not waiting.done()
    await pool.release(held)
    assert await waiting is None
    await sink.close()


async def test_text_that_is_none_is_rejected(stage: Stage) -> None:
    good, bad = stage.put(10, **ROW), stage.put(10, **{**ROW, "id": 8})
    results = await stage.outcomes(good, [with_row(bad[0], title="\ud800")])
    assert [outcome.kind for outcome in results] == ["applied", "rejected"]


async def test_a_key_of_several_columns(stage: Stage) -> None:
    schema = schema_of(("user_id", "bigint"), ("code", "varchar(20)"), key=("user_id", "code"))
    target = target_of("redis", f"{new_place()}:{{user_id}}:{{code}}", key=schema.key)
    several = replace(stage, target=target, schema=schema)
    await several.sink.open([(target, schema)])
    rows = [{"user_id": 1, "code": code} for code in ("a", "a:b", "a%3Ab", "")]
    assert await several.write(*(several.put(10, **row) for row in rows)) == ["applied"] * 4
    assert len(await several.all()) == 4
