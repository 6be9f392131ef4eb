"""What only SQLite does: files, their names and modes, and how few are open."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conformance import PLAIN, Stage, new_place, schema_of, target_of
from harness_sqlite import no_room
from hypothesis import given
from hypothesis import strategies as st

from changes.errors import Misconfigured, Rejected, Transient
from changes.target import Target
from sinks.contract import Sink
from sinks.registry import SPECS
from sinks.sql.sqlite import build, check, place_of
from sinks.sql.sqlite.errors import classify
from sinks.sql.sqlite.files import path_of, place_in, walk
from sinks.sql.sqlite.sink import SqliteSink
from sinks.sql.sqlite.statements import SIZES, pages, plan, statements_of
from sinks.sql.table import table_of

TARGET = target_of("sqlite", "notes", user="user_id")
RESERVED = ("_tr_pos", "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_gen")


@asynccontextmanager
async def opened(sink: Sink, target: Target = TARGET) -> AsyncIterator[Stage]:
    await sink.open([(target, PLAIN)])
    try:
        yield Stage(sink, SPECS["sqlite"], target, PLAIN)
    finally:
        await sink.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with opened(SqliteSink(str(tmp_path / "users"), busy=0.05)) as one:
        yield one


def test_the_upsert() -> None:
    assert statements_of(table_of(TARGET, schema_of(("id", "bigint"), ("user_id", "bigint")))).upsert == (
        'INSERT INTO "_tr_notes" AS t ("id", "user_id", _tr_pos, _tr_h1, _tr_h2, _tr_bucket, _tr_map, _tr_gen)'
        ' VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ("id") DO UPDATE SET "user_id" = excluded."user_id",'
        " _tr_pos = excluded._tr_pos, _tr_h1 = excluded._tr_h1, _tr_h2 = excluded._tr_h2,"
        " _tr_bucket = excluded._tr_bucket, _tr_map = excluded._tr_map, _tr_gen = excluded._tr_gen"
        " WHERE (t._tr_gen, t._tr_pos) <= (excluded._tr_gen, excluded._tr_pos)"
    )


def test_the_plan_of_a_file() -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("price", "decimal(4,2)"), ("ratio", "float"))
    table = table_of(TARGET, schema)
    create, _, view = plan(table, {}, [])
    assert create == (
        'CREATE TABLE "_tr_notes" ("id" INTEGER NOT NULL, "user_id" INTEGER, "price" TEXT, "ratio" REAL,'
        " _tr_pos INTEGER NOT NULL, _tr_h1 INTEGER NOT NULL, _tr_h2 INTEGER NOT NULL,"
        " _tr_bucket INTEGER NOT NULL, _tr_map INTEGER NOT NULL, _tr_gen INTEGER NOT NULL DEFAULT 0,"
        ' PRIMARY KEY ("id")) STRICT'
    )
    assert view == 'CREATE VIEW "notes" AS SELECT "id", "user_id", "price", "ratio" FROM "_tr_notes"'
    names = ["id", "user_id", "price", "ratio"]
    reserved = dict.fromkeys(RESERVED, "INTEGER")
    found = dict(zip(names, ("INTEGER", "INTEGER", "TEXT", "REAL"), strict=True)) | reserved
    assert plan(table, found, names) == []
    assert plan(table, found | {"price": "ANY"}, names) == []
    add, _, again = plan(table, {name: found[name] for name in (*names[:3], *RESERVED)}, names[:3])
    assert add == 'ALTER TABLE "_tr_notes" ADD COLUMN "ratio" REAL'
    assert again == view


def test_a_column_of_another_type_takes_any_value_from_then_on() -> None:
    table = table_of(TARGET, schema_of(("id", "bigint"), ("user_id", "bigint"), ("price", "text")))
    found = {"id": "INTEGER", "user_id": "INTEGER", "price": "INTEGER", "note": "TEXT"}
    found |= dict.fromkeys(RESERVED, "INTEGER")
    assert plan(table, found, ["id", "user_id", "price", "note"]) == [
        'DROP VIEW IF EXISTS "notes"',
        'ALTER TABLE "_tr_notes" ADD COLUMN _tr_moved ANY',
        'UPDATE "_tr_notes" SET _tr_moved = "price"',
        'ALTER TABLE "_tr_notes" DROP COLUMN "price"',
        'ALTER TABLE "_tr_notes" RENAME COLUMN _tr_moved TO "price"',
        'DROP VIEW IF EXISTS "notes"',
        'CREATE VIEW "notes" AS SELECT "id", "user_id", "note", "price" FROM "_tr_notes"',
    ]
    with pytest.raises(Misconfigured, match="the key of"):
        plan(table, found | {"id": "TEXT"}, [])


@given(st.integers(0, 1300))
def test_keys_are_looked_up_in_pages_of_few_sizes(count: int) -> None:
    seen = []
    for start, size, values in pages([(key, b"k") for key in range(count)]):
        assert size in SIZES
        assert len(values) == 2 * size
        seen += [start + number for number in range(size) if values[2 * number] is not None]
        assert all(values[2 * number] in (None, start + number) for number in range(size))
    assert seen == list(range(count))


@given(st.text(min_size=1, max_size=40))
def test_an_id_stays_in_the_folder_and_is_found_again(place: str) -> None:
    try:
        path = path_of(Path("/users"), place)
    except Rejected:
        return
    assert path.parent.parent == Path("/users")
    assert path.name.lower() == path.name
    assert place_in(path) == place


def test_the_file_of_a_number_is_named_by_it() -> None:
    assert path_of(Path("u"), "42").name == "42.db"
    assert path_of(Path("u"), "../A").name == "%2e%2e%2f%41.db"
    with pytest.raises(Rejected):
        path_of(Path("u"), "/" * 100)


def test_only_rows_of_one_person_are_kept_here() -> None:
    with pytest.raises(Misconfigured, match="user"):
        check(target_of("sqlite", "notes"))
    assert place_of(TARGET, {"user_id": 7}) == "7"
    with pytest.raises(Rejected, match="nobody"):
        place_of(TARGET, {"user_id": None})


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, Transient),
        (sqlite3.SQLITE_CANTOPEN, Transient),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Transient),
        (sqlite3.SQLITE_IOERR_WRITE, Transient),
        (None, Transient),
        (sqlite3.SQLITE_CORRUPT_INDEX, Misconfigured),
        (sqlite3.SQLITE_READONLY, Misconfigured),
        (sqlite3.SQLITE_READONLY_DBMOVED, Transient),
        (sqlite3.SQLITE_CONSTRAINT_NOTNULL, Rejected),
        (sqlite3.SQLITE_TOOBIG, Rejected),
    ],
)
def test_error_codes(code: int | None, kind: type[Exception]) -> None:
    assert type(classify("a.db", code, "it said no")) is kind


async def test_files_and_folders_are_their_owners_alone(stage: Stage, tmp_path: Path) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a"))
    path = path_of(tmp_path / "users", "1")
    for folder in (path.parent, path.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


async def test_an_application_reads_the_view_while_the_sink_writes(stage: Stage, tmp_path: Path) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a", amount="1.50"))
    reader = sqlite3.connect(path_of(tmp_path / "users", "1"))
    cursor = reader.execute("SELECT * FROM notes")
    assert [name for name, *_ in cursor.description] == ["id", "user_id", "title", "amount"]
    await stage.write(stage.put(11, id=2, user_id=1, title="b"))
    assert cursor.fetchall()[0] == (1, 1, "a", "1.50")
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


_COUNT = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True)
print(connection.execute("SELECT count(*) FROM notes").fetchone()[0])
connection.close()
"""


async def test_a_second_connection_to_a_file_costs_the_first_nothing(stage: Stage, tmp_path: Path) -> None:
    """Another process that reads and closes must not think itself alone: it would take the log away."""
    path = path_of(tmp_path / "users", "1")

    async def count() -> str:
        reader = await asyncio.create_subprocess_exec(sys.executable, "-c", _COUNT, str(path), stdout=subprocess.PIPE)
        return (await reader.communicate())[0].decode().strip()

    assert await stage.write(stage.put(1, id=1, user_id=1)) == ["applied"]
    async with opened(SqliteSink(str(tmp_path / "users"))) as second:
        assert await second.write(second.put(1, id=2, user_id=1)) == ["applied"]
        assert await count() == "2"
        assert await stage.write(stage.put(1, id=3, user_id=1)) == ["applied"]
        assert await count() == "3", "what was acknowledged is to be seen by whoever opens the file"


async def test_reading_makes_no_file(stage: Stage, tmp_path: Path) -> None:
    assert await stage.held(id=1, user_id=99) is None
    assert list(walk(tmp_path / "users")) == []


async def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    before = threading.active_count()
    async with opened(SqliteSink(str(tmp_path), limit=5, at_once=3)) as stage:
        for position in (10, 11):
            batch = [stage.put(position, id=user, user_id=user, title="a") for user in range(40)]
            assert await stage.write(*batch) == ["applied"] * 40
            assert threading.active_count() - before <= 5
        assert len(await stage.all()) == 40


async def test_a_damaged_file_is_named(stage: Stage, tmp_path: Path) -> None:
    path = path_of(tmp_path / "users", "1")
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"no database, but longer than its header of a hundred bytes. " * 4)
    with pytest.raises(Misconfigured, match=r"1\.db"):
        await stage.write(stage.put(10, id=1, user_id=1), stage.put(10, id=2, user_id=2))
    path.unlink()
    assert await stage.write(stage.put(10, id=1, user_id=1), stage.put(10, id=2, user_id=2)) == ["applied"] * 2


async def test_a_file_that_another_process_holds_is_transient(stage: Stage, tmp_path: Path) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a"))
    other = sqlite3.connect(path_of(tmp_path / "users", "1"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient):
        await stage.write(stage.put(11, id=1, user_id=1, title="b"))
    other.execute("ROLLBACK")
    other.close()
    assert await stage.write(stage.put(11, id=1, user_id=1, title="b")) == ["applied"]


async def test_no_room_for_a_new_file_is_transient(stage: Stage) -> None:
    with no_room(), pytest.raises(Transient):
        await stage.write(stage.put(10, id=1, user_id=1, title="a" * 100_000))
    assert await stage.write(stage.put(10, id=1, user_id=1, title="a" * 100_000)) == ["applied"]


async def test_a_folder_that_is_a_file_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sink = build(f"sqlite://{tmp_path}/file/users")
    with pytest.raises(Misconfigured):
        await sink.open([(TARGET, PLAIN)])


async def test_numbers_beyond_64_bits_are_rejected(stage: Stage) -> None:
    schema = schema_of(("id", "bigint unsigned"), ("user_id", "bigint"))
    large = replace(stage, target=target_of("sqlite", new_place("large"), user="user_id"), schema=schema)
    outcomes = await large.outcomes(large.put(10, id=2**63, user_id=1), large.put(10, id=2**63 - 1, user_id=1))
    assert [outcome.kind for outcome in outcomes] == ["rejected", "applied"]
    assert "9223372036854775808" in outcomes[0].reason


async def test_tombstones_go_when_their_time_is_over(tmp_path: Path) -> None:
    now = 1e9
    target = target_of("sqlite", "notes", user="user_id", tombstones_for=5000)
    async with opened(SqliteSink(str(tmp_path), clock=lambda: now), target) as stage:
        await stage.write(stage.gone(20, id=1, user_id=1))
        now += 4000
        assert await stage.write(stage.put(19, id=1, user_id=1)) == ["stale"]
        now += 4000
        assert await stage.write(stage.put(19, id=1, user_id=1)) == ["applied"]


async def test_a_row_or_a_tombstone_never_both(stage: Stage, tmp_path: Path) -> None:
    await stage.write(stage.gone(10, id=1, user_id=1))
    await stage.write(stage.put(10, id=1, user_id=1))
    file = sqlite3.connect(path_of(tmp_path / "users", "1"))
    assert file.execute("SELECT count(*) FROM _tr_tombstones").fetchone() == (0,)
    file.close()


async def test_a_cancelled_write_leaves_the_file_usable(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await stage.write(*(stage.put(11, id=id_, user_id=1) for id_ in range(5000)))
    assert await stage.write(stage.put(12, id=1, user_id=1, title="b")) == ["applied"]
