"""The Cypher that makes, writes and reads nodes and relationships, all values bound: no I/O.

A row is a node with the target's place as its label, found by ``_tr_key``. A node that only relationships ask for, of a
row that was deleted or never came, is a *stub*: its key and ``_tr_stub``. A deleted row's position stands in a node of
its own, its tombstone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from changes.record import RESERVED
from changes.schema import Kind
from sinks.neo4j import OURS, check_name
from sinks.sql.table import Table

KEY, STUB = "_tr_key", "_tr_stub"
KEPT = {*RESERVED, KEY, STUB}
"""The names of properties that are ours."""

TOMBSTONE = f"{OURS}_tombstone"
META = f"{OURS}_meta"
EDGES = f"{OURS}_edges"

SETUP = {
    f"{OURS}_tombstone_key": f"CONSTRAINT ? FOR (d:{TOMBSTONE}) REQUIRE (d.target, d.key) IS UNIQUE",
    f"{OURS}_tombstone_pos": f"INDEX ? FOR (d:{TOMBSTONE}) ON (d.target, d.pos)",
    f"{OURS}_tombstone_seen": f"INDEX ? FOR (d:{TOMBSTONE}) ON (d.target, d.seen_at)",
    f"{OURS}_meta_lane": f"CONSTRAINT ? FOR (m:{META}) REQUIRE m.lane IS UNIQUE",
    f"{OURS}_edges_target": f"CONSTRAINT ? FOR (m:{EDGES}) REQUIRE m.target IS UNIQUE",
}
"""What every database needs, by name; `create` makes a statement of each."""

NAMES = "SHOW INDEXES YIELD name RETURN name"
"""Every index, those of constraints among them."""

AWAIT = "CALL db.awaitIndexes($seconds)"

STAMP = f"MERGE (m:{META} {{lane: $lane}}) SET m.lane = $lane WITH m, m.stamp AS old SET m.stamp = $stamp RETURN old"
"""Setting what is set already takes the node's lock, so that ``old`` is what is replaced."""

STAMPED = f"MATCH (m:{META} {{lane: $lane}}) RETURN m.stamp"

TYPES = f"MATCH (m:{EDGES} {{target: $target}}) RETURN m.types"
"""The types of all relationships that rows of a target have ever made."""

ADD_TYPES = (
    f"MERGE (m:{EDGES} {{target: $target}}) SET m.target = $target WITH m, coalesce(m.types, []) AS old"
    " SET m.types = old + [t IN $types WHERE NOT t IN old] RETURN m.types"
)

BURIED = f"UNWIND $keys AS k MATCH (d:{TOMBSTONE} {{target: $target, key: k}}) RETURN k, d.gen, d.pos"
BURY = (
    f"UNWIND $graves AS g MERGE (d:{TOMBSTONE} {{target: $target, key: g.key}})"
    " SET d.gen = g.gen, d.pos = g.pos, d.bucket = g.bucket, d.canonical = g.canonical, d.seen_at = timestamp()"
)
DIG_UP = f"UNWIND $keys AS k MATCH (d:{TOMBSTONE} {{target: $target, key: k}}) DELETE d"
BURIED_BEYOND = f"MATCH (d:{TOMBSTONE}) WHERE d.target = $target AND d.pos > $upto RETURN d.key, d.canonical, d.bucket"
EXPIRE = (
    f"MATCH (d:{TOMBSTONE}) WHERE d.target = $target AND d.seen_at < timestamp() - $kept"
    " CALL (d) { DELETE d } IN TRANSACTIONS OF 10000 ROWS"
)
"""``kept``: milliseconds. It runs in transactions of its own."""

CUT = "MATCH ()-[e]->() WHERE elementId(e) IN $ids DELETE e"
LOCK_IDS = f"UNWIND $ids AS id MATCH (n) WHERE elementId(n) = id SET n.{KEY} = n.{KEY}"
CLEAN_IDS = f"UNWIND $ids AS id MATCH (n) WHERE elementId(n) = id AND n.{STUB} AND NOT (n)--() DELETE n"
"""Removes those of the nodes that are stubs to which nothing leads any more."""


def quote(name: str) -> str:
    """A name as Cypher takes any but one that `check_name` refuses."""
    check_name(name, "Neo4j")
    return "`" + name.replace("`", "``") + "`"


@lru_cache(maxsize=256)
def lock(label: str) -> str:
    """Makes sure of nodes, locks them in the order of the keys and returns of each the key, generation, position, and
    whether it is a stub, as they are behind the lock.

    The uniqueness constraint has two writers of a key that neither has seen wait for each other, and setting the key to
    what it is takes the lock of a node that is there.
    """
    return (
        f"UNWIND $keys AS k MERGE (n:{quote(label)} {{{KEY}: k}}) ON CREATE SET n.{STUB} = true SET n.{KEY} = k"
        f" WITH k, n RETURN k, coalesce(n._tr_gen, 0), coalesce(n._tr_pos, -1), coalesce(n.{STUB}, false)"
    )


_GIVEN = ("_tr_gen", "_tr_pos", "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map")
"""The reserved fields in the order in which a bound row has them, behind its key."""

_FRESH = (
    f"CASE WHEN n.{STUB} THEN NOT EXISTS {{ MATCH (:{TOMBSTONE} {{target: $target, key: r[0]}}) }}"
    " ELSE coalesce(n._tr_gen, 0) < r[1] OR (coalesce(n._tr_gen, 0) = r[1] AND n._tr_pos <= r[2]) END"
)


def bound(key: str, reserved: Mapping[str, int], values: Sequence[Any]) -> list[Any]:
    """A row as `upsert` and `put` take it; ``values`` are those of the table's columns."""
    return [key, *(reserved[name] for name in _GIVEN), *values]


@lru_cache(maxsize=256)
def upsert(table: Table, withheld: Sequence[str]) -> str:
    """Makes sure of nodes and locks them, as `lock` does, and writes those that the store may have older: alive and not
    newer, or new without a tombstone. Returns of all others what `lock` returns."""
    label = quote(table.target.place)
    return (
        f"UNWIND $rows AS r MERGE (n:{label} {{{KEY}: r[0]}}) ON CREATE SET n.{STUB} = true SET n.{KEY} = r[0]"
        f" WITH n, r, {_FRESH} AS fresh CALL (n, r, fresh) {{ WITH * WHERE fresh SET {_set(table, withheld)} }}"
        " WITH n, r, fresh WHERE NOT coalesce(fresh, false)"
        f" RETURN r[0], coalesce(n._tr_gen, 0), coalesce(n._tr_pos, -1), coalesce(n.{STUB}, false)"
    )


@lru_cache(maxsize=256)
def put(table: Table, withheld: Sequence[str]) -> str:
    """Writes nodes that are locked."""
    label = quote(table.target.place)
    return f"UNWIND $rows AS r MATCH (n:{label} {{{KEY}: r[0]}}) SET {_set(table, withheld)}"


def _set(table: Table, withheld: Sequence[str]) -> str:
    """A column that has gone from MySQL stays, and keeps what it held; one that is ``withheld`` goes."""
    names = [*_GIVEN, *(quote(column.name) for column in table.columns)]
    gone = [STUB, *map(quote, withheld)]
    return ", ".join(
        (*(f"n.{name} = r[{place}]" for place, name in enumerate(names, 1)), *(f"n.{name} = null" for name in gone))
    )


@lru_cache(maxsize=256)
def hollow(label: str) -> str:
    """Takes all values from nodes, and removes those to which nothing leads."""
    return (
        f"UNWIND $keys AS k MATCH (n:{quote(label)} {{{KEY}: k}}) SET n = {{{KEY}: k, {STUB}: true}}"
        " WITH n WHERE NOT (n)--() DELETE n"
    )


@lru_cache(maxsize=256)
def clean(label: str) -> str:
    """Removes stubs to which nothing leads."""
    return f"UNWIND $keys AS k MATCH (n:{quote(label)} {{{KEY}: k}}) WHERE n.{STUB} AND NOT (n)--() DELETE n"


@lru_cache(maxsize=256)
def strays(table: Table) -> str:
    """Removes nodes of the label that have no key of ours and hold the key columns of one of the rows."""
    same = ", ".join(f"{quote(column.name)}: r[{number}]" for number, column in enumerate(table.key))
    label = quote(table.target.place)
    return f"UNWIND $rows AS r MATCH (n:{label} {{{same}}}) WHERE n.{KEY} IS NULL DETACH DELETE n"


@lru_cache(maxsize=256)
def tie(type_: str, start: str, end: str) -> str:
    return (
        f"UNWIND $ties AS t MATCH (a:{quote(start)} {{{KEY}: t.start}}), (b:{quote(end)} {{{KEY}: t.end}})"
        f" CREATE (a)-[:{quote(type_)} {{_tr_target: $target, {KEY}: t.key, _tr_gen: t.gen, _tr_pos: t.pos}}]->(b)"
    )


_HELD = f"elementId(a), labels(a), a.{KEY}, elementId(b), labels(b), b.{KEY}"


@lru_cache(maxsize=256)
def held(type_: str) -> str:
    """The relationships of a type that rows of a target made: the row's key, and the fields of `edges.Held` but the
    type."""
    return (
        f"UNWIND $keys AS k MATCH (a)-[e:{quote(type_)} {{_tr_target: $target, {KEY}: k}}]->(b)"
        f" RETURN k, elementId(e), {_HELD}"
    )


@dataclass(frozen=True)
class Statements:
    """The texts for one table.

    ``scan``, ``some`` (of buckets), ``stray`` (without one), ``read`` (of keys) and ``found`` (of element ids) return
    of each row its node's key, the columns, the reserved fields, for each type of its edges the fields of `edges.Held`
    but the type, of those that the row made, and its element id where it has no key of ours, else "". ``sums`` and
    ``resum`` return for each bucket count and sums of the rows up to a position, and the key columns of those beyond
    it; ``resum`` is of some buckets, without some keys.
    """

    scan: str
    some: str
    stray: str
    read: str
    found: str
    sums: str
    resum: str


@lru_cache(maxsize=256)
def statements_of(table: Table) -> Statements:
    label = quote(table.target.place)
    fields = ", ".join(f"n.{quote(column.name)}" for column in table.columns)
    edges = ", ".join(_made(type_) for type_ in types_of(table))
    reserved = ", ".join(f"n.{name}" for name in RESERVED)
    strange = f"CASE WHEN n.{KEY} IS NULL THEN elementId(n) ELSE '' END"
    shown = f"n.{KEY}, [{fields}], [{reserved}], [{edges}], {strange}"
    rows = f"MATCH (n:{label}) WHERE n.{STUB} IS NULL"
    summed = (
        "WITH n._tr_bucket AS bucket, n._tr_pos AS pos, n._tr_h1 AS h1, n._tr_h2 AS h2,"
        f" [{', '.join(f'n.{quote(column.name)}' for column in table.key)}] AS key"
        " RETURN bucket, sum(CASE WHEN pos <= $upto THEN 1 ELSE 0 END), sum(CASE WHEN pos <= $upto THEN h1 ELSE 0 END),"
        " sum(CASE WHEN pos <= $upto THEN h2 ELSE 0 END), collect(CASE WHEN pos > $upto THEN key END)"
    )
    return Statements(
        scan=f"{rows} RETURN {shown}",
        some=f"{rows} AND n._tr_bucket IN $buckets RETURN {shown}",
        stray=f"{rows} AND n._tr_bucket IS NULL RETURN {shown}",
        read=f"UNWIND $keys AS k MATCH (n:{label} {{{KEY}: k}}) WHERE n.{STUB} IS NULL RETURN {shown}",
        found=f"UNWIND $ids AS id MATCH (n:{label}) WHERE elementId(n) = id AND n.{KEY} IS NULL RETURN {shown}",
        sums=f"MATCH (n:{label}) WHERE n._tr_bucket IS NOT NULL {summed}",
        resum=f"MATCH (n:{label}) WHERE n._tr_bucket IN $buckets AND NOT n.{KEY} IN $without {summed}",
    )


def types_of(table: Table) -> tuple[str, ...]:
    """The types of a table's edges, each once, in the order of their declaration."""
    return tuple(dict.fromkeys(edge.type for edge in table.target.edges))


def _made(type_: str) -> str:
    return (
        f"COLLECT {{ MATCH (a)-[e:{quote(type_)} {{_tr_target: $target, {KEY}: n.{KEY}}}]->(b)"
        f" RETURN [elementId(e), {_HELD}] }}"
    )


def indexed(table: Table) -> bool:
    """Whether there is an index of the key columns, as applications look rows up."""
    return not any(column.kind in {Kind.BYTES, Kind.VECTOR} for column in table.key)


def setup(table: Table) -> dict[str, str]:
    """What a table's label and relationships need, in the form of `SETUP`."""
    target, label = table.target, quote(table.target.place)
    ends = (one for edge in target.edges for one in (edge.start, edge.end) if one)
    made = {
        f"{OURS}_key_{one}": f"CONSTRAINT ? FOR (n:{quote(one)}) REQUIRE n.{KEY} IS UNIQUE"
        for one in dict.fromkeys((target.place, *ends))
    }
    made[f"{OURS}_bucket_{target.place}"] = f"INDEX ? FOR (n:{label}) ON (n._tr_bucket)"
    if indexed(table):
        names = ", ".join(f"n.{quote(column.name)}" for column in table.key)
        made[f"{OURS}_columns_{target.place}"] = f"INDEX ? FOR (n:{label}) ON ({names})"
    for type_ in types_of(table):
        made[f"{OURS}_made_{type_}"] = f"INDEX ? FOR ()-[e:{quote(type_)}]-() ON (e._tr_target, e.{KEY})"
    return made


def create(name: str, what: str) -> str:
    """The statement that makes an index or a constraint of `SETUP`'s form."""
    return "CREATE " + what.replace("?", f"{quote(name)} IF NOT EXISTS", 1)
