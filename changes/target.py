"""Where the rows of one table go in one store, as `topics.yaml` declares it."""

from typing import Literal

import msgspec
import xxhash

from changes.schema import Column, TableSchema
from changes.tier import Tier


class Edge(msgspec.Struct, frozen=True, gc=False):
    """A relationship that each row makes, from one node to another.

    An end is the node with the label ``start`` (``end``) whose key is the value of the column ``start_key``
    (``end_key``); both are ``""`` where it is the row's own node. A row with NULL there makes none.
    """

    type: str
    start: str = ""
    start_key: str = ""
    end: str = ""
    end_key: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that name its ends."""
        return tuple(name for name in (self.start_key, self.end_key) if name)


class Target(msgspec.Struct, frozen=True, gc=False):
    """One (version, table, sink, place).

    ``of`` is the enricher whose results go here, ``None`` where it is the rows themselves. ``table`` is the name under
    which the schema of what goes here is published: the table's, or ``<table>.<enricher>``.
    ``place`` is a table name, or a pattern such as ``job:{id}`` whose braces name columns. ``keep`` is ``mirror``
    (every row is there, none has a lifetime) or ``cache`` (a row that is there is right; ``keep_for`` seconds).
    ``user`` names the column that holds the id of the row's owner. ``hidden`` are captured columns that this
    target must not receive; ``only`` restricts it to some. ``edges`` are what each row makes in a graph. ``stands_for``
    is the declared place that this one, which is not declared, is to be exchanged with: its rows are stored as that
    one's.
    """

    version: str
    database: str
    table: str
    key: tuple[str, ...]
    sink: str
    tier: Tier
    place: str
    keep: Literal["mirror", "cache"] = "mirror"
    keep_for: int | None = None
    owns: Literal["table", "rows", "columns"] = "table"
    user: str | None = None
    hidden: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    tombstones_for: int = 7 * 86400
    of: str | None = None
    edges: tuple[Edge, ...] = ()
    stands_for: str | None = None

    @property
    def name(self) -> str:
        """Unique within a version's sink: what outcomes, metrics and tombstones are filed under."""
        return self.place

    @property
    def declared(self) -> str:
        """The `name` of the declared place that it is, or stands for."""
        return self.stands_for or self.place

    @property
    def source(self) -> str:
        """The table whose rows these are, or are made from."""
        return self.table if self.of is None else self.table.removesuffix(f".{self.of}")

    @property
    def mapping(self) -> int:
        """The mapping version ``_tr_map``: 31 bits that change when this declaration changes what is stored."""
        declared = (
            self.declared,
            self.keep,
            self.keep_for,
            self.user,
            sorted(self.hidden),
            None if self.only is None else sorted(self.only),
            # Only where there are any, so that the others stay what they were.
            *(() if self.of is None else (self.of,)),
            *((self.edges,) if self.edges else ()),
        )
        return xxhash.xxh32_intdigest(msgspec.json.encode(declared), seed=0) >> 1

    def columns(self, schema: TableSchema) -> tuple[Column, ...]:
        """The columns of ``schema`` that this target receives, in table order; key columns always."""
        return tuple(
            column
            for column in schema.columns
            if column.name in self.key
            or (column.name not in self.hidden and (self.only is None or column.name in self.only))
        )
