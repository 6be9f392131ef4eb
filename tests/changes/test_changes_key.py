"""Keys compare as bytes."""

import msgspec

from changes.canonical import bucket_of
from changes.key import Key, key_json, key_of
from changes.schema import Column, Kind, TableSchema

ROLES = TableSchema(
    "d",
    "role_permissions",
    (
        Column("note", Kind.TEXT, "text"),
        Column("permission_code", Kind.TEXT, "varchar(50)", False),
        Column("role_name", Kind.TEXT, "varchar(50)", False),
    ),
    ("role_name", "permission_code"),
)
AMOUNTS = TableSchema("d", "amounts", (Column("amount", Kind.DECIMAL, "decimal(10,2)", False),), ("amount",))


def role(role_name: str, permission_code: str) -> Key:
    return key_of(ROLES, {"role_name": role_name, "permission_code": permission_code, "note": "any"})


def test_keys_that_differ_in_case_are_different_rows() -> None:
    assert role("Abc", "x") != role("abc", "x")
    assert len({role("Abc", "x"), role("abc", "x"), role("abc ", "x")}) == 3


def test_keys_of_the_same_values_are_one_row_whatever_else_the_row_holds() -> None:
    one = key_of(ROLES, {"role_name": "a", "permission_code": "b", "note": "one"})
    two = key_of(ROLES, {"role_name": "a", "permission_code": "b"})
    assert one == two
    assert len({one, two}) == 1


def test_values_do_not_run_into_each_other() -> None:
    assert role("ab", "c") != role("a", "bc")


def test_values_stand_in_key_order() -> None:
    assert role("admin", "jobs.write").values == ("admin", "jobs.write")
    assert key_json(ROLES, {"permission_code": "w", "role_name": "a"}) == b'{"role_name":"a","permission_code":"w"}'


def test_a_key_that_a_store_renders_otherwise_is_the_same() -> None:
    assert key_of(AMOUNTS, {"amount": "1.50"}) == key_of(AMOUNTS, {"amount": "1.5"})


def test_a_key_is_equal_to_no_other_thing() -> None:
    assert role("a", "b") != role("a", "b").canonical


def test_the_bucket_is_that_of_the_canonical_bytes() -> None:
    key = role("a", "b")
    assert key.bucket == bucket_of(key.canonical)


def test_the_kafka_key_reads_back_to_the_values() -> None:
    row = {"role_name": 'ad"min\\', "permission_code": "文\n"}
    assert msgspec.json.decode(key_json(ROLES, row)) == row
