"""Files that are remembered from one visit: what is told of them is what is in them, whatever happens to them since."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest
from conformance import EVERY, EVERYTHING, PLAIN, Stage, target_of

from changes.canonical import BUCKETS
from changes.record import StoredSums
from changes.schema import Column, Kind, TableSchema
from sinks.registry import SPECS
from sinks.sql.sqlite import reader, survey
from sinks.sql.sqlite.files import path_of, walk
from sinks.sql.sqlite.sink import SqliteSink
from sinks.sql.sqlite.survey import Survey

OWNED = Column("user_id", Kind.INTEGER, "bigint")


def owned(name: str, schema: TableSchema) -> TableSchema:
    return TableSchema("shop", name, (*(one for one in schema.columns if one.name != "user_id"), OWNED), ("id",))


NOTES, WIDE = owned("notes", PLAIN), owned("wide", EVERYTHING)
FILES = 40


def stages(sink: SqliteSink) -> tuple[Stage, Stage]:
    """Of one sink, two targets."""
    return (
        Stage(sink, SPECS["sqlite"], target_of("sqlite", "notes", user="user_id"), NOTES),
        Stage(sink, SPECS["sqlite"], target_of("sqlite", "wide", user="user_id"), WIDE),
    )


async def filled(folder: Path) -> None:
    sink = SqliteSink(str(folder))
    notes, wide = stages(sink)
    for stage in (notes, wide):
        await sink.open([(stage.target, stage.schema)])
    for user in range(1, FILES + 1):
        await notes.write(*(notes.put(10, id=1000 * user + n, user_id=user) for n in range(user % 4)))
        values: dict[str, Any] = {name: value for name, (_, value) in EVERY.items()} | {"id": user, "user_id": user}
        await wide.write(wide.put(11, **values))
        if user % 5 == 0:
            await notes.write(notes.gone(12, id=1000 * user, user_id=user))
    await sink.close()


def aged(folder: Path, seconds: int) -> None:
    """Files that changed just now changed so long ago: what is new is not remembered."""
    for path in walk(folder):
        for one in (path, path.with_name(f"{path.name}-wal")):
            if one.exists() and one.stat().st_mtime > 1_000_000_000:
                os.utime(one, (900_000_000 - seconds, 900_000_000 - seconds))


async def told(folder: Path, sink: SqliteSink | None = None) -> list[Any]:
    """All rows, some and sums of both targets; by a sink of its own, which remembers nothing, or by one that does."""
    found: list[Any] = []
    for number in range(2):
        one = sink or SqliteSink(str(folder))
        stage = stages(one)[number]
        for buckets in (None, range(0, BUCKETS, 3), range(1, BUCKETS, 50)):
            found.append(sorted(await stage.all(buckets), key=lambda row: (row.place, row.key.canonical)))
        for upto in (9, 10, 11, 12, 19, 20, 30):
            sums: StoredSums = await one.sums(stage.target, stage.schema, upto)
            found.append((sums.sums, sums.beyond))
        if sink is None:
            await one.close()
    return found


def edit(paths: Iterable[Path], story: str) -> None:
    for path in paths:
        with closing(sqlite3.connect(path)) as edited, edited:
            edited.execute("UPDATE _tr_wide SET story = ?", (story,))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The files that are opened, whatever for."""
    opened: list[Path] = []

    def counting(real: Callable[..., AbstractContextManager[sqlite3.Connection]]) -> Callable[..., Any]:
        @contextmanager
        def reading(path: Path, *more: Any) -> Iterator[sqlite3.Connection]:
            opened.append(path)
            with real(path, *more) as connection:
                yield connection

        return reading

    with monkeypatch.context() as patched:
        for module, name in ((reader, "reading"), (survey, "reading"), (survey, "reading_still")):
            patched.setattr(module, name, counting(getattr(module, name)))
        yield opened


async def asked(sink: SqliteSink) -> None:
    """What an audit asks for, quick and deep."""
    for stage in stages(sink):
        await stage.all()
        await sink.sums(stage.target, stage.schema, 30)


async def test_what_is_remembered_is_what_would_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(tmp_path)
    aged(tmp_path, 0)
    plain = await told(tmp_path)
    assert len(plain[0]) > FILES
    assert any(beyond for _, beyond in plain[3:6]), "some is behind the position that was asked for"
    sink = SqliteSink(str(tmp_path))
    await stages(sink)[0].all()
    await sink.sums(stages(sink)[0].target, NOTES, 30)
    with counted(monkeypatch) as opened:
        await stages(sink)[0].all()
        assert sorted(opened) == sorted(walk(tmp_path)), "one table alone is not remembered"
    with counted(monkeypatch) as opened:
        await stages(sink)[1].all()
        await sink.sums(stages(sink)[1].target, WIDE, 30)
        await asyncio.gather(*(asked(sink) for _ in range(3)))
        assert sorted(opened) == sorted([*walk(tmp_path)] * 2), "each once for its rows and once for its sums"
    assert await told(tmp_path, sink) == plain
    with counted(monkeypatch) as opened:
        await asked(sink)
        assert opened == []
        await sink.sums(stages(sink)[1].target, WIDE, 10)
        assert len(opened) == FILES, "the rows of all are behind that"
    await sink.close()


async def test_of_few_buckets_only_the_files_are_opened_that_hold_rows_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(tmp_path)
    aged(tmp_path, 0)
    sink = SqliteSink(str(tmp_path))
    await asked(sink)
    notes, wide = stages(sink)
    for stage in (notes, wide):
        some = {row.key.bucket for row in (await stage.all())[:2]}
        with counted(monkeypatch) as opened:
            found = await stage.all(some)
        assert {row.key.bucket for row in found} == some
        assert sorted(opened) == sorted({path_of(tmp_path, row.place) for row in found})
    await sink.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_changes_since_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    await filled(tmp_path)
    aged(tmp_path, 0)
    sink, rng = SqliteSink(str(tmp_path)), Random(seed)
    await told(tmp_path, sink)
    writer = SqliteSink(str(tmp_path))
    notes, _ = stages(writer)
    await writer.open([(notes.target, NOTES)])
    users = rng.sample(range(1, FILES + 1), 9)
    for user in users[:3]:
        await notes.write(notes.put(20, id=1000 * user, user_id=user), notes.gone(20, id=1000 * user + 1, user_id=user))
    edit((path_of(tmp_path, str(user)) for user in users[3:5]), "edited by hand")
    with closing(sqlite3.connect(path_of(tmp_path, str(users[5])))) as edited, edited:
        edited.execute("DROP TABLE _tr_wide")
    path_of(tmp_path, str(users[6])).unlink()
    path_of(tmp_path, "renamed").parent.mkdir(exist_ok=True)
    path_of(tmp_path, str(users[7])).rename(path_of(tmp_path, "renamed"))
    await notes.write(notes.put(20, id=1, user_id=FILES + 1))
    if rng.random() < 0.5:
        await writer.close()  # else some of it stands in logs
    if settled := rng.random() < 0.5:
        aged(tmp_path, 100)
    changed = {path_of(tmp_path, str(user)) for user in [*users[:6], FILES + 1]} | {path_of(tmp_path, "renamed")}
    with counted(monkeypatch) as opened:
        await asked(sink)
        assert set(opened) == changed, "those and no others"
        if settled:  # what has changed too lately is not remembered
            opened.clear()
            await asked(sink)
            assert opened == [], "once is enough"
    assert await told(tmp_path, sink) == await told(tmp_path)
    await writer.close()
    await sink.close()


async def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(tmp_path)
    aged(tmp_path, 0)
    sink = SqliteSink(str(tmp_path))
    await asked(sink)
    edit(walk(tmp_path), "edited")
    aged(tmp_path, 100)
    torn: list[Path] = []

    @contextmanager
    def meanwhile(path: Path) -> Iterator[sqlite3.Connection]:
        """Another process writes to the file, and what is read of it is nothing, or nonsense."""
        edit([path], "edited meanwhile")
        torn.append(path)
        with closing(sqlite3.connect(":memory:")) as nothing:
            yield nothing
        if len(torn) % 2:
            raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patched:
        patched.setattr(survey, "reading_still", meanwhile)
        found = await stages(sink)[1].all()
    assert sorted(torn) == sorted(walk(tmp_path))
    assert {row.row["story"] for row in found} == {"edited meanwhile"}
    assert await told(tmp_path, sink) == await told(tmp_path)
    await sink.close()


def test_threads_read_different_files_at_once_and_each_is_read_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(4)]
    for path in paths:
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE t (path TEXT)")
            made.execute("INSERT INTO t VALUES (?)", (path.name,))
        os.utime(path, (900_000_000, 900_000_000))
    looked: list[str] = []
    held, go_on = Event(), Event()

    def look(connection: sqlite3.Connection) -> dict[str, str]:
        (name,) = connection.execute("SELECT path FROM t").fetchone()
        looked.append(name)
        if name == paths[1].name:
            held.set()
            assert go_on.wait(30)
        return {"a": f"a of {name}", "b": f"b of {name}"}

    remembered: Survey[str] = Survey(5.0, look)

    def read(name: str) -> Iterator[tuple[Path, str | None]]:
        for path in remembered.turns(paths):
            told = remembered.of(path, name)
            assert told is not None
            yield path, told[0]

    assert remembered.of(paths[0], "c") is None, "one table alone is not remembered"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: list(read("a")))
        assert held.wait(30)
        second = read("b")
        early = [next(second), next(second)]
        waiting = pool.submit(lambda: list(second))
        go_on.set()
        found = early + waiting.result(30)
        assert first.result(30) == [(path, f"a of {path.name}") for path in paths]
    assert [path for path, _ in early] == [paths[0], paths[2]], "the one that is being read is put off"
    assert sorted(found) == [(path, f"b of {path.name}") for path in paths]
    assert sorted(looked) == [path.name for path in paths]
    remembered.close()
