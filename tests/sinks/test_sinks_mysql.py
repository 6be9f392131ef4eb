"""What only MySQL does, on a real server."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from conformance import PLAIN, Others, Servers, Stage, new_place, schema_of, staged, target_of, with_row
from harness_mysql import MysqlHarness

from changes.errors import Misconfigured, Transient
from sinks.sql.mysql import statements
from sinks.sql.mysql.sink import MysqlSink
from sinks.sql.table import table_of

COUNT_TOMBSTONES = "SELECT count(*) FROM _tr_tombstones WHERE target = %s"


@pytest.fixture
def harness(stack: Servers, beside: Others) -> MysqlHarness:
    return MysqlHarness(stack, beside, "dao")


@pytest.fixture
async def stage(harness: MysqlHarness) -> AsyncIterator[Stage]:
    async with staged(harness, "dao") as opened:
        yield opened


def asked(harness: MysqlHarness, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with closing(harness.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(text, arguments or None)
        return list(cursor.fetchall())


async def test_opening_from_several_processes_at_once(harness: MysqlHarness) -> None:
    sinks = [harness.build() for _ in range(4)]
    target = target_of("dao", new_place("opened_together"))
    await asyncio.gather(*(sink.open([(target, PLAIN)]) for sink in sinks))
    await asyncio.gather(*(sink.close() for sink in sinks))


async def test_a_paused_writer_cannot_resurrect_a_row(harness: MysqlHarness, stage: Stage) -> None:
    """An upsert and a newer delete of rows that neither has seen, by two writers at once."""
    async with staged(harness, "dao") as other:
        zombie = replace(stage, sink=other.sink)
        for first in range(0, 500, 50):
            rows = [{"id": id_, "user_id": 1, "title": "a"} for id_ in range(first, first + 50)]
            await asyncio.gather(
                zombie.write(*(zombie.put(15, **row) for row in rows)),
                stage.write(*(stage.gone(20, **row) for row in rows)),
            )
    assert await stage.all() == []


async def test_two_writers_of_the_same_rows_wait_for_each_other(harness: MysqlHarness, stage: Stage) -> None:
    """In opposite order, so that locks taken in the order of the batch would end in a deadlock."""
    async with staged(harness, "dao") as other:
        second = replace(stage, sink=other.sink)
        for turn in range(5):
            up = [stage.put(10 + 2 * turn, id=id_, user_id=1, title="even") for id_ in range(100)]
            down = [second.put(11 + 2 * turn, id=id_, user_id=1, title="odd") for id_ in reversed(range(100))]
            _, answers = await asyncio.gather(stage.write(*up), second.write(*down))
            assert answers == ["applied"] * 100
    assert {(row.position, row.row["title"]) for row in await stage.all()} == {(19, "odd")}


async def test_the_view_shows_no_reserved_fields_and_is_kept(harness: MysqlHarness, stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a", amount="2.50"))
    with closing(harness.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM `{stage.target.place}`")
        assert [column for column, *_ in cursor.description] == ["id", "user_id", "title", "amount"]
        cursor.execute("SHOW MASTER STATUS" if "8.0" in connection.get_server_info() else "SHOW BINARY LOG STATUS")
        before = cursor.fetchall()
        await stage.sink.open([(stage.target, stage.schema)])
        cursor.execute("SHOW MASTER STATUS" if "8.0" in connection.get_server_info() else "SHOW BINARY LOG STATUS")
        assert cursor.fetchall() == before  # not one statement changed anything


async def test_sums_are_read_from_an_index_that_an_older_table_gets(harness: MysqlHarness, stage: Stage) -> None:
    base = f"_tr_{stage.target.place}"
    asked(harness, f"ALTER TABLE `{base}` ADD KEY _tr_bucket (_tr_bucket), DROP KEY _tr_sums")
    await stage.sink.close()
    async with staged(harness, "dao") as other:
        newer = replace(stage, sink=other.sink)
        await newer.sink.open([(stage.target, stage.schema)])
        rows = [{"id": id_, "user_id": 1, "title": "a" * 1000} for id_ in range(2000)]
        await newer.write(*(newer.put(10, **row) for row in rows))
        indexes = {name for _, _, name, *_ in asked(harness, f"SHOW INDEX FROM `{base}`")}
        assert indexes == {"PRIMARY", "_tr_sums"}
        asked(harness, f"ANALYZE TABLE `{base}`")
        text = statements.sums(table_of(stage.target, stage.schema), 10).replace('"', "`")
        ((plan,),) = asked(harness, f"EXPLAIN FORMAT=TREE {text}")
        assert re.search(r"(Covering i|I)ndex scan on \w+ using _tr_sums", plan)
        told = await newer.sink.sums(stage.target, stage.schema, 10)
        assert sum(one.count for one in told.sums.values()) == 2000


async def test_a_column_that_is_hidden_later_leaves_the_view(harness: MysqlHarness, stage: Stage) -> None:
    hiding = replace(stage, target=replace_target(stage, hidden=frozenset({"title"})))
    await hiding.sink.open([(hiding.target, hiding.schema)])
    names = asked(harness, f"SHOW COLUMNS FROM `{stage.target.place}`")
    assert [name for name, *_ in names] == ["id", "user_id", "amount"]


def replace_target(stage: Stage, **changed: Any) -> Any:
    return target_of("dao", stage.target.place, user="user_id", **changed)


async def test_a_table_of_somebody_else_is_left_alone(harness: MysqlHarness, stage: Stage) -> None:
    place = new_place("theirs")
    asked(harness, f"CREATE TABLE `{place}` (id int PRIMARY KEY)")
    with pytest.raises(Misconfigured, match=f"`{place}` is a table that is not Tailrace's"):
        await stage.sink.open([(target_of("dao", place), PLAIN)])
    assert [name for name, *_ in asked(harness, f"SHOW COLUMNS FROM `{place}`")] == ["id"]


async def test_tombstones_go_when_their_time_is_over(harness: MysqlHarness) -> None:
    now = 0.0
    sink = MysqlSink(harness.url, clock=lambda: now)
    target = target_of("dao", new_place("expiring"), tombstones_for=100)
    async with staged(harness, "dao") as any_stage:
        stage = replace(any_stage, sink=sink, target=target)
        await sink.open([(target, PLAIN)])
        await stage.write(stage.gone(10, id=1, user_id=1), stage.gone(10, id=2, user_id=1))
        age = "UPDATE _tr_tombstones SET seen_at = now() - INTERVAL 101 SECOND WHERE target = %s AND `key` = %s"
        asked(harness, age, target.name, stage.gone(10, id=1)[0].key.canonical)
        await stage.write(stage.put(10, id=3, user_id=1))
        assert asked(harness, COUNT_TOMBSTONES, target.name) == [(2,)]
        now = 3600.0
        await stage.write(stage.put(11, id=3, user_id=1))
        assert asked(harness, COUNT_TOMBSTONES, target.name) == [(1,)]
        await sink.close()


async def test_a_row_or_a_tombstone_never_both(harness: MysqlHarness, stage: Stage) -> None:
    await stage.write(stage.gone(10, id=1, user_id=1))
    await stage.write(stage.put(10, id=1, user_id=1))
    assert asked(harness, COUNT_TOMBSTONES, stage.target.name) == [(0,)]


async def test_keys_compare_as_bytes_and_numbers_exactly(harness: MysqlHarness) -> None:
    schema = schema_of(
        *(("number", "decimal(20,0)"), ("big", "bigint unsigned"), ("day", "date"), ("code", "varbinary(8)")),
        *(("word", "varchar(20)"), ("title", "text")),
        key=("word", "code", "big", "number", "day"),
    )
    async with staged(harness, "dao") as any_stage:
        target = target_of("dao", new_place("composite"), key=schema.key)
        stage = replace(any_stage, target=target, schema=schema)
        await stage.sink.open([(target, schema)])
        row = {"number": "90071992547409931234", "big": 2**64 - 1, "day": "2024-02-29Z", "code": "AP8=", "word": "Abc"}
        near = [
            row | {"word": "abc"},
            row | {"word": "Abc "},
            row | {"word": "Äbc"},
            row | {"code": "AP8A"},
            row | {"big": 2**64 - 2},
            row | {"number": "90071992547409931235"},
            row | {"day": "0000-00-00"},
        ]
        rows = [row, *near]
        puts = [stage.put(10, **one, title=str(index)) for index, one in enumerate(rows)]
        assert await stage.write(*puts) == ["applied"] * len(rows)
        for index, one in enumerate(rows):
            held = await stage.held(**one)
            assert held is not None
            assert held.row["title"] == str(index)
        assert await stage.write(stage.gone(11, **near[0]), stage.put(9, **near[1])) == ["applied", "stale"]
        assert len(await stage.all()) == len(near)


async def test_dates_that_only_a_source_like_ours_has(harness: MysqlHarness) -> None:
    values = {"day": "0000-00-00", "moment": "0000-00-00T00:00:00", "instant": "0000-00-00T00:00:00Z"}
    odd = {"day": "2024-02-31", "moment": "2024-00-00T00:00:00", "instant": None}
    schema = schema_of(("id", "int"), ("day", "date"), ("moment", "datetime(3)"), ("instant", "timestamp"))
    async with staged(harness, "dao") as any_stage:
        stage = replace(any_stage, target=target_of("dao", new_place("zeros")), schema=schema)
        await stage.sink.open([(stage.target, schema)])
        assert await stage.write(stage.put(10, id=1, **values), stage.put(10, id=2, **odd)) == ["applied"] * 2
        zeros, other = await stage.all()
        assert zeros.row["day"] == "0000-00-00"
        assert (zeros.row["moment"], zeros.row["instant"]) == ("0000-00-00 00:00:00.000000",) * 2
        assert (other.row["day"], other.row["moment"]) == ("2024-02-31", "2024-00-00 00:00:00.000000")


async def test_a_column_whose_type_grows(harness: MysqlHarness, stage: Stage) -> None:
    narrow = replace(
        stage, target=target_of("dao", new_place("growing")), schema=schema_of(("id", "int"), ("n", "tinyint"))
    )
    await narrow.sink.open([(narrow.target, narrow.schema)])
    await narrow.write(narrow.put(10, id=1, n=-1))
    wide = replace(narrow, schema=schema_of(("id", "bigint"), ("n", "bigint unsigned")))
    assert await wide.write(wide.put(10, id=2**40, n=1)) == ["rejected"]
    await wide.sink.open([(wide.target, wide.schema)])
    assert await wide.write(wide.put(10, id=2**40, n=2**64 - 1)) == ["applied"]
    assert {row.row["n"] for row in await wide.all()} == {-1, 2**64 - 1}


@pytest.mark.parametrize("column", ["text", "whole", "date", "amount", "blob"])
async def test_what_mysql_cannot_hold_is_rejected(stage: Stage, column: str) -> None:
    bad = {"text": "\ud800", "whole": 2**31, "date": "2024-13-01", "amount": "99999.99", "blob": "no base64!"}
    schema = schema_of(
        *(("id", "int"), ("text", "text"), ("whole", "int"), ("date", "date"), ("amount", "decimal(4,2)")),
        ("blob", "blob"),
    )
    refusing = replace(stage, target=target_of("dao", new_place("refusing")), schema=schema)
    await refusing.sink.open([(refusing.target, schema)])
    (record,), (other,) = (refusing.put(10, id=id_) for id_ in (1, 2))
    outcomes = await refusing.outcomes([with_row(record, **{column: bad[column]})], [other])
    assert [outcome.kind for outcome in outcomes] == ["rejected", "applied"]
    assert outcomes[0].reason.startswith("MySQL: ")


async def test_a_row_of_many_megabytes_and_its_neighbours(stage: Stage) -> None:
    long = "数'\\\0\n" * 3_000_000
    assert len(long.encode()) == 21_000_000
    batch = [stage.put(10, id=id_, user_id=1, title=long if id_ == 3 else "short") for id_ in range(6)]
    assert await stage.write(*batch) == ["applied"] * 6
    held = await stage.held(id=3, user_id=1)
    assert held is not None
    assert held.row["title"] == long


async def test_what_cannot_be_reached_is_transient_and_what_is_refused_is_not(harness: MysqlHarness) -> None:
    for url, error in (
        (re.sub(r":\d+/", ":1/", harness.url), Transient),
        (re.sub(r":[^:@]+@", ":wrong@", harness.url), Misconfigured),
        (harness.url + "_that_is_not_there", Misconfigured),
        ("mysql://host", Misconfigured),
    ):
        sink = MysqlSink(url)
        with pytest.raises(error) as caught:
            await sink.open([])
        assert "wrong" not in str(caught.value)
        await sink.close()


async def test_the_url_says_how_the_connections_are_protected(harness: MysqlHarness) -> None:
    for query, error in (("?ssl=required", None), ("?ssl=verify-ca", Misconfigured)):
        sink = MysqlSink(harness.url + query)
        if error is None:
            await sink.open([])
        else:
            with pytest.raises(error):
                await sink.open([])
        await sink.close()


async def test_a_table_that_somebody_dropped_is_named(harness: MysqlHarness, stage: Stage) -> None:
    asked(harness, f"DROP TABLE `_tr_{stage.target.place}`")
    with pytest.raises(Misconfigured, match=stage.target.place):
        await stage.write(stage.put(10, id=1, user_id=1))


async def test_a_write_that_is_cancelled_leaves_the_sink_usable(harness: MysqlHarness) -> None:
    async with staged(harness, "dao") as any_stage:
        sink = MysqlSink(harness.url, connections=1)
        stage = replace(any_stage, sink=sink)
        await sink.open([(stage.target, PLAIN)])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stage.write(*(stage.put(10, id=id_, user_id=1, title="a") for id_ in range(3000)))
        assert await stage.write(stage.put(11, id=1, user_id=1, title="b")) == ["applied"]
        held = await stage.held(id=1, user_id=1)
        assert held is not None
        assert held.row["title"] == "b"
        await sink.close()


async def test_a_walk_that_is_given_up_leaves_no_connection(harness: MysqlHarness, stage: Stage) -> None:
    await stage.write(*(stage.put(10, id=id_, user_id=1, title="a" * 1000) for id_ in range(3000)))
    before = len(asked(harness, "SHOW PROCESSLIST"))
    for _ in range(5):
        rows = stage.sink.rows(stage.target, stage.schema)
        async for _row in rows:
            break
        await rows.aclose()  # type: ignore[attr-defined]
    assert len(await stage.all()) == 3000
    while len(await asyncio.to_thread(asked, harness, "SHOW PROCESSLIST")) > before:  # which it notices in its own time
        pass


async def test_a_lanes_stamp_is_kept(harness: MysqlHarness) -> None:
    lane, sink = new_place("lane"), harness.build()
    await sink.open([])
    assert await sink.stamped(lane) is None
    assert await sink.stamp(lane, '{"it\'s": "\\"}') is None
    assert await sink.stamp(lane, "second") == '{"it\'s": "\\"}'
    await sink.close()
    sink = harness.build()
    await sink.open([])
    assert await sink.stamped(lane) == "second"
    await sink.close()


async def test_a_database_that_lost_its_stamps_under_an_open_sink_has_none_and_takes_the_next(
    harness: MysqlHarness,
) -> None:
    sink, lane = harness.build(), "emptied"
    await sink.open([])
    await sink.stamp(lane, "first")
    asked(harness, "DROP TABLE _tailrace_meta")
    assert await sink.stamped(lane) is None
    assert await sink.stamp(lane, "second") is None
    assert await sink.stamped(lane) == "second"
    await sink.close()
