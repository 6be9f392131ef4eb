"""Searching by vector in PostgreSQL: only what the user may see, through the index, and no worse for it."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from changes.canonical import Value, row_hash
from changes.errors import Misconfigured, Transient
from changes.key import key_of
from changes.record import Record
from changes.schema import Column, Kind, TableSchema, kind_of
from changes.target import Target
from sinks.sql.postgres.ddl import index_name
from sinks.sql.postgres.sink import PostgresSink
from tailrace.commands.search import Searched, embedded, nearest, query, reading
from tailrace.declared import read_topology

TOPOLOGY = read_topology(Path(__file__).parents[2] / "topics.yaml")
SIZE, PEOPLE, MANY = 8, (1, 2, 3), 1500
FEW = 4
"""The user who has but two rows."""


def declared(table: str) -> Searched:
    """As the example declares it, in tables of this module's own."""
    where = embedded(TOPOLOGY, "future", table)
    rename = {name: f"search_{table}_{name}" for name in ("rows", "vectors")}
    targets = {name: _moved(getattr(where, name), place) for name, place in rename.items()}
    return replace(where, **targets)


def _moved(target: Target, place: str) -> Target:
    fields = {name: getattr(target, name) for name in target.__struct_fields__}
    return Target(**{**fields, "place": place})


def schema(table: str, *columns: tuple[str, str]) -> TableSchema:
    made = (
        Column(name, Kind.VECTOR if type_.startswith("vector") else kind_of(type_), type_) for name, type_ in columns
    )
    return TableSchema("shop", table, tuple(made), ("id",))


RESUMES, JOBS, COMPANIES = declared("resumes"), declared("jobs"), declared("companies")
SCHEMAS = {
    RESUMES.rows: schema("resumes", ("id", "bigint"), ("user_id", "bigint"), ("title", "text")),
    RESUMES.vectors: schema("e", ("id", "bigint"), ("user_id", "bigint"), ("content", f"vector({SIZE})")),
    JOBS.rows: schema("jobs", ("id", "bigint"), ("title", "text")),
    JOBS.vectors: schema("e", ("id", "bigint"), ("overall", f"vector({SIZE})")),
    COMPANIES.rows: schema("companies", ("id", "bigint"), ("name", "text"), ("contact_email", "text")),
    COMPANIES.vectors: schema("e", ("id", "bigint"), ("overall", f"vector({SIZE})")),
}

random = Random(3)


def vector() -> list[float]:
    return list(struct.unpack(f"<{SIZE}f", struct.pack(f"<{SIZE}f", *(random.gauss(0, 1) for _ in range(SIZE)))))


OWNERS = {id_: PEOPLE[id_ % 3] for id_ in range(MANY)} | dict.fromkeys((MANY, MANY + 1), FEW)
VECTORS = {id_: vector() for id_ in OWNERS}


def records(target: Target, rows: Sequence[Mapping[str, Value]]) -> list[Record]:
    shape = SCHEMAS[target]
    return [Record(target, key_of(shape, row), 10, row, row_hash(shape.columns, row), shape) for row in rows]


@pytest.fixture(scope="module")
async def url(stack: Any) -> str:
    there = stack.endpoints["future"]["postgres"]
    sink = PostgresSink(there)
    await sink.open(list(SCHEMAS.items()))
    resumes = [{"id": id_, "user_id": owner} for id_, owner in OWNERS.items()]
    few = range(3)
    for batch in (
        records(RESUMES.rows, [{**row, "title": f"resume {row['id']}"} for row in resumes]),
        records(RESUMES.vectors, [{**row, "content": VECTORS[row["id"]]} for row in resumes]),
        records(JOBS.rows, [{"id": id_, "title": f"job {id_}"} for id_ in few]),
        records(JOBS.vectors, [{"id": id_, "overall": VECTORS[id_]} for id_ in few]),
        records(COMPANIES.rows, [{"id": id_, "name": "Firm", "contact_email": "a@example.com"} for id_ in few]),
        records(COMPANIES.vectors, [{"id": id_, "overall": VECTORS[id_]} for id_ in few]),
    ):
        assert {outcome.kind for outcome in await sink.write(batch)} == {"applied"}
    await sink.close()
    connection = await asyncpg.connect(there)
    for target in SCHEMAS:
        await connection.execute(f"ANALYZE tailrace.{target.place}")
    await connection.close()
    return there


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    def length(numbers: Sequence[float]) -> float:
        return sum(number * number for number in numbers) ** 0.5

    return sum(a * b for a, b in zip(one, other, strict=True)) / length(one) / length(other)


def best(wanted: Sequence[float], owner: int, limit: int) -> list[int]:
    """What an exact look at everything finds."""
    mine = [id_ for id_, whose in OWNERS.items() if whose == owner]
    return sorted(mine, key=lambda id_: -similarity(wanted, VECTORS[id_]))[:limit]


async def test_nobody_finds_what_is_anothers(url: str) -> None:
    for user in (*PEOPLE, FEW):
        found = await nearest(url, RESUMES, vector(), user=user, limit=100)
        assert {one["row"]["user_id"] for one in found} == {user}
        assert len(found) == (2 if user == FEW else 100)
    assert await nearest(url, RESUMES, vector(), user=99, limit=100) == []


async def test_without_a_user_only_what_is_shared_is_found(url: str) -> None:
    assert await nearest(url, RESUMES, vector(), limit=100) == []
    for where in (JOBS, COMPANIES):
        for user in (None, 1):
            found = await nearest(url, where, VECTORS[0], user=user)
            assert sorted(one["row"]["id"] for one in found) == [0, 1, 2]
            assert (found[0]["row"]["id"], found[0]["similarity"]) == (0, 1.0)


async def test_it_is_the_stores_row_security_that_keeps_people_apart(url: str, stack: Any) -> None:
    """Without it everybody would see everything: nothing else in the query hides a row."""
    places = (RESUMES.vectors.place, RESUMES.rows.place)
    admin = await asyncpg.connect(stack.admin["future"]["postgres"])
    try:
        seen = []
        for place in places:
            await admin.execute(f"ALTER TABLE tailrace.{place} DISABLE ROW LEVEL SECURITY")
            found = await nearest(url, RESUMES, vector(), user=1, limit=50)
            seen.append({one["row"]["user_id"] for one in found})
        assert seen == [{1}, {*PEOPLE}], "rows and vectors are secured each by itself"
    finally:
        for place in places:
            await admin.execute(f"ALTER TABLE tailrace.{place} ENABLE ROW LEVEL SECURITY")
        await admin.close()


async def test_the_role_that_searches_owns_nothing_and_cannot_write(url: str) -> None:
    async with reading(url, 1, 5) as connection:
        role = await connection.fetchval("SELECT current_user")
        assert role == urlsplit(url).path.removeprefix("/") + "_app"
        assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relowner = $1::regrole", role) == 0
        bypass = "SELECT rolbypassrls OR rolsuper OR rolcanlogin FROM pg_roles WHERE rolname = $1"
        assert await connection.fetchval(bypass, role) is False
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(f"DELETE FROM public.{RESUMES.rows.place}")


async def asked(url: str, user: int | None, where: Searched, wanted: Sequence[float], limit: int, how: str = "") -> Any:
    """What `nearest` asks, where the planner has only the index by distance; ``how`` may be ``EXPLAIN``."""
    async with reading(url, user, limit) as connection:
        for other in ("seqscan", "sort", "bitmapscan"):
            await connection.execute(f"SET LOCAL enable_{other} = off")
        text = query(where, where.names[-1], "public")
        return await connection.fetch(f"{how} {text}", "[" + ",".join(map(repr, wanted)) + "]", limit, [])


async def test_the_index_by_distance_serves_searches_of_a_user_too(url: str) -> None:
    for user, where, name in ((1, RESUMES, "content"), (None, JOBS, "overall")):
        plan = "\n".join(line for (line,) in await asked(url, user, where, VECTORS[0], 5, "EXPLAIN"))
        assert f"Index Scan using {index_name(where.vectors.place, name)}" in plan
        assert ("user_id = " in plan) is (user is not None)


async def test_somebody_with_few_rows_among_many_is_served_by_an_index_of_owners(url: str) -> None:
    connection = await asyncpg.connect(url)
    place = RESUMES.vectors.place
    indexes = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", place)
    await connection.close()
    owners = index_name(place, "user_id", "user")
    assert f"CREATE INDEX {owners} ON tailrace.{place} USING btree (user_id)" in {text for (text,) in indexes}


async def test_filtering_by_user_costs_no_recall(url: str) -> None:
    """Through the index by distance alone, which knows of no users: it goes on until enough are found."""
    hits, limit = 0, 50
    for _ in range(20):
        wanted = vector()
        ids = [json.loads(one["row"])["id"] for one in await asked(url, 2, RESUMES, wanted, limit)]
        assert len(ids) == limit
        assert sorted(ids, key=lambda id_: -similarity(wanted, VECTORS[id_])) == ids
        hits += len(set(ids) & set(best(wanted, 2, limit)))
    assert hits / (20 * limit) >= 0.95


async def test_what_is_searched_as_it_comes_is_the_exact_answer(url: str) -> None:
    wanted = vector()
    found = await nearest(url, RESUMES, wanted, user=FEW, limit=5)
    assert [one["row"]["id"] for one in found] == best(wanted, FEW, 5)
    assert found[0]["similarity"] == pytest.approx(similarity(wanted, VECTORS[found[0]["row"]["id"]]), abs=1e-6)


async def test_personal_columns_are_shown_only_where_asked_for(url: str) -> None:
    (plain, *_) = await nearest(url, COMPANIES, VECTORS[0])
    assert plain["row"] == {"id": 0, "name": "Firm"}
    (whole, *_) = await nearest(url, COMPANIES, VECTORS[0], personal=True)
    assert whole["row"] == {"id": 0, "name": "Firm", "contact_email": "a@example.com"}


async def test_a_missing_role_is_named_with_what_mends_it(url: str, stack: Any) -> None:
    admin = await asyncpg.connect(stack.admin["future"]["postgres"])
    role = urlsplit(url).path.removeprefix("/") + "_app"
    owner = urlsplit(url).username
    await admin.execute(f"REVOKE {role} FROM {owner}")
    try:
        with pytest.raises(Misconfigured, match=f'GRANT "{role}" TO "{owner}"'):
            await nearest(url, JOBS, VECTORS[0])
    finally:
        await admin.execute(f"GRANT {role} TO {owner}")
        await admin.close()
    with pytest.raises(Transient):
        await nearest(url.replace(str(urlsplit(url).port), "1"), JOBS, VECTORS[0])
    with pytest.raises(Misconfigured, match="jobs"):
        embedded(TOPOLOGY, "future", "users")
