"""Stores spoilt behind the line's back, at random: what an audit must find, and what it must call it.

Only rows are spoilt that the traffic does not write, so that nothing but a repair mends them.
"""

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import redis

from sinks.sql.sqlite.files import path_of
from streams.mysql import MysqlUrl, connect

FIRST = 5_000_001
"""The least id of the rows that are spoilt; the generator and the traffic number theirs from 1."""
BEYOND = 1 << 62

Where = tuple[str, str, int]
"""(sink, table as reports call it, id)."""

ROWS = {"jobs": "title", "companies": "name", "resumes": "title"}
"""The tables whose rows are spoilt, each with a column that tells them apart."""
PLACES = {
    "jobs": "jobs", "companies": "companies", "resumes": "resumes", "jobs.embedding": "job_embeddings",
    "companies.embedding": "company_embeddings", "resumes.embedding": "resume_vectors",
    "jobs.analysis": "job_ai_analysis", "companies.analysis": "company_ai_profiles",
    "resumes.analysis": "resume_ai_analysis",
}  # fmt: skip
VECTORS = {"jobs.embedding": "title", "companies.embedding": "description", "resumes.embedding": "content"}


def uproot(url: MysqlUrl) -> None:
    """Take the spoilt rows out of MySQL: other traffic would look for its own among their ids."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        for table in ROWS:
            cursor.execute(f"DELETE FROM `{table}` WHERE id >= {FIRST}")
        connection.commit()


class Spoiler:
    """``number`` rows of each table are its own; each is spoilt once at most."""

    def __init__(self, endpoints: Mapping[str, str], rng: random.Random, number: int) -> None:
        self._endpoints, self._rng = endpoints, rng
        self._free = {table: list(range(FIRST, FIRST + number)) for table in ROWS}
        self._old: dict[tuple[str, int], list[Any]] = {}
        for ids in self._free.values():
            rng.shuffle(ids)

    def plant(self) -> None:
        """Put the rows into MySQL: copies of one row of each table under ids of their own."""
        with closing(connect(MysqlUrl.parse(self._endpoints["mysql"]))) as connection, connection.cursor() as cursor:
            for table, told in ROWS.items():
                cursor.execute(f"SHOW COLUMNS FROM `{table}`")
                names = [name for name, *_ in cursor.fetchall()]
                changed = {"id": "%s", told: f"CONCAT(`{told}`, ' ', %s)"}
                values = ", ".join(changed.get(name, f"`{name}`") for name in names)
                columns = ", ".join(f"`{name}`" for name in names)
                insert = f"INSERT INTO `{table}` ({columns}) SELECT {values} FROM `{table}` ORDER BY id LIMIT 1"
                for number in self._free[table]:
                    cursor.execute(insert, (number, number))
            connection.commit()

    def age(self, number: int) -> None:
        """Remember how PostgreSQL holds some rows now, and change them in MySQL: old rows to be put back."""
        for _ in range(number):
            table = self._rng.choice(list(ROWS))
            row = self._free[table].pop()
            self._old[table, row] = self._postgres(f"SELECT * FROM tailrace.{table} WHERE id = $1", row)
            with closing(connect(MysqlUrl.parse(self._endpoints["mysql"]))) as connection:
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"UPDATE `{table}` SET updated_at = updated_at + INTERVAL 1 SECOND WHERE id = %s", (row,)
                    )
                connection.commit()

    def spoil(self, number: int) -> dict[Where, str]:
        """Spoil ``number`` rows, every kind as often; the class of each."""
        kinds: list[Callable[[], tuple[Where, str]]] = [
            self._altered, self._altered_in_redis, self._deleted, self._deleted_from_redis, self._extra,
            self._put_back, self._swapped, self._raised, self._edited_file, self._analysis,
        ]  # fmt: skip
        return dict(kinds[one % len(kinds)]() for one in range(number))

    def _pick(self, *tables: str) -> tuple[str, int]:
        table = self._rng.choice(tables or list(ROWS))
        return table, self._free[table].pop()

    def _altered(self) -> tuple[Where, str]:
        table, row = self._pick()
        self._postgres(f"UPDATE tailrace.{table} SET {ROWS[table]} = {ROWS[table]} || '.' WHERE id = $1", row)
        return ("postgres", table, row), "altered"

    def _altered_in_redis(self) -> tuple[Where, str]:
        table, row = self._pick("jobs", "companies")
        name = f"{table.removesuffix('s') if table == 'jobs' else 'company'}:{row}"
        with closing(redis.Redis.from_url(self._endpoints["redis"])) as client:
            held = json.loads(client.get(name))  # type: ignore[arg-type]
            client.set(name, json.dumps(held | {"location": "elsewhere"}))
        return ("redis", table, row), "altered"

    def _deleted(self) -> tuple[Where, str]:
        source, row = self._pick()
        table = self._rng.choice([source, f"{source}.embedding"])
        self._postgres(f"DELETE FROM tailrace.{PLACES[table]} WHERE id = $1", row)
        return ("postgres", table, row), "missing"

    def _deleted_from_redis(self) -> tuple[Where, str]:
        table, row = self._pick("jobs", "companies")
        name = f"{'job' if table == 'jobs' else 'company'}:{row}"
        with closing(redis.Redis.from_url(self._endpoints["redis"])) as client:
            client.delete(name)
        return ("redis", table, row), "missing"

    def _extra(self) -> tuple[Where, str]:
        table, row = self._pick()
        other = row + 1_000_000
        (held,) = self._postgres(f"SELECT * FROM tailrace.{table} WHERE id = $1", row)
        self._insert(table, {**held, "id": other})
        return ("postgres", table, other), "extra"

    def _put_back(self) -> tuple[Where, str]:
        (table, row), held = self._old.popitem()
        self._postgres(f"DELETE FROM tailrace.{table} WHERE id = $1", row)
        self._insert(table, dict(held[0]))
        return ("postgres", table, row), "stale"

    def _swapped(self) -> tuple[Where, str]:
        source, row = self._pick()
        table = f"{source}.embedding"
        column, place = VECTORS[table], PLACES[table]
        self._postgres(
            f"UPDATE tailrace.{place} SET {column} = (SELECT {column} FROM tailrace.{place}"
            f" WHERE id < {FIRST} AND {column} IS NOT NULL ORDER BY id LIMIT 1 OFFSET 3) WHERE id = $1",
            row,
        )
        return ("postgres", table, row), "altered"

    def _raised(self) -> tuple[Where, str]:
        source, row = self._pick()
        table = self._rng.choice([source, f"{source}.embedding"])
        self._postgres(f"UPDATE tailrace.{PLACES[table]} SET _tr_pos = {BEYOND} WHERE id = $1", row)
        return ("postgres", table, row), "impossible position"

    def _edited_file(self) -> tuple[Where, str]:
        table, row = self._pick("resumes")
        (held,) = self._postgres("SELECT user_id FROM tailrace.resumes WHERE id = $1", row)
        path = path_of(Path(self._endpoints["sqlite"]), str(held["user_id"]))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE _tr_resumes SET view_count = view_count + 1 WHERE id = ?", (row,))
            connection.commit()
        return ("sqlite", table, row), "altered"

    def _analysis(self) -> tuple[Where, str]:
        source, row = self._pick()
        table = f"{source}.analysis"
        self._postgres(f"UPDATE tailrace.{PLACES[table]} SET provider = 'somebody' WHERE id = $1", row)
        return ("postgres", table, row), "altered"

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        names, marks = ", ".join(row), ", ".join(f"${place}" for place, _ in enumerate(row, 1))
        self._postgres(f"INSERT INTO tailrace.{table} ({names}) VALUES ({marks})", *row.values())

    def _postgres(self, statement: str, *arguments: object) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(self._endpoints["postgres"])
            try:
                return list(await connection.fetch(statement, *arguments))
            finally:
                await connection.close()

        return asyncio.run(run())
