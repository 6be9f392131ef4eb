"""What a table's columns are, as its binlog events or `information_schema` tell it."""

from enum import StrEnum

import msgspec
import xxhash

from changes.errors import Misconfigured


class Kind(StrEnum):
    """What a column's values are in the envelope, and so how their canonical form is made.

    One kind gathers all MySQL types whose values are written the same way.
    """

    INTEGER = "integer"  # TINYINT … BIGINT, YEAR: a number
    DECIMAL = "decimal"  # a string
    DOUBLE = "double"  # FLOAT, DOUBLE: a number
    TEXT = "text"  # CHAR … LONGTEXT, ENUM, SET: a string
    BYTES = "bytes"  # BINARY … LONGBLOB, BIT(n>1), GEOMETRY, MySQL's VECTOR: base64
    BOOLEAN = "boolean"  # BIT(1): true or false
    DATE = "date"  # ISO string
    TIME = "time"  # ISO string
    DATETIME = "datetime"  # ISO string, no zone of its own
    TIMESTAMP = "timestamp"  # ISO string, UTC
    JSON = "json"  # a string that holds JSON
    VECTOR = "vector"  # made by an enricher, ``vector(n)``: a list of n numbers, each a float32


class Column(msgspec.Struct, frozen=True, gc=False):
    """One captured column.

    ``type`` is the MySQL type in lower case as `information_schema` spells it (``bigint unsigned``,
    ``decimal(10,2)``, ``datetime(6)``): sinks derive their own column types from it.
    """

    name: str
    kind: Kind
    type: str
    nullable: bool = True

    @property
    def unsigned(self) -> bool:
        return " unsigned" in self.type and self.kind is not Kind.TEXT

    @property
    def arguments(self) -> tuple[int, ...]:
        """The numbers in the type's brackets: ``(10, 2)`` of ``decimal(10,2)``; empty where there are none."""
        _, bracket, rest = self.type.partition("(")
        if not bracket or (self.kind is Kind.TEXT and self.type.startswith(("enum", "set"))):
            return ()
        return tuple(int(part) for part in rest.partition(")")[0].split(","))

    @property
    def base_type(self) -> str:
        """The type's bare word: ``decimal`` of ``decimal(10,2)``."""
        return self.type.partition("(")[0].partition(" ")[0]


class TableSchema(msgspec.Struct, frozen=True, gc=False):
    """A table's captured columns in table order, and the names of its key in key order."""

    database: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the column list: the ``tr-schema`` header."""
        return xxhash.xxh64_hexdigest(msgspec.json.encode((self.columns, self.key)), seed=0)

    def column(self, name: str) -> Column:
        """Raises `Misconfigured` where the table has no such column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise Misconfigured(f"table `{self.table}` has no column `{name}`")


_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), Kind.INTEGER),
    "decimal": Kind.DECIMAL,
    **dict.fromkeys(("float", "double"), Kind.DOUBLE),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("enum", "set"), Kind.TEXT),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
    **dict.fromkeys(
        (
            "geometry",
            "point",
            "linestring",
            "polygon",
            "multipoint",
            "multilinestring",
            "multipolygon",
            "geomcollection",
            "geometrycollection",
            "vector",
        ),
        Kind.BYTES,
    ),
    "date": Kind.DATE,
    "time": Kind.TIME,
    "datetime": Kind.DATETIME,
    "timestamp": Kind.TIMESTAMP,
    "json": Kind.JSON,
}


def kind_of(type_: str) -> Kind:
    """The kind of a MySQL type as `information_schema.COLUMN_TYPE` spells it.

    Raises `Misconfigured` for a type that Tailrace does not know: it never guesses at values.
    """
    word = type_.partition("(")[0].partition(" ")[0].lower()
    if word == "bit":
        return Kind.BOOLEAN if type_.lower() in {"bit", "bit(1)"} else Kind.BYTES
    kind = _KINDS.get(word)
    if kind is None:
        raise Misconfigured(f"the column type `{type_}` is not supported")
    return kind
