"""What must be created or changed for a table, planned from what is there: no I/O.

The base table is ``_tr_<place>``; applications read the view ``<place>``, which leaves the reserved fields out, and
need no grant on the base table for it. Nothing that holds data is ever dropped: a column that has gone from the source
stays, and keeps what it held. A column whose type changes becomes wide enough for both.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from changes.errors import Misconfigured
from changes.record import RESERVED
from sinks.sql.mysql import PREFIX
from sinks.sql.mysql.types import joined, longest, type_of, widens
from sinks.sql.table import TOMBSTONES, Table, quote, quoted

SIDE_TABLE = PREFIX + TOMBSTONES
LOCK_TABLE = "_tailrace_locks"
META_TABLE = "_tailrace_meta"
COLLATION = "utf8mb4_0900_bin"
"""By code points, which is by bytes, trailing blanks included."""

_OPTIONS = f"ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE {COLLATION}"
_LONGEST_KEY = 2816
"""Bytes of a key in the side table: an index takes 3072, and 256 of them are the target's name."""

SETUP = {
    SIDE_TABLE: (
        f'CREATE TABLE IF NOT EXISTS {SIDE_TABLE} (target varchar(64) NOT NULL, "key" varbinary({_LONGEST_KEY})'
        " NOT NULL, pos bigint NOT NULL, bucket int NOT NULL, gen int NOT NULL DEFAULT 0,"
        ' seen_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (target, "key"), KEY (target, seen_at))'
        f" {_OPTIONS}"
    ),
    LOCK_TABLE: (
        f"CREATE TABLE IF NOT EXISTS {LOCK_TABLE} (target int NOT NULL, part int NOT NULL,"
        f" PRIMARY KEY (target, part)) {_OPTIONS}"
    ),
    META_TABLE: (
        f"CREATE TABLE IF NOT EXISTS {META_TABLE} (lane varchar(255) NOT NULL PRIMARY KEY, stamp longtext NOT NULL)"
        f" {_OPTIONS}"
    ),
}
"""By name, what makes the tables that serve all targets."""

WIDEN_SETUP = f"ALTER TABLE {SIDE_TABLE} ADD COLUMN gen int NOT NULL DEFAULT 0"
"""The statement for a side table from before there were generations, which has no ``gen``."""

SUMS = "_tr_sums"
"""The index that holds all that is summed: many times smaller than the rows, and read where memory has no room for
these."""
_OLD_SUMS = "_tr_bucket"
"""What tables had in its place, of the bucket alone."""
_SUMS_KEY = f"KEY {SUMS} (_tr_bucket, _tr_pos, _tr_h1, _tr_h2)"

_RESERVED_TYPES = dict(
    zip(RESERVED, ("bigint", "int unsigned", "int unsigned", "int", "int", "int NOT NULL DEFAULT 0"), strict=True)
)


@dataclass(frozen=True)
class Found:
    """What a database holds of a table: columns with their types and the view's columns, in their order; the names of
    its indexes.

    ``view`` is empty where there is none; ``taken`` says that what has its name is no view.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    taken: bool = False


def base_name_of(place: str) -> str:
    return PREFIX + place


def base_name(table: Table) -> str:
    return base_name_of(table.target.place)


def base(table: Table) -> str:
    return quote(base_name(table))


def plan(table: Table, found: Found) -> list[str]:
    """The statements, in order, that make ``found`` what ``table`` needs; none where it is so already.

    Raises `Misconfigured` where that would take more than Tailrace may do.
    """
    if found.taken:
        raise Misconfigured(
            f"MySQL: `{table.target.place}` is a table that is not Tailrace's: choose another `place` for"
            f" `{table.target.table}`"
        )
    wanted = _wanted(table)
    if not found.columns:
        return [_create(table, wanted), *_view(table, found, wanted)]
    _check_key(table, found)
    changes = [f"ADD COLUMN {quote(name)} {type_} NULL" for name, type_ in wanted.items() if name not in found.columns]
    if "_tr_gen" not in found.columns:
        changes.append(f"ADD COLUMN _tr_gen {_RESERVED_TYPES['_tr_gen']}")
    changes += _widened(table, found, wanted)
    if SUMS not in found.indexes:
        changes.append(f"ADD {_SUMS_KEY}")
    if _OLD_SUMS in found.indexes:
        changes.append(f"DROP KEY {_OLD_SUMS}")
    altered = [f"ALTER TABLE {base(table)} {', '.join(changes)}"] if changes else []
    return [*altered, *_view(table, found, wanted)]


def _wanted(table: Table) -> dict[str, str]:
    size = sum(longest(column) + len(column.name.encode()) + 12 for column in table.key)
    if size > _LONGEST_KEY:
        raise Misconfigured(
            f"`{table.target.table}` → `{table.target.sink}`: its key {[column.name for column in table.key]} may be"
            f" {size} bytes long, and MySQL indexes {_LONGEST_KEY}"
        )
    return {column.name: type_of(column, key=column in table.key) for column in table.columns}


def _create(table: Table, wanted: Mapping[str, str]) -> str:
    key = {column.name for column in table.key}
    fields = [f"{quote(name)} {type_} {'NOT NULL' if name in key else 'NULL'}" for name, type_ in wanted.items()]
    fields += [f"{name} {type_}{'' if ' NOT ' in type_ else ' NOT NULL'}" for name, type_ in _RESERVED_TYPES.items()]
    fields += [f"PRIMARY KEY ({', '.join(quoted(table.key))})", _SUMS_KEY]
    return f"CREATE TABLE {base(table)} ({', '.join(fields)}) {_OPTIONS}"


def _check_key(table: Table, found: Found) -> None:
    key = tuple(column.name for column in table.key)
    if found.key != key or not set(RESERVED) - {"_tr_gen"} <= found.columns.keys():
        raise Misconfigured(
            f"MySQL: `{base_name(table)}` has the key {list(found.key)}, not {list(key)}: it was made for another"
            f" table. Choose another `place`, or drop it and replay `{table.target.table}`"
        )


def _widened(table: Table, found: Found, wanted: Mapping[str, str]) -> Iterator[str]:
    """A type only ever grows: rows of an older layout may still come, and what stands there must not be lost."""
    key = {column.name for column in table.key}
    for name, type_ in wanted.items():
        there = found.columns.get(name, type_)
        both = joined(there, type_)
        if both == there:
            continue
        if name in key and not widens(there, both):
            raise Misconfigured(
                f"MySQL: the key `{name}` of `{base_name(table)}` is {there} and cannot become {type_}."
                f" Choose another `place`, or drop it and replay `{table.target.table}`"
            )
        yield f"MODIFY COLUMN {quote(name)} {both} {'NOT NULL' if name in key else 'NULL'}"


def _view(table: Table, found: Found, wanted: Mapping[str, str]) -> list[str]:
    only, hidden = table.target.only, table.target.hidden
    shown = tuple(
        name
        for name in dict.fromkeys((*found.columns, *wanted))
        if name in wanted or not (name in RESERVED or name in hidden or (only is not None and name not in only))
    )
    if found.view == shown:
        return []
    return [create_view(table.target.place, shown)]


def create_view(place: str, shown: Sequence[str]) -> str:
    """The view of a place's base table, in the stead of any."""
    return (
        f"CREATE OR REPLACE VIEW {quote(place)} AS SELECT {', '.join(map(quote, shown))}"
        f" FROM {quote(base_name_of(place))}"
    )
