"""What is emitted for a change: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import xxhash

from changes.canonical import Value, compiled
from changes.envelope import Delivered, Headers
from changes.errors import Misconfigured
from changes.key import key_json
from changes.schema import Column, TableSchema
from changes.topology import Topology
from changes.topology.model import CHUNK, CHUNKS, AnalysisDecl, EmbedDecl
from enrichers.contract import Made
from enrichers.inputs import read

Row = Mapping[str, bool | int | float | str | list[float] | None]


class Emitted(msgspec.Struct, frozen=True):
    """What was last emitted of a row, and at which position: enough to know whether anything new is to be said of it.

    ``input`` and ``carried`` are hashes, empty where the row is gone. ``degraded``: a later run may better it.
    ``chunks`` is how many records there are of it; 0 where each row has one.
    """

    generation: int
    position: int
    input: str
    carried: str
    degraded: bool = False
    chunks: int = 0

    def stands_over(self, said: "Emitted") -> bool:
        """Whether this was said of the row at a later generation or position than ``said``."""
        return (self.generation, self.position) > (said.generation, said.position)

    def says(self, said: "Emitted") -> bool:
        """Whether this is of the same generation, and of the same values, as ``said``."""
        return (self.generation, self.input, self.carried) == (said.generation, said.input, said.carried)


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
    chunked: bool = False
    """Whether a row has a record for each of its chunks, keyed by its key and `CHUNK`."""

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
        names = {column.name for column in made}
        if taken := {*key, *decl.carry} & names:
            raise Misconfigured(f"`{name}` of `{table}` makes a column `{min(taken)}`, and carries one of that name")
        chunked = isinstance(decl, EmbedDecl) and decl.chunk is not None
        reads, carry = tuple(decl.reads), tuple(decl.carry)
        return cls(version, table, name, topic, decl.generation, key, reads, carry, hidden, made, chunked)

    @property
    def published_as(self) -> str:
        """The name under which the schema of the results is published."""
        return f"{self.table}.{self.name}"

    def schema(self, source: TableSchema) -> TableSchema:
        """The columns of a result: the row's key, what is carried along, what is made."""
        copied = dict.fromkeys([*self.key, *self.carry])
        columns = tuple(source.column(column) for column in copied)
        key = (*self.key, CHUNK) if self.chunked else self.key
        return TableSchema(source.database, self.published_as, (*columns, *self.made), key)

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

    def row_key(self, key: Mapping[str, bool | int | float | str | None]) -> bytes:
        """The Kafka key of the row that a result with ``key`` was made of."""
        return msgspec.json.encode({column: key[column] for column in self.key})

    def chunks_of(self, after: Row) -> int:
        """How many chunks its row has, as each of them says."""
        chunks = after.get(CHUNKS)
        return chunks if self.chunked and isinstance(chunks, int) else 0

    def carried_hash(self, row: Row) -> str:
        """Of the columns that are carried along: a change of theirs is emitted again from the cache."""
        values = [row.get(column) for column in self.carry]
        return xxhash.xxh64_hexdigest(msgspec.json.encode(values), seed=0)

    @property
    def said_as(self) -> str:
        """The name under which the last `Emitted` of each row is remembered."""
        return f"{self.version}.{self.published_as}"


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


def results(
    plan: Plan,
    schema: TableSchema,
    change: Delivered,
    headers: Headers,
    rows: Sequence[Mapping[str, Made]],
    input_: str,
    before: int,
) -> Iterator[Derived]:
    """The records that say what was made of a row, at that row's position, and those that delete the chunks beyond:
    there were ``before`` of them."""
    row = change.after or {}
    for made in rows:
        after: dict[str, bool | int | float | str | list[float] | None] = {
            column.name: made[column.name] if column.name in made else row.get(column.name) for column in schema.columns
        }
        yield Derived(
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
    for chunk in range(len(rows), before):
        yield from _deletion(plan, schema, change, headers, {**_copied(plan, row), CHUNK: chunk})


def deletions(plan: Plan, schema: TableSchema, change: Delivered, headers: Headers, before: int) -> Iterator[Derived]:
    """The records that say that nothing is made of a row any more; there were ``before`` chunks of it."""
    row = _copied(plan, change.before or {})
    for one in [{**row, CHUNK: chunk} for chunk in range(before)] if plan.chunked else [row]:
        yield from _deletion(plan, schema, change, headers, one)


def _deletion(plan: Plan, schema: TableSchema, change: Delivered, headers: Headers, before: Row) -> Iterator[Derived]:
    own = Headers(headers.position, 0, schema.fingerprint, plan.generation, over=headers.over)
    key = key_json(schema, before)
    envelope = _Envelope("d", before, None, _source(plan, change))
    yield Derived(plan.topic, key, msgspec.json.encode(envelope), own)
    yield Derived(plan.topic, key, None, own)


def _copied(plan: Plan, row: Row) -> dict[str, bool | int | float | str | list[float] | None]:
    return {column: row.get(column) for column in dict.fromkeys([*plan.key, *plan.carry])}


def _source(plan: Plan, change: Delivered) -> dict[str, int | str]:
    return {"connector": "tailrace", "name": plan.version, "table": plan.published_as, "ts_us": change.source.ts_us}
