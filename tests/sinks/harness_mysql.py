"""How the conformance suite treats MySQL."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pymysql
from conformance import Change, Others, Servers, target_of, with_row

from changes.canonical import Value
from changes.mysqlurl import MysqlUrl
from changes.record import Outcome, Record
from changes.schema import Column
from changes.target import Target
from sinks.contract import Sink
from sinks.sql.mysql.pool import Connection
from sinks.sql.mysql.sink import MysqlSink
from sinks.sql.mysql.types import bytes_literal, literal


class MysqlHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        ("json", "{"),
        ("bit(1)", 2),
        ("made", struct.pack("<2f", 0.1, -2.5)),
        ("made", struct.pack("<3f", 0.1, -2.5, 0.0) + b"\0"),
    ]

    def __init__(self, stack: Servers, beside: Others, name: str) -> None:
        self.name, self.url = name, beside.url(name)

    def build(self) -> Sink:
        return MysqlSink(self.url)

    def target(self, place: str) -> Target:
        return target_of(self.name, place, user="user_id")

    def connect(self, **options: Any) -> Connection:
        url = MysqlUrl.parse(self.url)
        return pymysql.connect(
            host=url.host,
            port=url.port,
            user=url.user,
            password=url.password,
            database=url.database,
            autocommit=True,
            sql_mode="NO_BACKSLASH_ESCAPES",
            **options,
        )

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, amount="99999999999.00") for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        with (
            closing(self.connect()) as watcher,
            closing(self.connect()) as blocker,
            watcher.cursor() as watching,
            blocker.cursor() as blocking,
        ):
            blocking.execute(f"LOCK TABLES `_tr_{batch[0].target.place}` WRITE")
            writing = asyncio.ensure_future(sink.write(batch))
            while not (waiting := await asyncio.to_thread(_waiting, watching)):
                pass
            watching.execute(f"KILL {waiting[0]}")
            return await writing

    async def forget_generations(self, target: Target) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE `_tr_{target.place}` DROP COLUMN _tr_gen")
            cursor.execute("ALTER TABLE _tr_tombstones DROP COLUMN gen")

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            connection.begin()
            for id_, column, value in changes:
                given = _given(column, value)
                text = (
                    f"UPDATE `_tr_{target.place}` SET `{column.name}` = ".encode()
                    + given
                    + f" WHERE id = {id_}".encode()
                )
                assert cursor.execute(text) == 1  # type: ignore[call-overload]
            connection.commit()


def _waiting(cursor: Any) -> list[int]:
    cursor.execute("SHOW PROCESSLIST")
    return [number for number, *_, state, _ in cursor.fetchall() if state == "Waiting for table metadata lock"]


def _given(column: Column, value: Value) -> bytes:
    if isinstance(value, bytes):
        return bytes_literal(value)
    if column.type == "bit(1)" and not isinstance(value, bool) and value is not None:
        return json.dumps(value).encode()
    return literal(column)(value)
