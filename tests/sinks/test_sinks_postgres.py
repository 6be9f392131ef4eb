"""What only PostgreSQL does, on a real server."""

import asyncio
import math
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest
from conformance import PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of, with_row
from harness_postgres import PostgresHarness

from changes.canonical import Value
from changes.errors import Misconfigured, Transient
from sinks.sql.postgres.ddl import index_name
from sinks.sql.postgres.sink import PostgresSink

COUNT_TOMBSTONES = "SELECT count(*) FROM tailrace.tombstones WHERE target = $1"


@pytest.fixture
def harness(stack: Servers, beside: Others) -> PostgresHarness:
    return PostgresHarness(stack, beside)


@pytest.fixture
async def stage(harness: PostgresHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "postgres") as opened:
        yield opened


@pytest.fixture
async def database(harness: PostgresHarness) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(harness.url)
    yield connection
    await connection.close()


async def test_opening_from_several_processes_at_once(harness: PostgresHarness) -> None:
    sinks = [harness.build() for _ in range(4)]
    target = target_of("postgres", new_place("opened_together"), user="user_id")
    await asyncio.gather(*(sink.open([(target, PLAIN)]) for sink in sinks))
    await asyncio.gather(*(sink.close() for sink in sinks))


async def test_a_paused_writer_cannot_resurrect_a_row(harness: PostgresHarness, stage: Stage) -> None:
    """An upsert and a newer delete of rows that neither has seen, by two writers at once."""
    async with staged(harness, "postgres") as other:
        zombie = replace(stage, sink=other.sink)
        for first in range(0, 1000, 50):
            rows = [{"id": id_, "user_id": 1, "title": "a"} for id_ in range(first, first + 50)]
            await asyncio.gather(
                zombie.write(*(zombie.put(15, **row) for row in rows)),
                stage.write(*(stage.gone(20, **row) for row in rows)),
            )
    assert await stage.all() == []


async def test_the_view_shows_no_reserved_fields_and_is_kept(stage: Stage, database: asyncpg.Connection) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a", amount="2.50"))
    view = f'public."{stage.target.place}"'
    (row,) = await database.fetch(f"SELECT * FROM {view}")
    assert list(row.keys()) == ["id", "user_id", "title", "amount"]
    made = await database.fetchval("SELECT xmin::text FROM pg_class WHERE oid = $1::regclass", view)
    await stage.sink.open([(stage.target, stage.schema)])
    assert await database.fetchval("SELECT xmin::text FROM pg_class WHERE oid = $1::regclass", view) == made
    options = await database.fetchval("SELECT reloptions FROM pg_class WHERE oid = $1::regclass", view)
    assert options == ["security_invoker=true"]


async def test_the_applications_role_reads_what_is_its_users_and_writes_nothing(
    stack: Servers, harness: PostgresHarness
) -> None:
    admin = await asyncpg.connect(stack.admin["future"]["postgres"])
    group = f'"{urlsplit(harness.url).path.removeprefix("/")}_app"'
    async with staged(harness, "postgres") as stage:
        await stage.write(*(stage.put(10, id=id_, user_id=id_ % 2, title="a") for id_ in range(6)))
        await admin.execute(f"SET ROLE {group}")
        for relation in (f'tailrace."{stage.target.place}"', f'public."{stage.target.place}"'):
            for user, ids in (("", None), ("1", [1, 3, 5]), ("0", [0, 2, 4])):
                await admin.execute("SELECT set_config('app.current_user_id', $1, false)", user)
                assert await admin.fetchval(f"SELECT array_agg(id ORDER BY id) FROM {relation}") == ids
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await admin.execute(f"DELETE FROM {relation}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute("SELECT FROM tailrace.tombstones")
    await admin.close()


async def test_a_sink_that_may_make_roles_makes_the_applications(stack: Servers) -> None:
    admin, name = await asyncpg.connect(stack.admin["future"]["postgres"]), new_place("made")
    url = stack.admin["future"]["postgres"].rpartition("/")[0]
    await admin.execute(f"CREATE ROLE {name} LOGIN CREATEROLE PASSWORD 'word'")
    await admin.execute(f"CREATE DATABASE {name} OWNER {name}")
    own = urlsplit(f"{url}/{name}")
    sink = PostgresSink(own._replace(netloc=f"{name}:word@{own.netloc.rpartition('@')[2]}").geturl())
    await sink.open([(target_of("postgres", "notes", user="user_id"), PLAIN)])
    await sink.close()
    taking = "SELECT pg_has_role($1, rolname, 'SET'), rolcanlogin FROM pg_roles WHERE rolname = $2"
    assert tuple(await admin.fetchrow(taking, name, f"{name}_app")) == (True, False)
    await admin.execute(f"DROP DATABASE {name}")
    await admin.execute(f"DROP ROLE {name}_app")
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()


async def test_tombstones_go_when_their_time_is_over(harness: PostgresHarness, database: asyncpg.Connection) -> None:
    now = 0.0
    sink = PostgresSink(harness.url, clock=lambda: now)
    target = target_of("postgres", new_place("expiring"), tombstones_for=100)
    async with staged(harness, "postgres") as any_stage:
        stage = replace(any_stage, sink=sink, target=target)
        await sink.open([(target, PLAIN)])
        await stage.write(stage.gone(10, id=1, user_id=1), stage.gone(10, id=2, user_id=1))
        age = "UPDATE tailrace.tombstones SET seen_at = now() - interval '101 s' WHERE target = $1 AND key = $2"
        await database.execute(age, target.name, stage.gone(10, id=1)[0].key.canonical)
        await stage.write(stage.put(10, id=3, user_id=1))
        assert await database.fetchval(COUNT_TOMBSTONES, target.name) == 2
        now = 3600.0
        await stage.write(stage.put(11, id=3, user_id=1))
        assert await database.fetchval(COUNT_TOMBSTONES, target.name) == 1
        await sink.close()


async def test_a_row_or_a_tombstone_never_both(stage: Stage, database: asyncpg.Connection) -> None:
    await stage.write(stage.gone(10, id=1, user_id=1))
    await stage.write(stage.put(10, id=1, user_id=1))
    assert await database.fetchval(COUNT_TOMBSTONES, stage.target.name) == 0


async def test_the_largest_unsigned_number_and_a_composite_key(harness: PostgresHarness) -> None:
    schema = schema_of(
        ("user_id", "bigint unsigned"), ("day", "date"), ("code", "varbinary(8)"), key=("code", "user_id", "day")
    )
    async with staged(harness, "postgres") as any_stage:
        target = target_of("postgres", new_place("composite"), key=schema.key)
        stage = replace(any_stage, target=target, schema=schema)
        await stage.sink.open([(target, schema)])
        row = {"user_id": 2**64 - 1, "day": "2024-02-29Z", "code": "AP8="}
        assert await stage.write(stage.put(10, **row)) == ["applied"]
        held = await stage.held(**row)
        assert held is not None
        assert held.row == {"user_id": 2**64 - 1, "day": "2024-02-29", "code": b"\0\xff"}
        assert await stage.write(stage.gone(11, **row)) == ["applied"]
        assert await stage.all() == []


async def test_a_column_whose_type_grows(stage: Stage) -> None:
    narrow = replace(
        stage, target=target_of("postgres", new_place("growing")), schema=schema_of(("id", "int"), ("n", "tinyint"))
    )
    await narrow.sink.open([(narrow.target, narrow.schema)])
    await narrow.write(narrow.put(10, id=1, n=1))
    wide = replace(narrow, schema=schema_of(("id", "bigint"), ("n", "bigint unsigned")))
    assert await wide.write(wide.put(10, id=2**40, n=1)) == ["rejected"]
    await wide.sink.open([(wide.target, wide.schema)])
    assert await wide.write(wide.put(10, id=2**40, n=2**64 - 1)) == ["applied"]
    assert {row.row["n"] for row in await wide.all()} == {1, 2**64 - 1}


@pytest.mark.parametrize("column", ["text", "json", "date", "amount"])
async def test_what_postgres_cannot_hold_is_rejected(harness: PostgresHarness, column: str) -> None:
    bad = {"text": "a\0b", "json": '"\\u0000"', "date": "0000-00-00", "amount": "99999.99"}
    schema = schema_of(("id", "int"), ("text", "text"), ("json", "json"), ("date", "date"), ("amount", "decimal(4,2)"))
    async with staged(harness, "postgres") as any_stage:
        stage = replace(any_stage, target=target_of("postgres", new_place("refusing")), schema=schema)
        await stage.sink.open([(stage.target, schema)])
        row = {"id": 1, "text": None, "json": None, "date": None, "amount": None}
        (outcome,) = await stage.outcomes(stage.put(10, **{**row, column: bad[column]}))
        assert outcome.kind == "rejected"
        assert "SQLSTATE 22" in outcome.reason


async def test_an_unreachable_server_is_transient_and_an_unknown_database_is_not(harness: PostgresHarness) -> None:
    for url, error in (
        (re.sub(r":\d+/", ":1/", harness.url), Transient),
        (harness.url + "_that_is_not_there", Misconfigured),
        ("postgresql://host:no-port/x", Misconfigured),
    ):
        sink = PostgresSink(url)
        with pytest.raises(error):
            await sink.open([])
        await sink.close()


async def test_a_table_that_somebody_dropped_is_named(stage: Stage, database: asyncpg.Connection) -> None:
    await database.execute(f'DROP TABLE tailrace."{stage.target.place}" CASCADE')
    with pytest.raises(Misconfigured, match=stage.target.place):
        await stage.write(stage.put(10, id=1, user_id=1))


async def test_vectors_are_indexed_and_searched_through_the_view(
    harness: PostgresHarness, database: asyncpg.Connection
) -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("title", "vector(3)"))
    async with staged(harness, "postgres", schema) as stage:
        vectors = {1: [1.0, 0.0, 0.0], 2: [0.0, 1.0, 0.0], 3: [0.7, 0.7, 0.1]}
        await stage.write(*(stage.put(10, id=id_, user_id=1, title=vector) for id_, vector in vectors.items()))
        await stage.sink.open([(stage.target, schema)])
        near = f'SELECT id FROM public."{stage.target.place}" ORDER BY title <=> $1::text::vector LIMIT 2'
        async with database.transaction():
            await database.execute("SET LOCAL enable_seqscan = off")
            assert [id_ for (id_,) in await database.fetch(near, "[1,0.1,0]")] == [1, 3]
            found = await database.fetch(f"EXPLAIN {near}", "[1,0.1,0]")
        assert any(index_name(stage.target.place, "title") in line for (line,) in found)
        (good,) = stage.put(11, id=1, user_id=1, title=[1.0, 2.0, 3.0])
        wrong: list[Value] = [[1.0, 2.0], [1e39, 0.0, 0.0], [math.nan] * 3, "[1,2,3]", ["a", "b", "c"]]  # type: ignore[list-item]
        outcomes = await stage.outcomes(*([with_row(good, title=title)] for title in wrong))
        assert [outcome.kind for outcome in outcomes] == ["rejected"] * 5
        assert "expected 3 dimensions, not 2" in outcomes[0].reason


async def test_what_the_driver_cannot_write_is_rejected(stage: Stage) -> None:
    (one,), (other,) = (stage.put(10, id=id_, user_id=1, title="text") for id_ in (1, 2))
    outcomes = await stage.outcomes([with_row(one, title=[1.0]), other])
    assert [outcome.kind for outcome in outcomes] == ["rejected", "applied"]


async def test_a_write_that_is_cancelled_leaves_the_connection_usable(harness: PostgresHarness) -> None:
    async with staged(harness, "postgres") as any_stage:
        sink = PostgresSink(harness.url, connections=1)
        stage = replace(any_stage, sink=sink)
        await sink.open([(stage.target, PLAIN)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stage.write(*(stage.put(10, id=id_, user_id=1, title="a") for id_ in range(5000)))
        assert await stage.write(stage.put(11, id=1, user_id=1, title="b")) == ["applied"]
        assert [row.row["title"] for row in await stage.all()] == ["b"]
        await sink.close()
