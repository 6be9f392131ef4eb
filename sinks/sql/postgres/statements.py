"""The SQL that writes and reads one table, and the arrays that are bound to it: no I/O.

A batch is one statement, whatever its size: every column is an array of text, put side by side by ``unnest`` and
cast there, so that PostgreSQL's own input functions judge each value. All statements of a batch's transaction run
under READ COMMITTED behind the locks of `begin`, and so see all that an earlier holder of the same locks has committed.
"""

# ruff: noqa: S608  the text is made here, of quoted identifiers and marks for bound values

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from changes.canonical import halves
from changes.key import Key
from changes.record import Record
from changes.schema import Column
from sinks.sql.locks import locks
from sinks.sql.postgres.ddl import RESERVED_TYPES, SIDE_TABLE, base
from sinks.sql.postgres.types import from_text, readable, to_text
from sinks.sql.table import Portion, Table, quote, quoted

FEW = 50
"""Records up to which a batch is written by plans that are kept."""

_KEPT = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),"
    " set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)
"""For a few records planning costs more than running. A plan that is kept must not rest on how small a table was
when it was made: it goes by the indexes."""

_STORED, _BURIED, _GIVEN = "(t._tr_gen, t._tr_pos)", "(d.gen, d.pos)", "(u._tr_gen, u._tr_pos)"

_WRITTEN = tuple((name, type_) for name, type_ in RESERVED_TYPES.items() if name != "_tr_map")
"""The reserved fields that every row brings with it."""

_UPTO = "WHERE _tr_pos <= $1"

BURIED_BEYOND = f"SELECT key, bucket FROM {SIDE_TABLE} WHERE target = $1 AND pos > $2"
"""The tombstones of a target behind a position."""


@dataclass(frozen=True)
class Statements:
    """The texts for one table.

    ``forget`` forgets the positions of rows and tombstones that are stored under exactly those given. ``upsert``
    returns how many of the records landed; ``landed`` and ``delete`` return the ordinals, from 1, of those that did.
    ``read`` returns the ordinal of each key found before what ``scan`` returns: the columns, position, hash halves,
    mapping, generation; ``some`` is ``scan`` for an array of buckets. ``sums`` binds a position, and returns for each
    bucket count and sums as text of the rows up to it, and the places in the table of those beyond it; ``beyond``
    binds such places and returns key and bucket of each.
    """

    forget: str
    upsert: str
    landed: str
    delete: str
    read: str
    scan: str
    some: str
    sums: str
    beyond: str


@lru_cache(maxsize=256)
def statements_of(table: Table) -> Statements:
    selected = [readable(column, f"t.{quote(column.name)}") for column in table.columns]
    shown = ", ".join((*selected, "t._tr_pos", "t._tr_h1", "t._tr_h2", "t._tr_map", "t._tr_gen"))
    shown_key = [readable(column, f"t.{quote(column.name)}") for column in table.key]
    scan = f"SELECT {shown} FROM {base(table)} AS t"
    return Statements(
        forget=_forget(table),
        upsert=_upsert(table),
        landed=(
            f"{_given(table.key, (('_tr_pos', 'bigint'), ('_tr_gen', 'integer')))}"
            f" SELECT u._tr_i FROM u JOIN {base(table)} AS t ON {_same(table)} WHERE {_STORED} = {_GIVEN}"
        ),
        delete=_delete(table),
        read=f"{_given(table.key, ())} SELECT u._tr_i, {shown} FROM u JOIN {base(table)} AS t ON {_same(table)}",
        scan=scan,
        some=f"{scan} WHERE t._tr_bucket = ANY ($1::integer[])",
        sums=(
            f"SELECT _tr_bucket, count(*) FILTER ({_UPTO}), sum(_tr_h1) FILTER ({_UPTO})::text,"
            f" sum(_tr_h2) FILTER ({_UPTO})::text, array_agg(ctid) FILTER (WHERE _tr_pos > $1)"
            f" FROM {base(table)} GROUP BY _tr_bucket"
        ),
        beyond=(
            f"SELECT {', '.join((*shown_key, 't._tr_bucket'))} FROM {base(table)} AS t WHERE t.ctid = ANY ($1::tid[])"
        ),
    )


def _forget(table: Table) -> str:
    return (
        f"{_given(table.key, (('_tr_over', 'bigint'), ('_tr_key', 'bytea')))},"
        f" dug AS (DELETE FROM {SIDE_TABLE} AS d USING u"
        f" WHERE d.target = ${len(table.key) + 3} AND d.key = u._tr_key AND d.pos = u._tr_over)"
        f" UPDATE {base(table)} AS t SET _tr_pos = 0, _tr_gen = 0 FROM u"
        f" WHERE {_same(table)} AND t._tr_pos = u._tr_over"
    )


def _upsert(table: Table) -> str:
    """One pass over the given rows: each is cast where it is inserted, and no row is held in memory in between."""
    bound = _bound(table.columns, (*_WRITTEN, ("_tr_key", "bytea")))
    names = [name for name, _ in _WRITTEN]
    target = len(bound) + 1
    columns = [*quoted(table.columns), *names]
    changed = [*quoted(table.values), *names, "_tr_map"]
    selected = ", ".join((*_cast(table.columns), *(f"r.{name}" for name in names)))
    # Without OFFSET the planner would join, and build a hash of all that is given to look for a few tombstones.
    buried = (
        f"SELECT FROM {SIDE_TABLE} AS d WHERE d.target = ${target} AND d.key = r._tr_key"
        " AND (d.gen, d.pos) > (r._tr_gen, r._tr_pos) OFFSET 0"
    )
    return (
        f"WITH cleared AS (DELETE FROM {SIDE_TABLE} AS d"
        f" USING unnest({bound['_tr_key']}, {bound['_tr_gen']}, {bound['_tr_pos']}) AS u (_tr_key, _tr_gen, _tr_pos)"
        f" WHERE d.target = ${target} AND d.key = u._tr_key AND {_BURIED} <= {_GIVEN}),"
        f" landed AS (INSERT INTO {base(table)} AS t ({', '.join(columns)}, _tr_map)"
        f" SELECT {selected}, ${target + 1}::integer"
        f" FROM unnest({', '.join(bound.values())}) AS r ({', '.join(bound)}) WHERE NOT EXISTS ({buried})"
        f" ON CONFLICT ({', '.join(quoted(table.key))})"
        f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changed)}"
        f" WHERE {_STORED} <= (excluded._tr_gen, excluded._tr_pos) RETURNING 1)"
        " SELECT count(*) FROM landed"
    )


def _delete(table: Table) -> str:
    given = (("_tr_pos", "bigint"), ("_tr_bucket", "integer"), ("_tr_gen", "integer"), ("_tr_key", "bytea"))
    target = len(table.key) + len(given) + 1
    return (
        f"{_given(table.key, given)},"
        f" gone AS (DELETE FROM {base(table)} AS t USING u WHERE {_same(table)} AND {_STORED} <= {_GIVEN}),"
        f" landed AS (INSERT INTO {SIDE_TABLE} AS d (target, key, pos, bucket, gen)"
        f" SELECT ${target}, u._tr_key, u._tr_pos, u._tr_bucket, u._tr_gen FROM u"
        f" WHERE NOT EXISTS (SELECT FROM {base(table)} AS t WHERE {_same(table)} AND {_STORED} > {_GIVEN})"
        " ON CONFLICT (target, key) DO UPDATE SET pos = excluded.pos, gen = excluded.gen, seen_at = excluded.seen_at"
        f" WHERE {_BURIED} <= (excluded.gen, excluded.pos) RETURNING d.key)"
        " SELECT u._tr_i FROM u JOIN landed ON landed.key = u._tr_key"
    )


def _given(columns: Sequence[Column], reserved: Sequence[tuple[str, str]]) -> str:
    """``WITH u``: the bound arrays as rows, columns by their names and types, their ordinal as ``_tr_i``."""
    bound = _bound(columns, reserved)
    named = (f"{value} AS {quote(column.name)}" for column, value in zip(columns, _cast(columns), strict=True))
    selected = ", ".join((*named, *(f"r.{name}" for name, _ in reserved), "r._tr_i"))
    given = f"unnest({', '.join(bound.values())}) WITH ORDINALITY AS r ({', '.join((*bound, '_tr_i'))})"
    return f"WITH u AS MATERIALIZED (SELECT {selected} FROM {given})"


def _bound(columns: Sequence[Column], reserved: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The bound arrays by what they are called in ``r``: columns ``c1``, ``c2``, …, reserved fields by their names."""
    types = [*((f"c{number}", "text") for number, _ in enumerate(columns, 1)), *reserved]
    return {name: f"${number}::{type_}[]" for number, (name, type_) in enumerate(types, 1)}


def _cast(columns: Sequence[Column]) -> list[str]:
    """The columns of ``r``, each as its type."""
    return [from_text(column, f"r.c{number}") for number, column in enumerate(columns, 1)]


def _same(table: Table) -> str:
    return " AND ".join(f"t.{name} = u.{name}" for name in quoted(table.key))


def forget_arguments(table: Table, records: Sequence[Record]) -> list[object]:
    """What is bound to ``forget``; no two of the records may be of one row."""
    return [
        *key_arguments(table, [record.key for record in records]),
        [record.over for record in records],
        [record.key.canonical for record in records],
        table.target.name,
    ]


def upsert_arguments(portion: Portion) -> list[object]:
    """What is bound to ``upsert``; no two of a portion's records may be of one row."""
    table, records = portion.table, portion.upserts
    hashes = [halves(record.hash) for record in records]
    return [
        *(to_text(column, [row[column.name] for row in portion.rows]) for column in table.columns),
        [record.position for record in records],
        [high for high, _ in hashes],
        [low for _, low in hashes],
        [record.key.bucket for record in records],
        [record.generation for record in records],
        [record.key.canonical for record in records],
        table.target.name,
        table.target.mapping,
    ]


def landed_arguments(portion: Portion) -> list[object]:
    """What is bound to ``landed``, behind ``upsert`` in its transaction: what stands at its position landed."""
    return [
        *key_arguments(portion.table, [record.key for record in portion.upserts]),
        [record.position for record in portion.upserts],
        [record.generation for record in portion.upserts],
    ]


def delete_arguments(portion: Portion) -> list[object]:
    """What is bound to ``delete``; no two of a portion's records may be of one row."""
    table, records = portion.table, portion.deletes
    return [
        *key_arguments(table, [record.key for record in records]),
        [record.position for record in records],
        [record.key.bucket for record in records],
        [record.generation for record in records],
        [record.key.canonical for record in records],
        table.target.name,
    ]


def key_arguments(table: Table, keys: Sequence[Key]) -> list[list[str | None]]:
    """What is bound to ``read``: an array for each key column."""
    return [to_text(column, [key.values[place] for key in keys]) for place, column in enumerate(table.key)]


def begin(records: Sequence[Record]) -> str:
    """What begins the transaction of a batch, in one message: its locks are held before the next statement is given
    its snapshot.
    """
    pairs = ", ".join(f"({target}, {part})" for target, part in locks(records))
    kept = f"{_KEPT}; " if len(records) <= FEW else ""
    return (
        f"BEGIN ISOLATION LEVEL READ COMMITTED; {kept}"
        f"SELECT pg_advisory_xact_lock(l.target, l.part) FROM (VALUES {pairs}) AS l (target, part)"
    )
