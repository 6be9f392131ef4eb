"""What is written of a record and read of an object, who wins, and where an object stands: pure.

An object's id is made of its row's key: the key's bucket in the first ten bits, then bits of the key's BLAKE2 digest.
Weaviate walks a class in the order of ids, so the rows of a bucket stand together, and a walk through some of them
needs no filter (which a walk cannot have), no index and no memory.
"""

import base64
import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from changes.canonical import BUCKETS, bucket_of
from changes.errors import Rejected
from changes.key import key_of
from changes.position import from_text, to_text
from changes.record import RESERVED, Record, StoredRow
from changes.schema import TableSchema
from sinks.weaviate.schema import DELETED, KEY, SEEN, Slot
from sinks.weaviate.values import Wire, packed, row_from, written

STAMPED = (*RESERVED, KEY, DELETED)
"""The properties that say what a row is worth, without its values."""

_BUCKET_BITS, _CUSTOM_BITS = 10, 112
_PORTION_ROWS, _PORTION_BYTES = 500, 8 << 20


class HasSize(Protocol):
    """``size`` in bytes, as it is sent."""

    @property
    def size(self) -> int: ...


Sized = TypeVar("Sized", bound=HasSize)


@dataclass(frozen=True)
class Object:
    """One object as it is written. ``vectors`` are float32, little-endian."""

    id: str
    properties: Mapping[str, Wire]
    vectors: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """One object as it was read; properties that are not set are left out."""

    id: str
    properties: dict[str, Any]
    vectors: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Stamp:
    """The reserved properties of an object. One without a position was not written by us, and gives way to anything.

    ``key`` is ``None`` where they are not whole.
    """

    position: int = 0
    generation: int = 0
    hash: int = 0
    mapping: int = 0
    deleted: bool = False
    key: bytes | None = None

    @property
    def order(self) -> tuple[int, int]:
        return self.generation, self.position


def object_id(key: bytes) -> str:
    """The id of the row with these canonical key bytes: a UUID of version 8 (RFC 9562)."""
    digest = int.from_bytes(hashlib.blake2b(key, digest_size=14).digest())
    return _uuid(bucket_of(key) << _CUSTOM_BITS | digest)


def meta_id(lane: str) -> str:
    return _uuid(int.from_bytes(hashlib.blake2b(lane.encode(), digest_size=16).digest()) >> 6)


def _uuid(bits: int) -> str:
    """The 122 bits that RFC 9562 leaves free, the greatest first, with the version and the variant between them."""
    high, middle, low = bits >> 74, bits >> 62 & 0xFFF, bits & (1 << 62) - 1
    return str(uuid.UUID(int=high << 80 | 8 << 76 | middle << 64 | 2 << 62 | low))


def bucket_of_id(id_: str) -> int:
    """The bucket in which an object is counted, whoever wrote it."""
    return int(id_[:4], 16) >> 16 - _BUCKET_BITS


def runs(buckets: Collection[int]) -> Iterator[tuple[str | None, str | None]]:
    """The ranges of ids that hold these buckets: all beyond the first id (``None``: from the beginning) up to the
    second (``None``: to the end)."""
    ordered = sorted(set(buckets) & set(range(BUCKETS)))
    start = 0
    for index, bucket in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != bucket + 1:
            yield _last_before(ordered[start]), _last_before(bucket + 1)
            start = index + 1


def _last_before(bucket: int) -> str | None:
    """The greatest id there can be before those of ``bucket``; ``None`` where there are none, or all are before it."""
    return str(uuid.UUID(int=(bucket << 128 - _BUCKET_BITS) - 1)) if 0 < bucket < BUCKETS else None


def stamp_from(properties: Mapping[str, Any]) -> Stamp:
    """Whatever is there: somebody may have written it."""
    try:
        position = from_text(properties["_tr_pos"])
        high, low, mapping = (int(properties[name]) for name in ("_tr_h1", "_tr_h2", "_tr_map"))
        key = base64.b64decode(properties[KEY], validate=True)
    except (KeyError, TypeError, ValueError):
        return Stamp()
    deleted = properties.get(DELETED) is True
    return Stamp(position, int(properties.get("_tr_gen") or 0), high << 32 | low, mapping, deleted, key)


def lands(record: Record, stored: Stamp | None) -> bool:
    """The guard: nothing newer is stored, or it is what the record names."""
    return stored is None or stored.order <= record.order or stored.position == record.over


def verdict(record: Record, stored: Stamp | None) -> Literal["applied", "stale", "lost"]:
    """What became of a record that was written, by what is stored afterwards: another writer may have come between.

    ``lost``: it wrote something older over the record, or took a tombstone for one that had expired.
    """
    if stored is None or stored.order < record.order:
        return "lost"
    return "applied" if stored.order == record.order else "stale"


def object_of(record: Record, slots: Sequence[Slot], now: int) -> Object:
    """The whole object: what it held before goes, for a bulk replaces objects. ``now`` in seconds, for a tombstone.

    Raises `Rejected` where a value has no property that can hold it.
    """
    key = record.key.canonical
    properties: dict[str, Wire] = {name: float(value) for name, value in record.reserved.items() if name != "_tr_pos"}
    properties["_tr_pos"] = to_text(record.position)
    properties[KEY] = base64.b64encode(key).decode()
    properties[DELETED] = record.row is None
    vectors: dict[str, bytes] = {}
    if record.row is None:
        properties[SEEN] = float(now)
        return Object(object_id(key), properties)
    try:
        for slot in slots:
            value = record.row[slot.column.name]
            if value is None:
                continue
            if slot.vector:
                vectors[slot.names[0]] = packed(slot, value)
            else:
                name, wire = written(slot, value)
                properties[name] = wire
    except ValueError as error:
        raise Rejected(f"Weaviate: {error}") from error
    return Object(object_id(key), properties, vectors)


def stored_row(schema: TableSchema, slots: Sequence[Slot], found: Found) -> StoredRow | None:
    """A living row. Its place is ``""``, or the object's id where that is not the one of its key: then somebody else
    wrote it, or changed its key. ``None`` for a tombstone, and for what has no key."""
    stamp = stamp_from(found.properties)
    if stamp.deleted:
        return None
    row = row_from(slots, found.properties, found.vectors)
    if any(row[name] is None for name in schema.key):
        return None
    try:
        key = key_of(schema, row)
    except ValueError:  # somebody put there what is no key
        return None
    place = "" if object_id(key.canonical) == found.id else found.id
    return StoredRow(key, place, stamp.position, stamp.hash, stamp.mapping, row, stamp.generation)


def portions(objects: Iterable[Sized]) -> Iterator[list[Sized]]:
    """Objects as calls that a server takes in one gulp."""
    portion: list[Sized] = []
    size = 0
    for one in objects:
        if portion and (len(portion) == _PORTION_ROWS or size + one.size > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += one.size
    if portion:
        yield portion
