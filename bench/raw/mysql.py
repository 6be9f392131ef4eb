"""MySQL: `executemany` of pymysql, which joins rows into statements by itself."""

import asyncio
from collections.abc import Sequence

from changes.mysqlurl import MysqlUrl
from changes.record import Record
from sinks.sql.mysql.types import type_of
from streams.mysql import connect


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    await asyncio.to_thread(_write, url, place, batches)


def _write(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    columns = batches[0][0].schema.columns
    names = [column.name for column in columns]
    with connect(MysqlUrl.parse(url)) as connection, connection.cursor() as cursor:
        fields = ", ".join(f"{column.name} {type_of(column)}" for column in columns)
        cursor.execute(f"CREATE TABLE {place} ({fields}, PRIMARY KEY (id))")
        upsert = (
            f"INSERT INTO {place} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
            f" ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in names[1:])}"
        )
        for batch in batches:
            connection.begin()
            cursor.executemany(upsert, [tuple((record.row or {}).values()) for record in batch])
            connection.commit()
