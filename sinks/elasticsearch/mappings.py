"""An index for a target: its settings, and how its columns are searched. No I/O.

What a row *is* stands in the document's ``_source``, kept byte for byte; a mapping only says how it is found. So no
field may refuse a value: numbers, dates and booleans that are none are kept without being searchable
(``ignore_malformed``), keywords that are too long likewise (``ignore_above``).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from changes.errors import Misconfigured
from changes.record import RESERVED
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from sinks.elasticsearch import alias_of, index_of

FORMAT = 1
"""Of what is in an index beside the columns; ``_meta`` tells it."""

DELETED, BURIED_AT, UNSEARCHABLE = "_tr_deleted", "_tr_at", "_tr_vectors"
"""Fields of a tombstone: that it is one, and when it was written, in ms. Of a row: vectors that have no direction."""

LONGEST_VECTOR = 4096
"""Numbers of a vector that can be searched."""

_KEYWORD_UP_TO = 100
_LONGEST_TERM = 8191  # characters of four bytes in the 32,766 bytes of a term
_SORTED_UP_TO = 256
_EXACT_DIGITS = 15
_SOURCE_VECTORS_SINCE = (9, 2)

_FREE: dict[str, Any] = {"type": "object", "enabled": False}
_KEYWORD: dict[str, Any] = {"type": "keyword", "ignore_above": _LONGEST_TERM}
_DATE: dict[str, Any] = {"type": "date", "format": "strict_date_optional_time", "ignore_malformed": True}
_PLAIN: dict[Kind, dict[str, Any]] = {
    Kind.INTEGER: {"type": "long", "ignore_malformed": True},  # beyond 2⁶³ it is kept and not searched
    Kind.DOUBLE: {"type": "double", "ignore_malformed": True},
    Kind.DECIMAL: {"type": "double", "ignore_malformed": True},
    Kind.BOOLEAN: {"type": "boolean", "ignore_malformed": True},
    Kind.DATE: _DATE,
    Kind.DATETIME: _DATE,
    Kind.TIMESTAMP: _DATE,
    Kind.TIME: _KEYWORD,
    Kind.TEXT: _KEYWORD,
}
_METADATA = frozenset(
    ("_id", "_index", "_source", "_routing", "_ignored", "_field_names", "_seq_no", "_version", "_doc_count", "_tier")
)
_LIVING = {"bool": {"must_not": {"term": {DELETED: True}}}}


@dataclass(frozen=True)
class Analyzers:
    """What a server has to take texts apart, for documents and for queries."""

    index: str
    search: str


ANALYZERS = (Analyzers("ik_max_word", "ik_smart"), Analyzers("smartcn", "smartcn"), Analyzers("cjk", "cjk"))
"""From best to worst; the last is in every distribution."""


@dataclass(frozen=True)
class Index:
    """One target with one schema: the columns that it receives, in table order, and those of its key, in key order."""

    target: Target
    columns: tuple[Column, ...]
    key: tuple[Column, ...]

    @property
    def name(self) -> str:
        return index_of(self.target)

    @property
    def alias(self) -> str:
        return alias_of(self.target)


@dataclass(frozen=True)
class Found:
    """An index as it is: its mapping, the aliases that it is seen under, and its translog's durability."""

    meta: Mapping[str, Any]
    properties: Mapping[str, Mapping[str, Any]]
    aliases: Collection[str]
    durability: str


@lru_cache(maxsize=256)
def index_for(target: Target, schema: TableSchema) -> Index:
    """Raises `Misconfigured` where the declaration does not fit the schema, or a column cannot be a field."""
    columns = target.columns(schema)
    where = f"`{target.table}` → `{target.sink}`"
    if not schema.key or set(schema.key) != set(target.key):
        raise Misconfigured(
            f"{where}: the declared key {list(target.key)} is not the table's primary key {list(schema.key)}"
        )
    taken = {*RESERVED, DELETED, BURIED_AT, UNSEARCHABLE} | _METADATA
    for column in columns:
        if column.name in taken or "." in column.name or not column.name.strip():
            raise Misconfigured(
                f"{where}: a field cannot be called `{column.name}` (reserved, or with a dot); drop it in `columns`"
            )
    return Index(target, columns, tuple(schema.column(name) for name in schema.key))


def field_of(column: Column, analyzers: Analyzers) -> dict[str, Any]:
    """How a column is searched."""
    if column.kind is Kind.VECTOR and column.arguments[0] <= LONGEST_VECTOR:
        return {
            "type": "dense_vector",
            "dims": column.arguments[0],
            "index": True,
            "similarity": "cosine",
            "index_options": {"type": "int8_hnsw"},
        }
    if column.kind is Kind.TEXT and not _short(column):
        return {
            "type": "text",
            "analyzer": analyzers.index,
            "search_analyzer": analyzers.search,
            "fields": {"keyword": {"type": "keyword", "ignore_above": _SORTED_UP_TO}},
        }
    if column.kind is Kind.DECIMAL and column.arguments and column.arguments[0] > _EXACT_DIGITS:
        return {**_PLAIN[column.kind], "fields": {"exact": _KEYWORD}}
    return _PLAIN.get(column.kind, _FREE)


def _short(column: Column) -> bool:
    """Whether a text is a name or an id rather than prose."""
    if column.base_type in {"enum", "set"}:
        return True
    return column.base_type in {"char", "varchar"} and bool(column.arguments) and column.arguments[0] <= _KEYWORD_UP_TO


def takes_objects(properties: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a field takes JSON's objects and arrays as they are; one whose column was of another type may not."""
    return properties.get(name, _FREE).get("enabled") is False


def takes_vectors(properties: Mapping[str, Mapping[str, Any]], column: Column) -> bool:
    field = properties.get(column.name, _FREE)
    return field.get("dims") == column.arguments[0] or field.get("enabled") is False


def creation(index: Index, analyzers: Analyzers, version: tuple[int, int]) -> dict[str, Any]:
    """The body that creates an index and its alias on a server of a version.

    It is hidden, so that no ``<database>_*`` reads tombstones. Refreshed by the clock also where nobody searches: what
    was written is visible within a second.
    """
    settings: dict[str, Any] = {
        "number_of_shards": 1,
        "auto_expand_replicas": "0-1",
        "hidden": True,
        "refresh_interval": "1s",
        "translog.durability": "request",
    }
    if version >= _SOURCE_VECTORS_SINCE:
        settings["mapping.exclude_source_vectors"] = False
    return {
        "settings": {"index": settings},
        "aliases": {index.alias: alias_body()},
        "mappings": {
            "dynamic": False,
            "_meta": meta(index),
            "properties": {**_reserved(), **{c.name: field_of(c, analyzers) for c in index.columns}},
        },
    }


def alias_body() -> dict[str, Any]:
    return {"filter": _LIVING, "is_write_index": True, "is_hidden": False}


def meta(index: Index) -> dict[str, Any]:
    return {"tailrace": {"format": FORMAT, "mapping": index.target.mapping}}


def _reserved() -> dict[str, Any]:
    sizes = {"_tr_bucket": "short", "_tr_map": "integer", "_tr_gen": "integer"}
    return {
        **{name: {"type": sizes.get(name, "long")} for name in RESERVED},
        DELETED: {"type": "boolean"},
        BURIED_AT: {"type": "long"},
        UNSEARCHABLE: _FREE,
    }


def additions(index: Index, analyzers: Analyzers, found: Found) -> dict[str, Any]:
    """The fields that an index lacks. Raises `Misconfigured` for one that is not ours, or cannot hold the columns."""
    ours = found.meta.get("tailrace")
    if not isinstance(ours, Mapping):
        raise Misconfigured(f"Elasticsearch: the index `{index.name}` is not ours; remove it or choose another `place`")
    if ours.get("format") != FORMAT:
        raise Misconfigured(f"Elasticsearch: the index `{index.name}` was made by another version of Tailrace")
    for column in index.columns:
        if column.kind is Kind.VECTOR and not takes_vectors(found.properties, column):
            raise Misconfigured(
                f"Elasticsearch: `{index.name}` holds other vectors than `{column.type}` in `{column.name}`:"
                f" choose another `place` and replay `{index.target.table}`"
            )
    fields = {**_reserved(), **{c.name: field_of(c, analyzers) for c in index.columns}}
    return {name: field for name, field in fields.items() if name not in found.properties}


def outgrown(index: Index, analyzers: Analyzers, found: Found) -> list[str]:
    """The columns that are kept right, and still searched as the type that they had when they were first mapped."""
    return [
        c.name
        for c in index.columns
        if c.name in found.properties
        and found.properties[c.name].get("type", "object") != field_of(c, analyzers)["type"]
    ]
