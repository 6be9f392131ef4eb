"""Filters, documents, pipelines and indexes, and stored documents as rows: no I/O.

A document of a row::

    {_id: <key>, <column>: <value>, …, _tr_pos, _tr_h1, _tr_h2: int64, _tr_bucket, _tr_map, _tr_gen: int32}

A tombstone has the key's columns of these, ``_tr_deleted: true`` and ``_tr_until``, the date after which it may go.
Where a document lacks a reserved field (somebody else's, or from before there were generations), that counts as 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from bson import Int64, ObjectId, encode
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from changes.canonical import Value
from changes.errors import Misconfigured, Rejected
from changes.key import Key, keys_of
from changes.record import RESERVED, BucketSum, Record, StoredRow, StoredSums
from changes.schema import Column, TableSchema
from changes.target import Target
from sinks.mongodb.values import Decode, Encode, decoder, encoder, id_decoder, id_encoder

DELETED, UNTIL = "_tr_deleted", "_tr_until"

LONGEST = 16 * 1024 * 1024
"""Bytes of a document."""

Order = tuple[int, int]
"""(generation, position)."""


@dataclass(frozen=True)
class Layout:
    """One target with one schema: how each of its columns is written and read, and the key's as ``_id``."""

    target: Target
    schema: TableSchema
    put: tuple[tuple[str, Encode | None], ...]
    take: tuple[tuple[str, Decode], ...]
    to_id: tuple[tuple[str, Encode], ...]
    from_id: tuple[tuple[str, Decode], ...]
    key_of: Callable[[Mapping[str, Value]], Key]


@lru_cache(maxsize=256)
def layout_of(target: Target, schema: TableSchema) -> Layout:
    """Raises `Misconfigured` where the declaration does not fit the schema, or the schema MongoDB."""
    columns = target.columns(schema)
    names = {column.name for column in columns}
    where = f"`{target.table}` → `{target.sink}`"
    if not schema.key or set(schema.key) != set(target.key):
        raise Misconfigured(
            f"{where}: the declared key {list(target.key)} is not the table's primary key {list(schema.key)}"
        )
    if clash := sorted(names & {*RESERVED, DELETED, UNTIL, "_id"}):
        raise Misconfigured(f"{where}: the column `{clash[0]}` has a name that is reserved; drop it in `columns`")
    if unfit := sorted(name for name in names if name.startswith("$") or "." in name or "\0" in name):
        raise Misconfigured(f"{where}: the column `{unfit[0]}` has no name for a field; drop it in `columns`")
    if target.user is not None and target.user not in names:
        raise Misconfigured(f"{where}: the user column `{target.user}` is not among the columns of this target")
    key = [schema.column(name) for name in schema.key]
    return Layout(
        target,
        schema,
        tuple((column.name, encoder(column)) for column in columns),
        tuple((column.name, decoder(column)) for column in columns),
        tuple((column.name, id_encoder(column)) for column in key),
        tuple((column.name, id_decoder(column)) for column in key),
        keys_of(schema),
    )


def id_of(layout: Layout, key: Key) -> Any:
    """A key of one column as its value, one of several as a document of them, in key order."""
    values = [encode_(value) for (_, encode_), value in zip(layout.to_id, key.values, strict=True)]
    return values[0] if len(values) == 1 else {name: v for (name, _), v in zip(layout.to_id, values, strict=True)}


def key_from(layout: Layout, id_: Any) -> Key | None:
    """The inverse of `id_of`; ``None`` for an ``_id`` that no key has."""
    parts = list(id_.values()) if isinstance(id_, dict) and len(layout.from_id) > 1 else [id_]
    try:
        values = {name: take(part) for (name, take), part in zip(layout.from_id, parts, strict=True)}
        key = layout.key_of(values)
        return key if id_of(layout, key) == id_ else None
    except (ValueError, TypeError, ArithmeticError):
        return None


def hashable(id_: Any) -> Any:
    return tuple(id_.items()) if isinstance(id_, dict) else id_


class Ready(NamedTuple):
    """A record as it is written: ``at`` is its place in the batch, ``document`` has no ``_id``."""

    at: int
    record: Record
    id: Any
    document: RawBSONDocument


def ready(index: int, record: Record, layout: Layout, now: datetime) -> Ready:
    """Raises `Rejected` where the record has a value that is none, or makes no document of MongoDB's."""
    target = record.target
    try:
        id_ = id_of(layout, record.key)
        if record.row is None:
            document = fields_of(layout, dict(zip(layout.schema.key, record.key.values, strict=True)))
            document |= _reserved(record)
            document[DELETED] = True
            document[UNTIL] = now + timedelta(seconds=target.tombstones_for)
        else:
            document = fields_of(layout, record.row)
            document |= _reserved(record)
            if target.keep == "cache" and target.keep_for:
                document[UNTIL] = now + timedelta(seconds=target.keep_for - record.lived)
        body = encode(document)  # which holds what is in the `_id` too
    except (BSONError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise Rejected(f"MongoDB: the row makes no document: {error}") from error
    if len(body) > LONGEST:
        raise Rejected(f"MongoDB: the row has {len(body)} bytes, more than the {LONGEST} of a document")
    return Ready(index, record, id_, RawBSONDocument(body))


def fields_of(layout: Layout, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that ``row`` has, as they are stored."""
    return {
        name: value if (value := row[name]) is None or encode_ is None else encode_(value)
        for name, encode_ in layout.put
        if name in row
    }


def _reserved(record: Record) -> dict[str, Any]:
    fields: dict[str, Any] = dict(record.reserved)
    for name in ("_tr_pos", "_tr_h1", "_tr_h2"):  # also where they would fit 32 bits
        fields[name] = Int64(fields[name])
    return fields


def guard(one: Ready) -> dict[str, Any]:
    """A filter that the document of a row passes where the record may replace it."""
    generation, position = one.record.order
    no_later = {"$not": {"$gt": Int64(position)}}  # and so one without a position too
    if generation == 0:
        older: dict[str, Any] = {"_tr_gen": {"$not": {"$gt": 0}}, "_tr_pos": no_later}
    else:
        older = {"$or": [{"_tr_gen": {"$not": {"$gte": generation}}}, {"_tr_gen": generation, "_tr_pos": no_later}]}
    if one.record.over >= 0:
        older = {"$or": [older, {"_tr_pos": Int64(one.record.over)}]}
    return {"_id": one.id, **older}


def unchanged(one: Ready, found: Mapping[str, Any] | None) -> dict[str, Any]:
    """A filter that the document of a row passes if it is still the one of which ``found`` was read; ``None``: none."""
    fields = found or {}
    return {"_id": one.id, "_tr_gen": fields.get("_tr_gen"), "_tr_pos": fields.get("_tr_pos")}


def lands(one: Ready, found: Mapping[str, Any] | None) -> bool:
    """What `guard` says of a document with the reserved fields ``found``."""
    if found is None:
        return True
    generation, position = (number(found.get(name)) for name in ("_tr_gen", "_tr_pos"))
    return (generation, position) <= one.record.order or position == one.record.over


def number(value: Any) -> int:
    """A reserved field, 0 where it is missing or no whole number."""
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else 0


LIVING: dict[str, Any] = {DELETED: {"$ne": True}}


def of_buckets(buckets: Sequence[int]) -> dict[str, Any]:
    """A filter for the living rows of some buckets, and those that do not say of which they are."""
    return {**LIVING, "_tr_bucket": {"$in": [*buckets, None]}}


def stored(layout: Layout, document: Mapping[str, Any]) -> StoredRow | None:
    """Its place is ``""``, or its ``_id`` where that is an `ObjectId`: then somebody else wrote it. ``None`` for a
    document that is no row's, by its ``_id`` or by its columns."""
    id_ = document["_id"]
    row = {name: take(document.get(name)) for name, take in layout.take}
    key, place = key_from(layout, id_), ""
    if key is None and isinstance(id_, ObjectId):
        key, place = _told_key(layout, row), str(id_)
    if key is None:
        return None
    return StoredRow(
        key,
        place,
        number(document.get("_tr_pos")),
        number(document.get("_tr_h1")) << 32 | number(document.get("_tr_h2")),
        number(document.get("_tr_map")),
        row,
        number(document.get("_tr_gen")),
    )


def _told_key(layout: Layout, row: Mapping[str, Any]) -> Key | None:
    """The key that a document's columns say, if they do."""
    if any(row[name] is None for name in layout.schema.key):
        return None
    try:
        return layout.key_of(row)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return None


def place_id(layout: Layout, place: str, key: Key) -> Any:
    """The ``_id`` of what lies in a place, or under a key where that is ``""``."""
    return ObjectId(place) if place else id_of(layout, key)


def strangers(groups: Sequence[Mapping[str, Any]]) -> list[ObjectId]:
    """The documents among `sums` that say neither their bucket nor their key."""
    found = (group["_id"].get("id") for group in groups)
    return [id_ for id_ in found if isinstance(id_, ObjectId)]


def sums(upto: int) -> list[dict[str, Any]]:
    """The pipeline of `sums_from`: one pass, in which each document is looked at once.

    A group for each bucket, and one for each document beyond ``upto`` or without a bucket.
    """
    beyond = {"$gt": ["$_tr_pos", Int64(upto)]}
    homeless = {"$eq": [{"$ifNull": ["$_tr_bucket", None]}, None]}
    group = {"bucket": "$_tr_bucket", "id": {"$cond": [{"$or": [beyond, homeless]}, "$_id", None]}}
    return [
        {"$match": {"$or": [LIVING, {"_tr_pos": {"$gt": Int64(upto)}}]}},
        {
            "$group": {
                "_id": group,
                "count": {"$sum": 1},
                "h1": {"$sum": "$_tr_h1"},
                "h2": {"$sum": "$_tr_h2"},
                "pos": {"$max": "$_tr_pos"},
            }
        },
    ]


def sums_from(
    layout: Layout, upto: int, groups: Sequence[Mapping[str, Any]], strange: Mapping[str, StoredRow]
) -> StoredSums:
    """Documents that are no row's are left out. ``strange`` are the rows of `strangers`, by their place."""
    found = StoredSums({}, {})
    for group in groups:
        bucket, id_ = group["_id"].get("bucket"), group["_id"].get("id")
        if id_ is not None:
            key, place = key_from(layout, id_), ""
            if key is None and (row := strange.get(str(id_))) is not None:
                key, place = row.key, row.place
            if key is None:
                continue
            bucket = key.bucket
            if number(group["pos"]) > upto:
                found.beyond[place, key.canonical] = bucket
                continue
        one = BucketSum(group["count"], int(group["h1"]), int(group["h2"]))
        found.sums[bucket] = found.sums.get(bucket, BucketSum()) + one
    return found


def view(layout: Layout) -> list[dict[str, Any]]:
    """The pipeline of the applications' view: living rows, without what is reserved or withheld by now."""
    shown = {name for name, _ in layout.put}
    withheld = sorted(_nameable(layout.schema.columns) - shown)
    return [{"$match": LIVING}, {"$unset": [*RESERVED, UNTIL, *withheld]}]


def _nameable(columns: Sequence[Column]) -> set[str]:
    return {column.name for column in columns if not column.name.startswith("$") and "." not in column.name}


def indexes(target: Target, *, whole: bool) -> list[tuple[list[tuple[str, int]], dict[str, Any]]]:
    """Fields and options of a collection's indexes. ``whole`` as in `sinks.mongodb.sink`: another server finds what
    `unchanged` describes only by an index of exactly these fields."""
    found: list[tuple[list[tuple[str, int]], dict[str, Any]]] = [
        ([("_tr_bucket", 1)], {}),
        ([(UNTIL, 1)], {"expireAfterSeconds": 0}),
    ]
    if target.user is not None:
        found.append(([(target.user, 1)], {}))
    if not whole:
        found.append(([("_id", 1), ("_tr_gen", 1), ("_tr_pos", 1)], {"unique": True}))
    return found
