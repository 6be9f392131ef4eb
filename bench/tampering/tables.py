"""The stores that speak SQL."""

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from pymysql.cursors import DictCursor

from bench.tampering.store import BEYOND, Held, Row
from changes.target import Target
from sinks.sql.sqlite.files import path_of
from streams.mysql import MysqlUrl, connect


class _Table:
    """What the dialects share."""

    def name(self, column: str) -> str:
        return column

    def raised(self, held: Held) -> Held:
        return {**held, "_tr_pos": BEYOND}

    def close(self) -> None:
        """A connection lasts for a statement."""


class Postgres(_Table):
    def __init__(self, url: str) -> None:
        self._url = url

    def take(self, target: Target, row: Row) -> Held:
        where = self._where(row)
        return dict(self._run(f'SELECT * FROM tailrace."{target.place}" WHERE {where}', *row.key.values())[0])

    def put(self, target: Target, row: Row, held: Held) -> None:
        self.drop(target, row)
        fields = {**held, **row.key}
        names = ", ".join(f'"{name}"' for name in fields)
        marks = ", ".join(f"${place}" for place, _ in enumerate(fields, 1))
        self._run(f'INSERT INTO tailrace."{target.place}" ({names}) VALUES ({marks})', *fields.values())

    def drop(self, target: Target, row: Row) -> None:
        self._run(f'DELETE FROM tailrace."{target.place}" WHERE {self._where(row)}', *row.key.values())

    @staticmethod
    def _where(row: Row) -> str:
        return " AND ".join(f'"{name}" = ${place}' for place, name in enumerate(row.key, 1))

    def _run(self, statement: str, *arguments: object) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(self._url)
            try:
                return list(await connection.fetch(statement, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())


class Mysql(_Table):
    def __init__(self, url: str) -> None:
        self._url = MysqlUrl.parse(url)

    def take(self, target: Target, row: Row) -> Held:
        with self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM `_tr_{target.place}` WHERE {_where(row.key, '%s')}", [*row.key.values()])
            (found,) = cursor.fetchall()
            return dict(found)

    def put(self, target: Target, row: Row, held: Held) -> None:
        fields = {**held, **row.key}
        names, marks = ", ".join(f"`{name}`" for name in fields), ", ".join(["%s"] * len(fields))
        with self._cursor() as cursor:
            cursor.execute(f"REPLACE INTO `_tr_{target.place}` ({names}) VALUES ({marks})", [*fields.values()])

    def drop(self, target: Target, row: Row) -> None:
        with self._cursor() as cursor:
            cursor.execute(f"DELETE FROM `_tr_{target.place}` WHERE {_where(row.key, '%s')}", [*row.key.values()])

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with closing(connect(self._url)) as connection, connection.cursor(DictCursor) as cursor:
            yield cursor
            connection.commit()


class Sqlite(_Table):
    """A file for each user."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def take(self, target: Target, row: Row) -> Held:
        with self._file(row) as file:
            file.row_factory = sqlite3.Row
            statement = f'SELECT * FROM "_tr_{target.place}" WHERE {_where(row.key, "?")}'
            (found,) = file.execute(statement, [*row.key.values()]).fetchall()
            return dict(found)

    def put(self, target: Target, row: Row, held: Held) -> None:
        fields = {**held, **row.key}
        names, marks = ", ".join(f'"{name}"' for name in fields), ", ".join("?" * len(fields))
        with self._file(row) as file:
            file.execute(f'REPLACE INTO "_tr_{target.place}" ({names}) VALUES ({marks})', [*fields.values()])

    def drop(self, target: Target, row: Row) -> None:
        with self._file(row) as file:
            file.execute(f'DELETE FROM "_tr_{target.place}" WHERE {_where(row.key, "?")}', [*row.key.values()])

    @contextmanager
    def _file(self, row: Row) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(path_of(self._folder, row.owner), timeout=30)) as connection, connection:
            yield connection


def _where(key: Mapping[str, Any], mark: str) -> str:
    return " AND ".join(f"{name} = {mark}" for name in key)
