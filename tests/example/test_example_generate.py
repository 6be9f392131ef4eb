"""Rows are reproducible, fit their columns, and refer to rows that exist."""

import datetime
import decimal
import json
import re

import pytest
from example_schema import declared
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.example.generate import LEAST, MOST, TABLES, plan, rows
from tailrace.example.table import Counts, Value

REFERENCES = {
    "user_id": "users",
    "company_id": "companies",
    "resume_id": "resumes",
    "conversation_id": "ai_conversations",
    "proposal_id": "dao_proposals",
}
INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
TEXT_BYTES = {"TEXT": 65_535, "MEDIUMTEXT": 16_777_215}
SCHEMA = declared()

few_rows = st.integers(LEAST, 4000)
seeds = st.integers(0, 2**32)


def as_dicts(table: str, counts: Counts, seed: int) -> list[dict[str, Value]]:
    return [dict(zip(TABLES[table].columns, row, strict=True)) for row in rows(table, counts, seed)]


@given(st.integers(LEAST, MOST))
def test_plan_adds_up(total: int) -> None:
    counts = plan(total)
    assert sum(counts.values()) == total
    assert set(counts) == set(TABLES)
    assert all(count >= 0 for count in counts.values())
    assert all(counts[parent] for parent in REFERENCES.values())


@given(st.integers(1_000, MOST - 1))
def test_plan_keeps_bounds(total: int) -> None:
    for name, count in plan(total).items():
        bound = TABLES[name].at_most
        assert bound is None or count <= bound


@pytest.mark.parametrize("total", [-1, 0, LEAST - 1, MOST + 1])
def test_plan_refuses_what_it_cannot_do(total: int) -> None:
    with pytest.raises(ValueError, match="10 to 10000000"):
        plan(total)


@settings(max_examples=20, deadline=None)
@given(few_rows, seeds, st.sampled_from(tuple(TABLES)))
def test_same_seed_same_rows(total: int, seed: int, table: str) -> None:
    counts = plan(total)
    assert list(rows(table, counts, seed)) == list(rows(table, counts, seed))


def test_another_seed_other_rows() -> None:
    counts = plan(1000)
    assert list(rows("jobs", counts, 1)) != list(rows("jobs", counts, 2))


@settings(max_examples=20, deadline=None)
@given(few_rows, seeds)
def test_keys_are_unique_and_references_lead_somewhere(total: int, seed: int) -> None:
    counts = plan(total)
    for name, table in TABLES.items():
        made = as_dicts(name, counts, seed)
        assert len(made) == counts[name]
        assert len({tuple(row[column] for column in table.key) for row in made}) == len(made)
        if table.key == ("id",):
            assert [row["id"] for row in made] == list(range(1, len(made) + 1))
        for column in set(table.columns) & set(REFERENCES):
            if name != "users":
                parents = range(1, counts[REFERENCES[column]] + 1)
                assert all(row[column] in parents for row in made)


@settings(max_examples=10, deadline=None)
@given(few_rows, seeds)
def test_a_child_names_the_owner_of_its_parent(total: int, seed: int) -> None:
    counts = plan(total)
    owners = {
        parent: {row["id"]: row["user_id"] for row in as_dicts(parent, counts, seed)}
        for parent in ("resumes", "ai_conversations")
    }
    for row in as_dicts("resume_skills", counts, seed):
        assert row["user_id"] == owners["resumes"][row["resume_id"]]
    for row in as_dicts("ai_messages", counts, seed):
        assert row["user_id"] == owners["ai_conversations"][row["conversation_id"]]


@settings(max_examples=10, deadline=None)
@given(st.integers(500, 4000), seeds)
def test_unique_columns_are_unique_whatever_the_collation(total: int, seed: int) -> None:
    counts = plan(total)
    for table, column in (
        ("users", "user_id"),
        ("users", "email"),
        ("system_configs", "config_key"),
        ("permissions", "permission_code"),
        ("ai_service_configs", "service_name"),
    ):
        values = [str(row[column]).strip().casefold() for row in as_dicts(table, counts, seed)]
        assert len(set(values)) == len(values)


@settings(max_examples=3, deadline=None)
@given(seeds)
def test_values_fit_their_columns(seed: int) -> None:
    counts = plan(6000)
    for name, (columns, _) in SCHEMA.items():
        for row in rows(name, counts, seed):
            for column, value in zip(columns, row, strict=True):
                if value is None:
                    assert column.nullable, f"{name}.{column.name}"
                else:
                    assert fits(column.type, value), f"{name}.{column.name} {column.type}: {value!r}"


def fits(declared_type: str, value: Value) -> bool:  # noqa: PLR0911 - one answer for each type
    kind = re.split(r"[ (]", declared_type)[0]
    inside = re.search(r"\(([^)]*)\)", declared_type)
    size = inside[1] if inside else ""
    if kind in INTEGERS:
        low, bits = (0, INTEGERS[kind]) if "UNSIGNED" in declared_type else (1, INTEGERS[kind] - 1)
        return isinstance(value, int) and -low * 2**bits <= value < 2**bits
    if kind == "DOUBLE":
        return isinstance(value, float)
    if kind in {"VARBINARY", "BLOB"}:
        return isinstance(value, bytes) and len(value) <= int(size or 65_535)
    if not isinstance(value, str):
        return False
    match kind:
        case "VARCHAR":
            return len(value) <= int(size)
        case "TEXT" | "MEDIUMTEXT":
            return len(value.encode()) <= TEXT_BYTES[kind]
        case "ENUM":
            return value in re.findall(r"'([^']*)'", size)
        case "JSON":
            json.loads(value)
            return True
        case "DECIMAL":
            precision, scale = (int(part) for part in size.split(","))
            digits = decimal.Decimal(value).as_tuple()
            whole = len(digits.digits) + int(digits.exponent)
            return -int(digits.exponent) <= scale and whole <= precision - scale
        case "DATE":
            return str(datetime.date.fromisoformat(value)) == value
        case "DATETIME" | "TIMESTAMP":
            fraction = value.partition(".")[2]
            return len(fraction) == int(size or 0) and datetime.datetime.fromisoformat(value).year < 2038
    return False


def test_the_awkward_values_do_turn_up() -> None:
    counts = plan(30_000)
    texts = [value for table in TABLES for row in rows(table, counts, 3) for value in row if isinstance(value, str)]
    assert "" in texts
    assert any(ord(letter) > 0xFFFF for text in texts for letter in text)
    assert any("'" in text and '"' in text for text in texts)
    assert any("\\" in text for text in texts)
    assert any("\r\n" in text for text in texts)
    assert any(text != text.strip() for text in texts)
    assert any(len(text) > 10_000 for text in texts)
    assert any(text.startswith("-99999") for text in texts)
    assert {"{}", "[]", "null", "18446744073709551615"} <= set(texts)
