"""What a folder of SQLite files costs: ``python -m bench.sqlite_files [--files N] [--rows N] [--rounds N]``.

Prints JSON: rows/s written in batches that touch all files in turn, then read, and summed, by walking them all; the
best of the rounds. One process, one table, files in a folder of its own.
"""

import argparse
import asyncio
import json
import tempfile
import time

from changes.canonical import Value, compiled
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, TableSchema, kind_of
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from sinks.sql.sqlite.sink import SqliteSink

TYPES = {"id": "bigint", "user_id": "bigint", "title": "varchar(200)", "body": "text", "price": "decimal(12,2)"}
SCHEMA = TableSchema(
    "shop", "notes", tuple(Column(name, kind_of(type_), type_) for name, type_ in TYPES.items()), ("id",)
)
TARGET = Target("future", "shop", "notes", ("id",), "sqlite", DEFAULT_TIERS["local"], "notes", user="user_id")
BATCH = 2000


def record(number: int, user: int) -> Record:
    row: dict[str, Value] = {
        "id": number, "user_id": user, "title": f"note {number}", "body": "lorem ipsum " * 20, "price": "12.50",
    }  # fmt: skip
    hash_ = compiled(SCHEMA.columns)(row)
    return Record(TARGET, key_of(SCHEMA, row), number, row, hash_, SCHEMA, place=str(user))


async def measured(files: int, rows: int, rounds: int) -> dict[str, float]:
    best = {"written": 0.0, "read": 0.0, "summed": 0.0}
    total = files * rows
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="tailrace-files-") as folder:
            sink = SqliteSink(folder)
            await sink.open([(TARGET, SCHEMA)])
            records = [record(1 + number, number % files) for number in range(total)]
            began = time.perf_counter()
            for start in range(0, total, BATCH):
                await sink.write(records[start : start + BATCH])
            best["written"] = max(best["written"], total / (time.perf_counter() - began))
            await sink.close()
            sink = SqliteSink(folder)
            began = time.perf_counter()
            found = [row async for row in sink.rows(TARGET, SCHEMA)]
            best["read"] = max(best["read"], total / (time.perf_counter() - began))
            began = time.perf_counter()
            sums = await sink.sums(TARGET, SCHEMA, total)
            best["summed"] = max(best["summed"], total / (time.perf_counter() - began))
            await sink.close()
            if len(found) != total or sum(one.count for one in sums.sums.values()) != total:
                raise SystemExit("not every row was found")
    return {name: round(rate) for name, rate in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rows", type=int, default=5, help="rows of each file")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates = asyncio.run(measured(arguments.files, arguments.rows, arguments.rounds))
    print(json.dumps({"files": arguments.files, "rows_a_file": arguments.rows, "rows_a_second": rates}))


if __name__ == "__main__":
    main()
