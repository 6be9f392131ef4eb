"""A value that somebody changed in a store is found: every type, every sink, down to the last bit, unit and letter."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from conformance import OWNER, Harness, Stage, staged
from harnesses import HARNESSES
from sinks_values import COLUMNS, neighbours

from audit.compare import Expected, Found, judge
from changes.canonical import Value, compiled, row_hash
from changes.record import StoredRow
from changes.schema import _KINDS, Column, Kind, TableSchema
from sinks.registry import SPECS

SCHEMA = TableSchema(
    "shop",
    "notes",
    (Column("id", Kind.INTEGER, "bigint"), Column("user_id", Kind.INTEGER, "bigint"), *COLUMNS),
    ("id",),
)
Row = dict[str, Value]


SLOW = {"elasticsearch", "neo4j", "weaviate"}
"""Stores that take half a minute or longer."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in sorted(SPECS)],
)
def name(request: pytest.FixtureRequest) -> Any:
    assert request.param in HARNESSES, f"the sink `{request.param}` has no harness in harnesses.py"
    return request.param


def test_every_type_that_is_captured_is_among_the_columns() -> None:
    assert {column.base_type for column in COLUMNS} == {*_KINDS, "bit"}
    assert {column.kind for column in COLUMNS} == set(Kind)


def full(column: Column, value: Value) -> Row:
    """A row with ``value``, and with something in every other column, for which a change could be taken."""
    return {other.name: values[0] for other, values in COLUMNS.items()} | {"user_id": OWNER, column.name: value}


def judged(stage: Stage, wanted: Row, stored: StoredRow | None) -> list[Found]:
    assert stored is not None
    hash_ = row_hash(SCHEMA.columns, wanted)  # a target here receives all columns
    expected = Expected(stored.place, wanted, hash_, hash_)
    return [found for _, found in judge(stage.target, SCHEMA, expected, {stored.place: stored}, newest=100)]


async def altered(harness: Harness, stage: Stage, plan: Sequence[tuple[Column, Value, Value]]) -> None:
    """Write rows with the one value, put the other one in its place: equal before, found after, read either way."""
    rows = {id_: full(column, value) | {"id": id_} for id_, (column, value, _) in enumerate(plan, 1)}
    columns = {id_: column.name for id_, (column, _, _) in enumerate(plan, 1)}
    outcomes = await stage.outcomes(*(stage.put(10, **row) for row in rows.values()))
    assert [outcome.reason for outcome in outcomes if outcome.kind != "applied"] == []
    digest, whole = compiled(SCHEMA.columns, lenient=True), compiled(SCHEMA.columns)

    async def wrong(expected: Callable[[int], list[Found]], *, same: bool) -> list[Any]:
        walked = {stored.key.values[0]: stored for stored in await stage.all()}
        read = {id_: await stage.held(**row) for id_, row in rows.items()}
        assert walked.keys() == rows.keys()
        return [
            (plan[id_ - 1], judged(stage, row, read[id_]))
            for id_, row in rows.items()
            if judged(stage, row, read[id_]) != expected(id_)
            or judged(stage, row, walked[id_]) != expected(id_)
            or (digest(walked[id_].row) == whole(row)) is not same
        ]

    assert await wrong(lambda _: [], same=True) == []
    await harness.change(stage.target, [(id_, column, other) for id_, (column, _, other) in enumerate(plan, 1)])
    assert await wrong(lambda id_: [Found("altered", (columns[id_],), 10)], same=False) == []


async def test_the_smallest_change_of_any_value_is_found(harness: Harness, name: str) -> None:
    plan = [
        (column, value, other)
        for column, values in COLUMNS.items()
        for value in (None, *values)
        for other in neighbours(column, value)
        if not {str(value), str(other)} & {str(one) for one in harness.refused.get(column.type, [])}
    ]
    async with staged(harness, name, SCHEMA) as stage:
        await altered(harness, stage, plan)


async def test_what_is_no_value_of_its_column_is_found_and_ends_no_audit(harness: Harness, name: str) -> None:
    by_type = {column.type if column.kind is not Kind.VECTOR else "made": column for column in COLUMNS}
    plan = [(by_type[type_], COLUMNS[by_type[type_]][0], other) for type_, other in harness.spoilt]
    async with staged(harness, name, SCHEMA) as stage:
        await altered(harness, stage, plan)


async def test_what_a_store_cannot_hold_it_refuses(harness: Harness, name: str) -> None:
    async with staged(harness, name, SCHEMA) as stage:
        for column in COLUMNS:
            for value in harness.refused.get(column.type, []):
                assert await stage.write(stage.put(10, **full(column, value) | {"id": 1})) == ["rejected"]
