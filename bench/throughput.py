"""Throughput of each sink beside its client's plain bulk upsert of the same rows, in one run.

    python -m bench.throughput [--sinks postgres,dao] [--rows 50000] [--batch 5000] [--rounds 3]

Starts each store by itself, one after the other. In every round the rows go to a new place through the sink, with its
guard, and to another through `bench.raw`, without; which is first changes from round to round. Both are timed from
connecting to closing. Prints JSON: rows a second, the medians of the rounds, and the sink's divided by the client's.
Where `bench.raw` knows a faster way than the client's own bulk call, ``ratio`` is to that, and ``to_client`` to the
client's. A sink that has no module in `bench.raw` is measured alone, and that is said.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from changes.canonical import Value, compiled
from changes.key import key_of
from changes.record import APPLIED, Record
from changes.schema import Column, Kind, TableSchema, kind_of
from changes.target import Target
from changes.tier import DEFAULT_TIERS
from sinks.contract import SinkSpec
from sinks.registry import SPECS
from tailrace.stack.beside import Beside

RawUpsert = Callable[[str, str, Sequence[Sequence[Record]]], Awaitable[None]]

RAW = {"ai_identity": "postgres", "dao": "mysql", "credit": "mysql"}
"""The module of a sink that is another's dialect."""
PLACES = {"redis": "bench{}:{{id}}", "neo4j": "Bench{}", "weaviate": "Bench{}"}
"""How a new place is called, where it is not ``bench`` and what tells it from others."""
USERS = 100
RUN = secrets.token_hex(3)

ROWS = {
    "id": "bigint",
    "user_id": "bigint",
    "title": "varchar(200)",
    "company": "varchar(200)",
    "salary": "decimal(10,2)",
    "rating": "double",
    "active": "tinyint(1)",
    "created_at": "datetime(6)",
    "body": "text",
    "details": "json",
}
VECTORS = {"id": "bigint", "user_id": "bigint", "title": "vector(384)", "overall": "vector(384)"}
"""What goes to Weaviate instead: two named vectors a row."""


def schema_of(types: dict[str, str]) -> TableSchema:
    made = (Column(name, _kind(type_), type_) for name, type_ in types.items())
    return TableSchema("bench", "notes", tuple(made), ("id",))


def _kind(type_: str) -> Kind:
    return Kind.VECTOR if type_.startswith("vector(") else kind_of(type_)


def row_of(schema: TableSchema, id_: int, random: Random) -> dict[str, Value]:
    """Some 500 bytes, or the two vectors."""
    row: dict[str, Value] = {
        "id": id_,
        "user_id": id_ % USERS,
        "title": f"Engineer for stream processing {id_}",
        "company": f"Company {id_ % 977}",
        "salary": f"{random.randrange(10**7) / 100:.2f}",
        "rating": random.random(),
        "active": id_ % 2,
        "created_at": f"2026-03-{1 + id_ % 28:02d}T07:08:09.{id_ % 10**6:06d}",
        "body": "A long description 数据, it's of no matter. " * 5,
        "details": json.dumps({"skills": ["python", "kafka"], "level": id_ % 7, "remote": True, "notes": {"a": None}}),
    }
    if schema.columns[-1].kind is Kind.VECTOR:
        row |= {name: [random.gauss(0, 0.05) for _ in range(384)] for name in ("title", "overall")}
    return {column.name: row[column.name] for column in schema.columns}


def target_of(sink: str, number: int) -> Target:
    place = PLACES.get(sink, "bench{}").format(f"{RUN}x{number}")
    user = "user_id" if sink == "sqlite" else None
    return Target("future", "bench", "notes", ("id",), sink, DEFAULT_TIERS["batch"], place, user=user)


def batches_of(spec: SinkSpec, target: Target, schema: TableSchema, rows: int, size: int) -> list[list[Record]]:
    random, hashed = Random(7), compiled(schema.columns)
    records = [
        Record(target, key_of(schema, row), 1 + id_, row, hashed(row), schema, spec.place_of(target, row))
        for id_ in range(rows)
        for row in (row_of(schema, id_, random),)
    ]
    return [records[start : start + size] for start in range(0, rows, size)]


async def guarded(spec: SinkSpec, url: str, batches: list[list[Record]]) -> None:
    sink = spec.build(url)
    await sink.open([(batches[0][0].target, batches[0][0].schema)])
    for batch in batches:
        if any(outcome != APPLIED for outcome in await sink.write(batch)):
            raise SystemExit(f"`{spec.name}` did not take every row")
    await sink.close()


async def timed(work: Awaitable[None], rows: int) -> float:
    began = time.perf_counter()
    await work
    return rows / (time.perf_counter() - began)


def raw_of(sink: str) -> dict[str, RawUpsert]:
    name = f"bench.raw.{RAW.get(sink, sink)}"
    if importlib.util.find_spec(name) is None:
        return {}
    module = importlib.import_module(name)
    return {way: getattr(module, f"{way}_upsert") for way in ("raw", "client") if hasattr(module, f"{way}_upsert")}


async def measured(sink: str, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    spec, others = SPECS[sink], raw_of(sink)
    schema = schema_of(VECTORS if sink == "weaviate" else ROWS)
    ways = ["guarded", *others]
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(arguments.rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            target = target_of(sink, len(ways) * number + ways.index(way))
            spec.check(target)
            batches = batches_of(spec, target, schema, arguments.rows, arguments.batch)
            work = guarded(spec, url, batches) if way == "guarded" else others[way](url, target.place, batches)
            rates[way].append(await timed(work, arguments.rows))
        print(sink, {way: round(found[-1]) for way, found in rates.items()}, file=sys.stderr)
    if not others:
        print(f"`{sink}` has no module in bench/raw: nothing to compare with", file=sys.stderr)
    medians = {way: statistics.median(found) for way, found in rates.items()}
    ratios = {"raw": "ratio", "client": "to_client"}
    return {
        **{way: round(rate) for way, rate in medians.items()},
        **{ratios[way]: round(medians["guarded"] / medians[way], 2) for way in others},
        "rounds": {way: [round(rate) for rate in found] for way, found in rates.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sinks", default=",".join(sorted(SPECS)), help="which, separated by commas; else all")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = {}
    for sink in arguments.sinks.split(","):
        with tempfile.TemporaryDirectory(prefix="tailrace-sinks-") as folder, ExitStack() as leaving:
            kind = SPECS[sink].endpoint
            url = f"{folder}/files" if kind == "sqlite" else Beside(Path(folder), leaving, os.environ).url(kind)
            found[sink] = asyncio.run(measured(sink, url, arguments))
    print(json.dumps({"rows": arguments.rows, "batch": arguments.batch, "sinks": found}))


if __name__ == "__main__":
    main()
