"""What must be created or changed for a table, planned from what is there: no I/O.

Base tables are ``tailrace.<place>``; applications read the view ``public.<place>``, which leaves the reserved fields
out. Nothing is ever dropped but a view, and that only to be made anew: a column that has gone from MySQL stays,
and keeps what it held. A column whose type changes becomes wide enough for both.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers and marks for bound values

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from changes.errors import Misconfigured
from changes.record import RESERVED
from changes.schema import Column, Kind
from sinks.sql.postgres.types import joined, type_of, widens
from sinks.sql.table import TOMBSTONES, Table, quote, quoted

SCHEMA = "tailrace"
SIDE_TABLE = f"{SCHEMA}.{TOMBSTONES}"

SETUP = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE {SIDE_TABLE} (target text NOT NULL, key bytea NOT NULL, pos bigint NOT NULL,"
    " bucket integer NOT NULL, seen_at timestamptz NOT NULL DEFAULT now(), gen integer NOT NULL DEFAULT 0,"
    " PRIMARY KEY (target, key))",
    f"CREATE INDEX ON {SIDE_TABLE} (target, seen_at)",
)
"""The statements of a database that has no side table yet."""

WIDEN_SETUP = f"ALTER TABLE {SIDE_TABLE} ADD COLUMN IF NOT EXISTS gen integer NOT NULL DEFAULT 0"
"""The statement for a side table from before there were generations, which has no ``gen``."""

META_TABLE = f"{SCHEMA}._tailrace_meta"
META_SETUP = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {META_TABLE} (lane text PRIMARY KEY, stamp text NOT NULL,"
    " stamped_at timestamptz NOT NULL DEFAULT now())",
)
"""The statements of a database that keeps no stamps yet."""
STAMP = (
    f"WITH old AS (SELECT stamp FROM {META_TABLE} WHERE lane = $1)"
    f" INSERT INTO {META_TABLE} AS m (lane, stamp) VALUES ($1, $2)"
    " ON CONFLICT (lane) DO UPDATE SET stamp = excluded.stamp, stamped_at = excluded.stamped_at"
    " RETURNING (SELECT stamp FROM old)"
)
STAMPED = f"SELECT stamp FROM {META_TABLE} WHERE lane = $1"

EXPIRE = f"DELETE FROM {SIDE_TABLE} WHERE target = $1 AND seen_at < now() - make_interval(secs => $2)"

RESERVED_TYPES = dict(zip(RESERVED, ("bigint", "bigint", "bigint", "integer", "integer", "integer"), strict=True))
_GENERATION = "_tr_gen integer NOT NULL DEFAULT 0"
_LONGEST_NAME = 63

MOST_INDEXED = 2000
"""Dimensions of the longest vector that pgvector's HNSW takes; columns of longer ones are searched in full."""


@dataclass(frozen=True)
class Found:
    """What a database holds of a table: columns with their types and the view's columns, in their order.

    ``view`` is empty where there is none; ``safe`` says that it runs with its reader's rights. ``vectors`` is the
    schema of the extension `vector`, quoted where it must be; ``None`` where the database has none.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    safe: bool = False
    secured: bool = False
    policies: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    vectors: str | None = None


def base_of(place: str) -> str:
    return f"{SCHEMA}.{quote(place)}"


def view_of(place: str) -> str:
    return f"public.{quote(place)}"


def base(table: Table) -> str:
    return base_of(table.target.place)


def view(table: Table) -> str:
    return view_of(table.target.place)


def create_view(place: str, shown: Sequence[str]) -> str:
    """The view of a place's base table, in the stead of one with the same columns at its front."""
    return (
        f"CREATE OR REPLACE VIEW {view_of(place)} WITH (security_invoker = true) AS"
        f" SELECT {', '.join(map(quote, shown))} FROM {base_of(place)}"
    )


def plan(table: Table, found: Found) -> list[str]:
    """The statements, in order, that make ``found`` what ``table`` needs; none where it is so already.

    Raises `Misconfigured` where that would take more than Tailrace may do.
    """
    wanted = _wanted(table, found)
    if not found.columns:
        statements = [_create(table, wanted), f"CREATE INDEX ON {base(table)} (_tr_bucket)"]
        widened: list[str] = []
    else:
        _check_key(table, found)
        statements = [
            f"ALTER TABLE {base(table)} ADD COLUMN {quote(name)} {type_}"
            for name, type_ in wanted.items()
            if name not in found.columns
        ]
        if "_tr_gen" not in found.columns:
            statements.append(f"ALTER TABLE {base(table)} ADD COLUMN IF NOT EXISTS {_GENERATION}")
        widened = list(_widened(table, found))
    return [
        *statements,
        *_view(table, found, wanted, widened),
        *_row_security(table, found),
        *_vector_indexes(table, found),
    ]


def _widened(table: Table, found: Found) -> Iterator[str]:
    """A type only ever grows: rows of an older layout may still come, and what stands there must not be lost."""
    for column in table.columns:
        there = found.columns.get(column.name)
        if there is None or column.kind is Kind.VECTOR:
            continue
        type_ = joined(there, type_of(column))
        if type_ == there:
            continue
        if column in table.key and not widens(there, type_):
            raise Misconfigured(
                f"PostgreSQL: the key `{column.name}` of {base(table)} is {there} and cannot become {type_of(column)}."
                f" Choose another `place`, or drop it and replay `{table.target.table}`"
            )
        using = f" USING {quote(column.name)}::text" if type_ == "text" else ""
        yield f"ALTER TABLE {base(table)} ALTER COLUMN {quote(column.name)} TYPE {type_}{using}"


def _wanted(table: Table, found: Found) -> dict[str, str]:
    for column in table.columns:
        if len(column.name.encode()) > _LONGEST_NAME:
            raise Misconfigured(
                f"`{table.target.table}` → `{table.target.sink}`: the column `{column.name}` is longer than"
                f" {_LONGEST_NAME} bytes"
            )
    return {
        column.name: _vector_type(table, column, found) if column.kind is Kind.VECTOR else type_of(column)
        for column in table.columns
    }


def _vector_type(table: Table, column: Column, found: Found) -> str:
    if found.vectors is None:
        raise Misconfigured(
            f"PostgreSQL: `{table.target.place}` holds vectors, and the database has no extension for them:"
            " let a superuser run CREATE EXTENSION vector"
        )
    type_, there = type_of(column), found.columns.get(column.name, "")
    if there and there.rpartition(".")[2] != type_:
        raise Misconfigured(
            f"PostgreSQL: `{column.name}` of {base(table)} is {there.rpartition('.')[2]}, not {type_}: another model's"
            " vectors go to a `place` of their own"
        )
    return f"{found.vectors}.{type_}"


def _create(table: Table, wanted: Mapping[str, str]) -> str:
    fields = [f"{quote(name)} {type_}" for name, type_ in wanted.items()]
    fields += [f"{name} {type_} NOT NULL" for name, type_ in RESERVED_TYPES.items() if name != "_tr_gen"]
    fields.append(_GENERATION)
    return f"CREATE TABLE {base(table)} ({', '.join(fields)}, PRIMARY KEY ({', '.join(quoted(table.key))}))"


def _check_key(table: Table, found: Found) -> None:
    key = tuple(column.name for column in table.key)
    if found.key != key or not set(RESERVED) - {"_tr_gen"} <= found.columns.keys():
        raise Misconfigured(
            f"PostgreSQL: {base(table)} has the key {list(found.key)}, not {list(key)}: it was made for another table."
            f" Choose another `place`, or drop it and replay `{table.target.table}`"
        )


def _view(table: Table, found: Found, wanted: Mapping[str, str], widened: list[str]) -> list[str]:
    """A view can only gain columns at its end, so it follows the order of the base table, which does too."""
    names = list(dict.fromkeys((*found.columns, *wanted)))
    shown = tuple(name for name in names if name in wanted or not (name in RESERVED or _withheld(table, name)))
    if found.view == shown and found.safe and not widened:
        return []
    create = create_view(table.target.place, shown)
    if widened or (found.view and found.view != shown[: len(found.view)]):
        drop = [f"DROP VIEW {view(table)}"] if found.view else []
        return [*drop, *widened, create]
    return [create]


def _withheld(table: Table, name: str) -> bool:
    """Whether the declaration keeps a column back that an earlier one let through."""
    only = table.target.only
    return name in table.target.hidden or (only is not None and name not in only)


def _row_security(table: Table, found: Found) -> list[str]:
    """A reader sees the rows of ``app.current_user_id`` only, and none where it is not set.

    ENABLE without FORCE: the owner, which is the role that writes, sees all; who reads takes the role `readers`, which
    owns nothing. Security that is there is never taken
    away, also where the declaration no longer asks for it.
    """
    user = table.target.user
    if user is None:
        return []
    column = next(column for column in table.columns if column.name == user)
    name = f"tailrace_{user}"[:_LONGEST_NAME]
    setting = "nullif(current_setting('app.current_user_id', true), '')"
    cast = f"::{type_of(column)}" if column.kind is Kind.INTEGER else ""
    statements = [] if found.secured else [f"ALTER TABLE {base(table)} ENABLE ROW LEVEL SECURITY"]
    if name not in found.policies:
        # Policies are joined by OR: one of an earlier declaration would go on letting rows through.
        old = [policy for policy in found.policies if policy.startswith("tailrace_")]
        statements += [f"DROP POLICY {quote(policy)} ON {base(table)}" for policy in old]
        statements.append(
            f"CREATE POLICY {quote(name)} ON {base(table)} FOR SELECT USING ({quote(user)} = {setting}{cast})"
        )
    return statements


def _vector_indexes(table: Table, found: Found) -> list[str]:
    """For cosine distance, with pgvector's own ``m`` and ``ef_construction``.

    Where rows have owners there is one by owner as well: of somebody with few rows among many it finds all, where a
    walk by distance would pass thousands of other people's before it came to one that may be seen.
    """
    columns = [column for column in table.columns if column.kind is Kind.VECTOR]
    wanted = [
        (index_name(table.target.place, column.name), f"hnsw ({quote(column.name)} {found.vectors}.vector_cosine_ops)")
        for column in columns
        if column.arguments[0] <= MOST_INDEXED
    ]
    if columns and (user := table.target.user) is not None:
        wanted.append((index_name(table.target.place, user, "user"), f"btree ({quote(user)})"))
    return [
        f"CREATE INDEX IF NOT EXISTS {quote(name)} ON {base(table)} USING {of}"
        for name, of in wanted
        if name not in found.indexes
    ]


def index_name(place: str, column: str, kind: str = "hnsw") -> str:
    """What can be read of both, and a hash that tells apart what was cut off or would run together."""
    words = f"{place}_{column}".encode()[:48].decode(errors="ignore")
    both = xxhash.xxh32_hexdigest("\0".join((place, column)).encode())
    return f"{words}_{both}_{kind}"
