"""The identity of a row: its key's values, and the bytes that stand for them."""

from collections.abc import Callable, Mapping

import msgspec

from changes.canonical import Value, bucket_of, canonical_row, tag_of
from changes.schema import Kind, TableSchema


class Key(msgspec.Struct, frozen=True):
    """A row's key.

    ``values`` are the key columns in key order as the envelope holds them; ``canonical`` are the bytes that are
    compared, hashed into buckets and stored in tombstones. Keys are equal exactly when these are.
    """

    values: tuple[Value, ...]
    canonical: bytes

    @property
    def bucket(self) -> int:
        return bucket_of(self.canonical)

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.canonical == other.canonical


def key_of(schema: TableSchema, row: Mapping[str, Value]) -> Key:
    """The key of ``row``, which must hold the key columns; others are not looked at."""
    columns = tuple(schema.column(name) for name in schema.key)
    return Key(tuple(row[name] for name in schema.key), canonical_row(columns, row))


def keys_of(schema: TableSchema) -> Callable[[Mapping[str, Value]], Key]:
    """`key_of` for one schema, with the columns looked up once: for many rows."""
    columns = tuple(schema.column(name) for name in schema.key)
    names = schema.key

    def composed(row: Mapping[str, Value]) -> Key:
        return Key(tuple([row[name] for name in names]), canonical_row(columns, row))

    if len(columns) != 1 or columns[0].kind is not Kind.INTEGER:
        return composed
    name, encoded = names[0], names[0].encode()
    head = b"%d:%b%b" % (len(encoded), encoded, tag_of(Kind.INTEGER))

    def single(row: Mapping[str, Value]) -> Key:
        value = row[name]
        if type(value) is not int:
            return composed(row)
        digits = b"%d" % value
        return Key((value,), b"%b%d:%b" % (head, len(digits), digits))

    return single


def key_json(schema: TableSchema, row: Mapping[str, Value]) -> bytes:
    """The Kafka key: Debezium's JSON for the same key, ``{"id":7}``, columns in key order.

    These bytes choose the partition, so they are frozen by a golden test.
    """
    return msgspec.json.encode({name: row[name] for name in schema.key})
