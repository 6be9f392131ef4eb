"""Keys that stay what they are, whatever becomes of their columns."""

import pytest

from changes.errors import Misconfigured
from changes.schema import Column, TableSchema, kind_of
from streams.capture.tables import refuse_other_keys


def schema(type_: str, key: tuple[str, ...] = ("id",)) -> TableSchema:
    columns = (Column("id", kind_of(type_), type_), Column("title", kind_of("text"), "text"))
    return TableSchema("shop", "t", columns, key)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("int", "bigint unsigned"),
        ("varchar(20)", "char(36)"),
        ("datetime(3)", "datetime(3)"),
        ("enum('a')", "varchar(9)"),
    ],
)
def test_a_key_may_grow(before: str, now: str) -> None:
    refuse_other_keys(schema(before), schema(now))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("int", "varchar(20)"),
        ("decimal(10,2)", "decimal(10,4)"),
        ("datetime", "datetime(6)"),
        ("binary(4)", "binary(5)"),
        ("date", "datetime"),
    ],
)
def test_a_key_that_would_be_written_otherwise_is_refused(before: str, now: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        refuse_other_keys(schema(before), schema(now))
    assert str(caught.value).startswith(f"the key column `id` of `t` was {before} and is {now}, so that")


def test_another_key_by_declaration_is_another_matter() -> None:
    refuse_other_keys(schema("int"), schema("varchar(20)", ("id", "title")))
