"""Create the example's schema and fill it."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from tailrace.example import generate
from tailrace.example.database import Connection, connect, run_script
from tailrace.example.statement import insert_text

_ROWS_A_TRANSACTION = 1000


@dataclass(frozen=True)
class Loaded:
    """What a load did. `skipped` names the table that already held rows, or is None."""

    rows: int
    seconds: float
    skipped: str | None = None


def load(
    url: str,
    rows: int,
    seed: int,
    report: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Loaded:
    """Create the schema and load `rows` rows in transactions of 1000, memory flat.

    `report(done, total)` is called after each commit. Nothing is written when any table already
    holds a row: that is someone's data, or an earlier load. A load that was broken off is therefore
    not continued; start it again on an empty database.
    Raises `ValueError` (`plan`, `connect`) and `pymysql.err.MySQLError`.
    """
    counts = generate.plan(rows)
    started = clock()
    connection = connect(url)
    try:
        run_script(connection, "schema.sql")
        occupied = _first_occupied(connection)
        if occupied is not None:
            return Loaded(rows=0, seconds=clock() - started, skipped=occupied)
        done = 0
        for table in generate.TABLES.values():
            insert = insert_text(table.name, table.columns)
            source = generate.rows(table.name, counts, seed)
            with connection.cursor() as cursor:
                while batch := list(itertools.islice(source, _ROWS_A_TRANSACTION)):
                    cursor.executemany(insert, batch)
                    connection.commit()
                    done += len(batch)
                    report(done, rows)
        return Loaded(rows=done, seconds=clock() - started)
    finally:
        connection.close()


def _first_occupied(connection: Connection) -> str | None:
    with connection.cursor() as cursor:
        for table in generate.TABLES:
            cursor.execute(f"SELECT 1 FROM `{table}` LIMIT 1")  # noqa: S608 - names from this package
            if cursor.fetchone() is not None:
                return table
    return None
