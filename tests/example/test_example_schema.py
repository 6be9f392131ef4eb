"""`schema.sql` is what the generator believes it to be, and keeps to the types that all servers share."""

import re

from example_schema import declared

from tailrace.example.database import script
from tailrace.example.generate import TABLES


def test_tables_columns_keys_and_nullability_match_the_generator() -> None:
    schema = declared()
    assert set(schema) == set(TABLES)
    for name, (columns, key) in schema.items():
        table = TABLES[name]
        assert tuple(column.name for column in columns) == table.columns
        assert key == table.key
        assert frozenset(column.name for column in columns if column.nullable) == table.nullable


def test_every_statement_can_be_run_again() -> None:
    for name in ("schema.sql", "ledger.sql"):
        for statement in script(name):
            assert statement.startswith("CREATE TABLE IF NOT EXISTS")


def test_no_type_that_servers_or_stores_disagree_about() -> None:
    used = {re.split(r"[ (]", column.type)[0] for columns, _ in declared().values() for column in columns}
    assert used == {
        "TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "DOUBLE", "VARCHAR", "TEXT", "MEDIUMTEXT", "DATE",
        "DATETIME", "TIMESTAMP", "ENUM", "JSON", "VARBINARY", "BLOB",
    }  # fmt: skip
    assert not any(column.type == "BIGINT UNSIGNED" for columns, _ in declared().values() for column in columns)


def test_no_foreign_keys() -> None:
    assert not any("FOREIGN KEY" in statement or "REFERENCES" in statement for statement in script("schema.sql"))


def test_texts_are_columns() -> None:
    for table in TABLES.values():
        assert set(table.texts) <= set(table.columns)
