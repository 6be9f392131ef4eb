"""How the conformance suite treats the files of users."""

import base64
import resource
import sqlite3
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from conformance import OWNER, Change, Others, Servers, target_of, with_row

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.schema import Kind
from changes.target import Target
from sinks.contract import Sink
from sinks.sql.sqlite.files import path_of, walk
from sinks.sql.sqlite.sink import SqliteSink


@contextmanager
def no_room() -> Iterator[None]:
    """No file of this process can grow beyond a page: what a full disk does, without filling one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class SqliteHarness:
    refused: Mapping[str, Sequence[Value]] = {"bigint unsigned": [2**64 - 1]}  # beyond a signed 64-bit integer
    spoilt: Sequence[tuple[str, Value]] = [
        ("date", "1000-01-01 "),
        ("decimal(10,2)", ""),
        ("json", "{"),
        ("bit(1)", 2),
        ("datetime", "yesterday"),
        ("made", [0.1, -2.5]),
        ("made", struct.pack("<3f", 0.1, -2.5, 0.0) + b"\0"),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
        self.folder = stack.endpoints["future"]["sqlite"]

    def build(self) -> Sink:
        return SqliteSink(self.folder)

    def target(self, place: str) -> Target:
        return target_of("sqlite", place, user="user_id")

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, title=b"no text") for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        with no_room():
            return await sink.write(batch)

    async def forget_generations(self, target: Target) -> None:
        for path in walk(Path(self.folder)):
            file = sqlite3.connect(path)
            if file.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (f"_tr_{target.place}",)).fetchone():
                file.execute(f'ALTER TABLE "_tr_{target.place}" DROP COLUMN _tr_gen')
                file.execute("ALTER TABLE _tr_tombstones DROP COLUMN gen")
            file.close()

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        with closing(sqlite3.connect(path_of(Path(self.folder), str(OWNER)))) as file:
            for id_, column, value in changes:
                given: Any = value
                if column.kind is Kind.BYTES and isinstance(value, str):
                    given = base64.b64decode(value)
                elif isinstance(value, list):
                    given = struct.pack(f"<{len(value)}f", *value)
                file.execute(f'UPDATE "_tr_{target.place}" SET "{column.name}" = ? WHERE id = ?', (given, id_))
            file.commit()
