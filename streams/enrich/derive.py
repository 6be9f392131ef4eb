"""What is emitted for a change: pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
import xxhash

from changes.canonical import Value, compiled
from changes.envelope import Delivered, Headers
from changes.errors import Misconfigured
from changes.key import key_json
from changes.schema import Column, TableSchema
from changes.topology import Topology
from changes.topology.model import AnalysisDecl, EmbedDecl
from enrichers.contract import Made
from enrichers.inputs import read

Row = Mapping[str, bool | int | float | str | list[float] | None]


class Emitted(msgspec.Struct, frozen=True, array_like=True):
    """What was last emitted of a row: enough to know that nothing new is to be said of it."""

    generation: int
    input: str
    carried: str


@dataclass(frozen=True)
class Plan:
    """One enricher of one table, as it is emitted. ``hidden`` columns reach no model."""

    version: str
    table: str
    name: str
    topic: str
    generation: int
    key: tuple[str, ...]
    reads: tuple[str, ...]
    carry: tuple[str, ...]
    hidden: frozenset[str]
    made: tuple[Column, ...]

    @classmethod
    def of(
        cls,
        version: str,
        table: str,
        name: str,
        topic: str,
        key: tuple[str, ...],
        hidden: frozenset[str],
        decl: EmbedDecl | AnalysisDecl,
        made: tuple[Column, ...],
    ) -> "Plan":
        """Raises `Misconfigured` where a column that is made has the name of one that is carried or of the key."""
        taken = {*key, *decl.carry} & {column.name for column in made}
        if taken:
            raise Misconfigured(f"`{name}` of `{table}` makes a column `{min(taken)}`, and carries one of that name")
        return cls(
            version, table, name, topic, decl.generation, key, tuple(decl.reads), tuple(decl.carry), hidden, made
        )

    @property
    def published_as(self) -> str:
        """The name under which the schema of the results is published."""
        return f"{self.table}.{self.name}"

    def schema(self, source: TableSchema) -> TableSchema:
        """The columns of a result: the row's key, what is carried along, what is made."""
        copied = dict.fromkeys([*self.key, *self.carry])
        columns = tuple(source.column(column) for column in copied)
        return TableSchema(source.database, self.published_as, (*columns, *self.made), self.key)

    def readable(self, row: Mapping[str, Value]) -> dict[str, bool | int | float | str | None]:
        """``row`` without what must reach no model."""
        return {
            column: value
            for column, value in row.items()
            if column not in self.hidden and not isinstance(value, list | bytes)
        }

    def input_hash(self, row: Mapping[str, Value]) -> str:
        """Of what is read of ``row``: the ``tr-input`` of what is made from it."""
        return read(self.reads, self.readable(row)).hash

    def carried_hash(self, row: Row) -> str:
        """Of the columns that are carried along: a change of theirs is emitted again from the cache."""
        values = [row.get(column) for column in self.carry]
        return xxhash.xxh64_hexdigest(msgspec.json.encode(values), seed=0)

    def state_key(self, key: bytes) -> str:
        """Where the last `Emitted` of a row is remembered."""
        return f"{self.version}:emitted:{self.published_as}:{key.decode()}"


def plan_of(topology: Topology, version: str, table: str, name: str, made: tuple[Column, ...] = ()) -> Plan:
    """The declared plan of one enricher; ``made`` are the columns that it makes, which only emitting needs."""
    declared = topology.tables[table]
    return Plan.of(
        version,
        table,
        name,
        topology.derived_topic(version, table, name),
        tuple(declared.key),
        frozenset(declared.columns.personal),
        declared.enrich[name],
        made,
    )


class Derived(msgspec.Struct, frozen=True):
    """One record of an enriched topic; ``value`` ``None`` is a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


class _Envelope(msgspec.Struct, frozen=True):
    op: str
    before: Row | None
    after: Row | None
    source: dict[str, int | str]


def result(
    plan: Plan, schema: TableSchema, change: Delivered, headers: Headers, made: Mapping[str, Made], input_: str
) -> Derived:
    """The record that says what was made of a row, at that row's position."""
    row = change.after or {}
    after: dict[str, bool | int | float | str | list[float] | None] = {
        column.name: made[column.name] if column.name in made else row.get(column.name) for column in schema.columns
    }
    return Derived(
        plan.topic,
        key_json(schema, after),
        msgspec.json.encode(_Envelope("r" if change.op == "r" else "u", None, after, _source(plan, change))),
        Headers(
            headers.position,
            compiled(schema.columns)(after),
            schema.fingerprint,
            plan.generation,
            input_,
            over=headers.over,
        ),
    )


def deletion(plan: Plan, schema: TableSchema, change: Delivered, headers: Headers) -> Iterator[Derived]:
    """The records that say that nothing is made of a row any more."""
    row = change.before or {}
    before = {column: row.get(column) for column in dict.fromkeys([*plan.key, *plan.carry])}
    own = Headers(headers.position, 0, schema.fingerprint, plan.generation, over=headers.over)
    key = key_json(schema, before)
    envelope = _Envelope("d", before, None, _source(plan, change))
    yield Derived(plan.topic, key, msgspec.json.encode(envelope), own)
    yield Derived(plan.topic, key, None, own)


def _source(plan: Plan, change: Delivered) -> dict[str, int | str]:
    return {"connector": "tailrace", "name": plan.version, "table": plan.published_as, "ts_us": change.source.ts_us}
