"""A canary that goes the way of every row: written to MySQL, captured, delivered, and deleted again.

Only tables that cost nothing are used: no model reads them, and no relationship in a graph comes of their rows.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor

from changes.target import Target
from changes.topology import Topology
from streams.mysql import MysqlUrl, session

_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit"}
_LISTS = {"enum", "set"}
"""The number 1 stands for the first of their values."""
_TIMES = {"date", "datetime", "timestamp"}
_DAY = "2000-01-01"


@dataclass(frozen=True)
class Column:
    """As MySQL describes it; ``length`` in characters, of texts only. ``needed``: it has to be given a value."""

    name: str
    kind: str
    length: int
    needed: bool
    automatic: bool


@dataclass(frozen=True)
class Insertion:
    """A row with a token in it: ``told`` names the column by which it is found again."""

    table: str
    names: tuple[str, ...]
    values: tuple[Any, ...]
    told: str


def tables(topology: Topology, version: str, within: float) -> list[str]:
    """The fewest tables, by the order of the file, through which a row of each comes to every sink that can be reached
    so, and whose tier is delivered within so many seconds."""
    reached: set[str] = set()
    chosen = []
    for name, table in topology.tables.items():
        targets = [one for one in topology.targets(version) if one.table == name]
        sinks = {one.sink for one in targets if one.tier.flush <= within}
        if not table.enrich and not any(one.edges for one in targets) and sinks - reached:
            reached |= sinks
            chosen.append(name)
    return chosen


def insertion(
    table: str, columns: Sequence[Column], key: Sequence[str], user: str | None, owner: Any, token: str
) -> Insertion | None:
    """A row of ``table`` that says ``token`` in each text that holds it whole; None where one cannot be made up.

    ``owner`` is a value that the column ``user`` has in another row. The key must be one column that MySQL numbers, or
    texts.
    """
    values: dict[str, Any] = {}
    for column in columns:
        if column.name == user:
            if owner is None:
                return None
            values[column.name] = owner
        elif column.automatic:
            continue
        elif column.kind in _TEXTS and column.length >= len(token):
            values[column.name] = token
        elif column.name in key:
            return None
        elif not column.needed:
            continue
        elif column.kind in _TEXTS:
            values[column.name] = token[: column.length]
        elif column.kind in _NUMBERS | _LISTS:
            values[column.name] = 1
        elif column.kind in _TIMES:
            values[column.name] = _DAY
        elif column.kind == "json":
            values[column.name] = f'"{token}"'
        else:
            return None
    told = next((name for name, value in values.items() if value == token and name != user), None)
    return None if told is None else Insertion(table, tuple(values), tuple(values.values()), told)


class CanaryRows:
    """The rows of one version. Blocking; raises `Transient` or `Misconfigured`."""

    def __init__(self, topology: Topology, version: str, url: MysqlUrl, within: float) -> None:
        self._topology, self._version, self._url, self._within = topology, version, url, within
        self._written: list[tuple[Insertion, str]] = []

    def plant(self, token: str) -> list[Target]:
        """Insert a row into each of the chosen tables that takes one; where they will go."""
        with session(self._url) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            for name in tables(self._topology, self._version, self._within):
                declared = self._topology.tables[name]
                owner = _value(cursor, name, declared.user)
                made = insertion(name, _columns(cursor, name), declared.key, declared.user, owner, token)
                if made is None:
                    continue
                marks = ", ".join(["%s"] * len(made.values))
                cursor.execute(
                    f"INSERT INTO {_quoted(name)} ({_list(made.names)}) VALUES ({marks})",  # noqa: S608
                    made.values,
                )
                self._written.append((made, token))
        written = {made.table for made, _ in self._written}
        return [target for target in self._topology.targets(self._version) if target.table in written]

    def remove(self) -> None:
        """Delete them; idempotent."""
        if not self._written:
            return
        with session(self._url) as connection, closing(connection.cursor()) as cursor:
            for made, token in self._written:
                cursor.execute(f"DELETE FROM {_quoted(made.table)} WHERE {_quoted(made.told)} = %s", (token,))  # noqa: S608
        self._written.clear()


def _columns(cursor: Cursor, table: str) -> list[Column]:
    cursor.execute(
        "SELECT column_name, LOWER(data_type), COALESCE(character_maximum_length, 0), is_nullable = 'NO'"
        " AND column_default IS NULL, extra FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    return [
        Column(name, kind, int(length), bool(needed), "auto_increment" in extra.lower() or "GENERATED" in extra)
        for name, kind, length, needed, extra in cursor.fetchall()
    ]


def _value(cursor: Cursor, table: str, column: str | None) -> Any:
    if column is None:
        return None
    cursor.execute(f"SELECT {_quoted(column)} FROM {_quoted(table)} LIMIT 1")  # noqa: S608
    row = cursor.fetchone()
    return None if row is None else row[0]


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
