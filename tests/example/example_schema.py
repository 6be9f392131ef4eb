"""Reads the column definitions back out of `schema.sql`: the tests' own view of it, regular expressions only."""

import re
from dataclasses import dataclass

from tailrace.example.database import script


@dataclass(frozen=True)
class Column:
    """One column as declared."""

    name: str
    type: str
    nullable: bool


def declared(name: str = "schema.sql") -> dict[str, tuple[tuple[Column, ...], tuple[str, ...]]]:
    """Table name to its columns and its primary key."""
    tables = {}
    for statement in script(name):
        table = re.match(r"CREATE TABLE IF NOT EXISTS `(\w+)` \(", statement)
        assert table is not None, statement[:60]
        body = re.sub(r"\n    ", " ", statement)
        columns = tuple(
            Column(found[1], found[2], "NOT NULL" not in found[3])
            for found in re.finditer(r"^  `(\w+)` (\w+(?: UNSIGNED|\([^)]*\))?)(.*)$", body, re.MULTILINE)
        )
        key = re.search(r"PRIMARY KEY \(([^)]*)\)", body)
        assert key is not None, table[1]
        tables[table[1]] = (columns, tuple(re.findall(r"`(\w+)`", key[1])))
    return tables
