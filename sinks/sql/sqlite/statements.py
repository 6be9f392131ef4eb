"""The SQL that makes, writes and reads one table of a file: no I/O.

Tables are STRICT and typed by what is exact: decimals, times and JSON are text. The base table is ``_tr_<place>``;
applications read the view ``<place>``, which leaves the reserved fields out.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers and marks for bound values

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.record import RESERVED
from changes.schema import Kind
from sinks.sql.table import TOMBSTONES, Table, quote, quoted

SIDE_TABLE = f"_tr_{TOMBSTONES}"
SETUP = (
    f"CREATE TABLE IF NOT EXISTS {SIDE_TABLE} (target TEXT NOT NULL, key BLOB NOT NULL, pos INTEGER NOT NULL,"
    " bucket INTEGER NOT NULL, seen_at INTEGER NOT NULL, gen INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (target, key))"
    " STRICT, WITHOUT ROWID"
)
WIDEN_SETUP = f"ALTER TABLE {SIDE_TABLE} ADD COLUMN gen INTEGER NOT NULL DEFAULT 0"
"""The statement for a side table from before there were generations, which has no ``gen``."""
ANY = f"SELECT 1 FROM {SIDE_TABLE} LIMIT 1"
EXPIRE = f"DELETE FROM {SIDE_TABLE} WHERE target = ? AND seen_at < ?"

BURY = (
    f"INSERT INTO {SIDE_TABLE} AS d (target, key, gen, pos, bucket, seen_at) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (target, key) DO UPDATE SET gen = excluded.gen, pos = excluded.pos, seen_at = excluded.seen_at"
    " WHERE (d.gen, d.pos) <= (excluded.gen, excluded.pos)"
)
DIG_UP = f"DELETE FROM {SIDE_TABLE} WHERE target = ? AND key = ? AND pos = ?"
UNBURY = f"DELETE FROM {SIDE_TABLE} WHERE target = ? AND key = ? AND (gen, pos) <= (?, ?)"

COLUMNS = "SELECT name, type FROM pragma_table_info(?)"
"""The columns of a table or view in their order with their types, none where it does not exist."""

SIZES = (1, 8, 64, 512)
"""How many keys one look-up takes; few sizes, so that few statements are compiled."""

_TYPES = {
    Kind.INTEGER: "INTEGER",
    Kind.BOOLEAN: "INTEGER",
    Kind.DOUBLE: "REAL",
    Kind.BYTES: "BLOB",
    Kind.VECTOR: "BLOB",  # as canonical, and as sqlite-vec takes them: float32, little-endian
}
_GENERATION = "_tr_gen INTEGER NOT NULL DEFAULT 0"
_MOVED = "_tr_moved"


@dataclass(frozen=True)
class Statements:
    """The texts for one table. ``forget`` binds key and position: it forgets that of a row stored under exactly this
    one. ``upsert`` binds the columns and the reserved fields, ``delete`` key, generation and position."""

    forget: str
    upsert: str
    delete: str


@lru_cache(maxsize=256)
def statements_of(table: Table) -> Statements:
    columns = [*quoted(table.columns), *RESERVED]
    changed = [*quoted(table.values), *RESERVED]
    same = " AND ".join(f"{name} = ?" for name in quoted(table.key))
    return Statements(
        forget=f"UPDATE {base(table)} SET _tr_pos = 0, _tr_gen = 0 WHERE {same} AND _tr_pos = ?",
        upsert=(
            f"INSERT INTO {base(table)} AS t ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            f" ON CONFLICT ({', '.join(quoted(table.key))}) DO UPDATE SET"
            f" {', '.join(f'{name} = excluded.{name}' for name in changed)}"
            " WHERE (t._tr_gen, t._tr_pos) <= (excluded._tr_gen, excluded._tr_pos)"
        ),
        delete=f"DELETE FROM {base(table)} WHERE {same} AND (_tr_gen, _tr_pos) <= (?, ?)",
    )


def base(table: Table) -> str:
    return quote(f"_tr_{table.target.place}")


def shown(table: Table, found: Collection[str]) -> str:
    """What rows are read by: the columns, position, hash halves, mapping, generation.

    A file that was not written to since its table gained a column does not have it: there it is NULL, a generation 0.
    """
    columns = [
        f"t.{quote(column.name)}" if column.name in found else f"NULL AS {quote(column.name)}"
        for column in table.columns
    ]
    generation = "t._tr_gen" if "_tr_gen" in found else "0"
    return ", ".join((*columns, "t._tr_pos", "t._tr_h1", "t._tr_h2", "t._tr_map", generation))


def scan(table: Table, found: Collection[str], *, some: bool = False) -> str:
    """``some`` binds the buckets that are wanted, as the text of a JSON array."""
    wanted = " WHERE t._tr_bucket IN (SELECT value FROM json_each(?))" if some else ""
    return f"SELECT {shown(table, found)} FROM {base(table)} AS t{wanted}"


def fields(table: Table) -> list[str]:
    """The columns that `shown` reads, in its order."""
    return [*(column.name for column in table.columns), "_tr_pos", "_tr_h1", "_tr_h2", "_tr_map", "_tr_gen"]


TABLES = r"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '\_tr\_%' ESCAPE '\'"
"""Every table of a file that is ours."""


def everything(name: str) -> str:
    return f"SELECT * FROM {quote(name)}"


def sums_of(name: str) -> str:
    """For each bucket of a table of any target: the newest position in it, and what `sums` says of all its rows."""
    return f"SELECT max(_tr_pos), _tr_bucket, count(*), sum(_tr_h1), sum(_tr_h2) FROM {quote(name)} GROUP BY _tr_bucket"


def sums(table: Table) -> str:
    """For each bucket, of the rows up to a position: itself, how many rows, the sums of their hashes' halves."""
    return (
        f"SELECT _tr_bucket, count(*), sum(_tr_h1), sum(_tr_h2) FROM {base(table)} WHERE _tr_pos <= ?"
        " GROUP BY _tr_bucket"
    )


def beyond(table: Table) -> str:
    """Key and bucket of each row behind a position."""
    return f"SELECT {', '.join(quoted(table.key))}, _tr_bucket FROM {base(table)} WHERE _tr_pos > ?"


NEWEST_BURIED = f"SELECT target, max(pos) FROM {SIDE_TABLE} GROUP BY target"
"""Of each target that has tombstones, the newest position of one."""
BURIED_BEYOND = f"SELECT key, bucket FROM {SIDE_TABLE} WHERE target = ? AND pos > ?"
"""The tombstones of a target behind a position."""


def plan(table: Table, found: Mapping[str, str], view: Collection[str]) -> list[str]:
    """The statements that bring a file to what ``table`` needs; ``found`` and ``view`` are the columns of both now.

    Nothing is dropped but the view, to be made anew: a column that has gone from MySQL stays. One whose type changes
    takes values of ``ANY`` type from then on: rows of an older layout may still come. Raises `Misconfigured` for one of
    the key.
    """
    types = {column.name: _TYPES.get(column.kind, "TEXT") for column in table.columns}
    key = {column.name for column in table.key}
    other: list[str] = []
    if not found:
        fields = [f"{quote(name)} {type_}{' NOT NULL' if name in key else ''}" for name, type_ in types.items()]
        fields += [f"{name} INTEGER NOT NULL" for name in RESERVED if name != "_tr_gen"]
        fields.append(_GENERATION)
        statements = [
            f"CREATE TABLE {base(table)} ({', '.join(fields)}, PRIMARY KEY ({', '.join(quoted(table.key))})) STRICT"
        ]
    else:
        statements = [
            f"ALTER TABLE {base(table)} ADD COLUMN {quote(name)} {type_}"
            for name, type_ in types.items()
            if name not in found
        ]
        if "_tr_gen" not in found:
            statements.append(f"ALTER TABLE {base(table)} ADD COLUMN {_GENERATION}")
        other = [name for name, type_ in types.items() if found.get(name, type_) not in {type_, "ANY"}]
    if key.intersection(other):
        raise Misconfigured(
            f"SQLite: the key of {base(table)} was of another type: choose another `place` and replay"
            f" `{table.target.table}`"
        )
    if other:
        statements.append(f"DROP VIEW IF EXISTS {quote(table.target.place)}")
        view = ()
    for name in other:  # the type of a column cannot be changed, so its values move to one that has its name then
        statements += [
            f"ALTER TABLE {base(table)} ADD COLUMN {_MOVED} ANY",
            f"UPDATE {base(table)} SET {_MOVED} = {quote(name)}",
            f"ALTER TABLE {base(table)} DROP COLUMN {quote(name)}",
            f"ALTER TABLE {base(table)} RENAME COLUMN {_MOVED} TO {quote(name)}",
        ]
    only, hidden = table.target.only, table.target.hidden
    visible = [
        name
        for name in dict.fromkeys((*(name for name in found if name not in other), *other, *types))
        if name in types or (name not in RESERVED and name not in hidden and (only is None or name in only))
    ]
    if list(view) != visible:
        name = quote(table.target.place)
        statements += [
            f"DROP VIEW IF EXISTS {name}",
            f"CREATE VIEW {name} AS SELECT {', '.join(map(quote, visible))} FROM {base(table)}",
        ]
    return statements


@lru_cache(maxsize=256)
def look_up(table: Table, size: int) -> str:
    """For ``size`` keys: each one's number, from 0, with generation and position of its row and of its tombstone, -1
    where it has none, if it has either.

    Binds the columns and then the canonical bytes of each key, and at last the target's name.
    """
    names = [*_names(table), "grave"]
    return (
        f"{_wanted(names, size)} SELECT w.i, coalesce(t._tr_gen, -1), coalesce(t._tr_pos, -1),"
        " coalesce(d.gen, -1), coalesce(d.pos, -1) FROM w"
        f" LEFT JOIN {base(table)} AS t ON {_same(table)}"
        f" LEFT JOIN {SIDE_TABLE} AS d ON d.target = ? AND d.key = w.grave"
        " WHERE t._tr_pos IS NOT NULL OR d.pos IS NOT NULL"
    )


def read(table: Table, found: Collection[str], size: int) -> str:
    """For ``size`` keys: each one's number, from 0, and what `shown` says of its row, where there is one."""
    joined = f"FROM w CROSS JOIN {base(table)} AS t ON {_same(table)}"
    return f"{_wanted(_names(table), size)} SELECT w.i, {shown(table, found)} {joined}"


def pages(keys: Sequence[tuple[Value, ...]]) -> Iterator[tuple[int, int, list[Value]]]:
    """``keys`` in portions: where each starts, its size of `SIZES`, and its values, filled up with NULLs.

    No key is NULL, so what is filled up finds nothing.
    """
    start = 0
    while start < len(keys):
        page = keys[start : start + SIZES[-1]]
        size = next(size for size in SIZES if size >= len(page))
        values = [value for key in page for value in key]
        yield start, size, values + [None] * ((size - len(page)) * len(page[0]))
        start += size


def _names(table: Table) -> list[str]:
    return [f"k{place}" for place, _ in enumerate(table.key)]


def _same(table: Table) -> str:
    return " AND ".join(f"t.{column} = w.{name}" for column, name in zip(quoted(table.key), _names(table), strict=True))


def _wanted(names: Sequence[str], size: int) -> str:
    marks = ", ".join("?" * len(names))
    return f"WITH w (i, {', '.join(names)}) AS (VALUES {', '.join(f'({i}, {marks})' for i in range(size))})"
