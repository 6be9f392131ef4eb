"""The SQLite sink's I/O: sqlite3 in threads of its own."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from changes.errors import Rejected, TailraceError
from changes.key import Key
from changes.record import APPLIED, STALE, Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target
from sinks.fold import fold
from sinks.isolate import isolate
from sinks.sql.pages import drawn
from sinks.sql.sqlite import meta, statements
from sinks.sql.sqlite.errors import classify_os
from sinks.sql.sqlite.files import Files, OpenFile, check_version, make_folder, translated, walk
from sinks.sql.sqlite.portion import Bound
from sinks.sql.sqlite.reader import Reader, names
from sinks.sql.table import Table, portions, table_of

_EXPIRE_EVERY = 3600.0
_FILES = 16
"""The most files that a thread is given at a time."""
_OPEN_AT_ONCE = 4
"""Files that are open already and written side by side: little of that is spent on the disk, and more threads would
only wait for the interpreter."""

Result = TypeVar("Result")
Part = tuple[str, Sequence[Record]]
"""A place and what is to be stored there."""


class SqliteSink:
    """Any number of targets in one folder of files, each file's part of a batch one transaction.

    ``at_once`` threads write a file each, for most of what a file takes that is not open is spent waiting for the disk;
    ``limit`` files stay open. Another process's lock on a file is waited for ``busy`` seconds. ``clock`` gives seconds
    since 1970; a file's tombstones that have outlived ``tombstones_for`` go when it is opened and hourly while it is
    open, so those of a file that nothing is written to stay.
    """

    def __init__(
        self,
        folder: str,
        *,
        limit: int = 128,
        at_once: int = 16,
        busy: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = Path(folder)
        self._clock = clock
        self._files = Files(self._folder, limit=limit, busy=busy)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sqlite")
        self._at_once = at_once
        self._reader = Reader(self._folder, busy)
        self._targets: dict[str, Target] = {}

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        """Files are made and widened when they are next written to."""
        check_version()
        planned = [table_of(target, schema) for target, schema in tables]
        try:
            make_folder(self._folder)
        except OSError as error:
            raise classify_os(str(self._folder), error) from error
        self._targets.update({table.target.name: table.target for table in planned})

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        return await fold(batch, self._scatter)

    async def _scatter(self, records: Sequence[Record]) -> list[Outcome]:
        """Each file's records, files side by side; all are finished before an error is raised."""
        places: dict[str, list[int]] = {}
        for index, record in enumerate(records):
            places.setdefault(record.place, []).append(index)
        held = self._files.open_among(places)
        parts = [
            (place, [records[index] for index in places[place]])
            for place in sorted(places, key=lambda place: place not in held)
        ]
        shares = [
            *_shared(parts[: len(held)], -(-len(held) // _OPEN_AT_ONCE)),
            *_shared(parts[len(held) :], min(_FILES, -(-(len(parts) - len(held)) // self._at_once))),
        ]
        outcomes = [STALE] * len(records)
        errors: list[TailraceError] = []
        answers = chain.from_iterable(await asyncio.gather(*(self._in_thread(self._visits, share) for share in shares)))
        for (place, part), answer in zip(parts, answers, strict=True):
            try:
                found = await self._isolate(place, part) if isinstance(answer, Rejected) else _or_raise(answer)
            except TailraceError as error:
                errors.append(error)
                continue
            for index, outcome in zip(places[place], found, strict=True):
                outcomes[index] = outcome
        if errors:
            raise errors[0]
        return outcomes

    async def _isolate(self, place: str, records: Sequence[Record]) -> list[Outcome]:
        async def attempt(part: Sequence[Record]) -> list[Outcome]:
            return await self._in_thread(self._visit, place, part)

        return await isolate(records, attempt)

    async def _in_thread(self, work: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _visits(self, parts: Sequence[Part]) -> list[list[Outcome] | TailraceError]:
        """One file after the other: what became of each one's records."""
        found: list[list[Outcome] | TailraceError] = []
        for place, records in parts:
            try:
                found.append(self._visit(place, records))
            except TailraceError as error:
                found.append(error)
        return found

    def _visit(self, place: str, records: Sequence[Record]) -> list[Outcome]:
        """Store records of distinct rows in one transaction; raises `Rejected` where it was rolled back."""
        outcomes = [STALE] * len(records)
        parts = [Bound(portion) for portion in portions(records)]
        now = self._clock()
        with self._files.use(place) as file:
            expires = now - file.expired_at >= _EXPIRE_EVERY
            with _transaction(file):
                if expires:
                    self._expire(file.connection, now)
                for part in parts:
                    _shape(file, part.table)
                    for index in _store(file.connection, part, int(now)):
                        outcomes[index] = APPLIED
            file.shaped.update(part.table for part in parts)
            file.expired_at = now if expires else file.expired_at
        return outcomes

    def _expire(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(statements.SETUP)
        if "gen" not in names(connection, statements.SIDE_TABLE):
            connection.execute(statements.WIDEN_SETUP)
        if connection.execute(statements.ANY).fetchone():
            for target in self._targets.values():
                connection.execute(statements.EXPIRE, (target.name, int(now - target.tombstones_for)))

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        stored: list[StoredRow | None] = [None] * len(wanted)
        places: dict[str, list[int]] = {}
        for index, (place, _) in enumerate(wanted):
            places.setdefault(place, []).append(index)
        async for index, row in drawn(
            self._reader.found(table_of(target, schema), schema, wanted, places), self._in_thread
        ):
            stored[index] = row
        return stored

    async def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        async for row in drawn(self._reader.rows(table_of(target, schema), schema, buckets), self._in_thread):
            yield row

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        """Each file as it is at one moment."""
        table = table_of(target, schema)
        found = StoredSums({}, {})
        paths = walk(self._folder)
        while some := await self._in_thread(lambda: list(islice(paths, _FILES))):
            await self._in_thread(self._reader.sum, some, table, schema, upto, found)
        return found

    async def stamp(self, lane: str, stamp: str) -> str | None:
        return await self._in_thread(meta.keep, self._folder, lane, stamp)

    async def stamped(self, lane: str) -> str | None:
        return await self._in_thread(meta.kept, self._folder, lane)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self._reader.close()
        await asyncio.to_thread(self._files.close)


def _shared(parts: Sequence[Part], size: int) -> Iterator[Sequence[Part]]:
    """``parts`` in shares of ``size``, which is 0 where there are none."""
    return (parts[start : start + size] for start in range(0, len(parts), size or 1))


def _or_raise(answer: list[Outcome] | TailraceError) -> list[Outcome]:
    if isinstance(answer, TailraceError):
        raise answer
    return answer


def _shape(file: OpenFile, table: Table) -> None:
    """Make or widen a file's table, within a transaction."""
    if table not in file.shaped:
        found = names(file.connection, f"_tr_{table.target.place}")
        view = names(file.connection, table.target.place)
        for statement in statements.plan(table, found, view):
            file.connection.execute(statement)


def _store(connection: sqlite3.Connection, part: Bound, now: int) -> list[int]:
    """Write what is not older than what the file holds; where in the batch those records stood.

    Nobody else writes between looking and writing: the transaction holds the file's write lock from its start.
    """
    for statement, rows in part.yielding():
        if rows:
            connection.executemany(statement, rows)
    held = [(-1, -1)] * len(part.records)
    buried = set[int]()
    wanted = [(*key, record.key.canonical) for key, record in zip(part.keys, part.records, strict=True)]
    for start, size, values in statements.pages(wanted):
        values.append(part.table.target.name)
        text = statements.look_up(part.table, size)
        for number, *orders in connection.execute(text, values):
            row_gen, row_pos, grave_gen, grave_pos = orders
            held[start + number] = max((row_gen, row_pos), (grave_gen, grave_pos))
            if grave_gen >= 0:
                buried.add(start + number)
    landing = part.landing(held)
    for statement, rows in part.writes(landing, buried, now):
        if rows:
            connection.executemany(statement, rows)
    return [part.indices[index] for index in landing]


@contextmanager
def _transaction(file: OpenFile) -> Iterator[None]:
    """A transaction that holds the file's write lock from its start; rolled back unless all went well."""
    connection = file.connection
    with translated(file.path):
        connection.execute("BEGIN IMMEDIATE")
        committed = False
        try:
            yield
            connection.commit()
            committed = True
        finally:
            if not committed and connection.in_transaction:
                connection.rollback()
