"""What the SQL dialects share: a target with a schema as a table, quoting, and a batch as portions of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.record import RESERVED, Record
from changes.schema import Column, TableSchema
from changes.target import Target

TOMBSTONES = "tombstones"
"""The side table's name in every dialect, and so no place for rows."""


def quote(name: str) -> str:
    """A delimited identifier, quotes within it doubled."""
    return '"' + name.replace('"', '""') + '"'


def quoted(columns: Sequence[Column], prefix: str = "") -> list[str]:
    return [prefix + quote(column.name) for column in columns]


@dataclass(frozen=True)
class Table:
    """One target with one schema: the columns that it receives in table order, and those of its key in key order."""

    target: Target
    columns: tuple[Column, ...]
    key: tuple[Column, ...]

    @property
    def values(self) -> tuple[Column, ...]:
        """The columns that are no part of the key."""
        return tuple(column for column in self.columns if column not in self.key)


@lru_cache(maxsize=256)
def table_of(target: Target, schema: TableSchema) -> Table:
    """Raises `Misconfigured` where the declaration does not fit the schema."""
    columns = target.columns(schema)
    names = {column.name for column in columns}
    where = f"`{target.table}` → `{target.sink}`"
    if not schema.key or set(schema.key) != set(target.key):
        raise Misconfigured(
            f"{where}: the declared key {list(target.key)} is not the table's primary key {list(schema.key)}"
        )
    if clash := sorted(names & set(RESERVED)):
        raise Misconfigured(f"{where}: the column `{clash[0]}` has a name that Tailrace reserves; drop it in `columns`")
    if target.user is not None and target.user not in names:
        raise Misconfigured(f"{where}: the user column `{target.user}` is not among the columns of this target")
    return Table(target, columns, tuple(schema.column(name) for name in schema.key))


def check_place(target: Target) -> None:
    """What every dialect asks of a target; raises `Misconfigured`."""
    where = f"`{target.table}` → `{target.sink}`"
    if not target.place or target.place == TOMBSTONES or target.place.startswith(("_tr", "_tailrace")):
        raise Misconfigured(f"{where}: `{target.place}` cannot be the name of a table here; choose another `place`")
    if "{" in target.place or "\0" in target.place:
        raise Misconfigured(f"{where}: `place` is a table name, not a pattern: `{target.place}`")
    if target.keep != "mirror":
        raise Misconfigured(f"{where}: rows here have no lifetime; declare `keep: mirror`")
    if target.owns != "table":
        raise Misconfigured(f"{where}: `owns: {target.owns}` is not served here; only `owns: table` is")


@dataclass(frozen=True)
class Portion:
    """The records of one table in one batch, and where in the batch they stood; ``rows`` are those of ``upserts``."""

    table: Table
    rows: list[Mapping[str, Value]] = field(default_factory=list)
    upserts: list[Record] = field(default_factory=list)
    upserted: list[int] = field(default_factory=list)
    deletes: list[Record] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)

    @property
    def over(self) -> list[Record]:
        """The records before which a stored position is to be forgotten."""
        return [record for record in (*self.upserts, *self.deletes) if record.over >= 0]


def portions(records: Sequence[Record]) -> list[Portion]:
    """``records`` by (target, schema). Raises `Misconfigured` like `table_of`."""
    # By identity of the objects: hashing a schema for every record would cost more than writing it.
    found: dict[tuple[int, int], Portion] = {}
    target: Target | None = None
    schema: TableSchema | None = None
    for index, record in enumerate(records):
        if record.target is not target or record.schema is not schema:
            target, schema = record.target, record.schema
            identity = (id(target), id(schema))
            if identity not in found:
                found[identity] = Portion(table_of(target, schema))
            portion = found[identity]
        if record.row is None:
            portion.deletes.append(record)
            portion.deleted.append(index)
        else:
            portion.rows.append(record.row)
            portion.upserts.append(record)
            portion.upserted.append(index)
    return list(found.values())
