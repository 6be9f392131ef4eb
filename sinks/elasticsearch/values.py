"""A row as a document and back, and a key as a document's id: no I/O.

A document's fields are the columns that are not NULL, then the reserved ones. JSON's objects and arrays stand in it as
what they are, every digit of theirs kept; its other values (``null`` is one) as their text, and so NULL is told apart.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from changes.canonical import Value, canonical_row
from changes.errors import Rejected
from changes.key import Key
from changes.record import RESERVED, Record
from changes.schema import Column, Kind
from sinks.elasticsearch.mappings import BURIED_AT, DELETED, UNSEARCHABLE, Index, takes_objects

LONGEST_ID = 512
"""Bytes of a document's id."""

_ZONELESS = (Kind.DATE, Kind.TIME, Kind.DATETIME)
_SHORTEST, _LONGEST = 1e-18, 1e18  # outside, the square of a length may be no float32, and has no cosine

_Encode = Callable[[Value], Any]


def id_of(columns: Sequence[Column], key: Key) -> str:
    """The id of a row's document, another one for every other key: ``7``, or ``7:zh`` of two columns.

    Of each value the canonical text, ``%`` and ``:`` in it as ``%25`` and ``%3A``, ``%`` where it is empty. What would
    be longer than an id may be is ``%`` and a hash of the key of 256 bits.
    """
    text = ":".join(_part(column, value) for column, value in zip(columns, key.values, strict=True))
    if len(text) * 4 > LONGEST_ID and len(text.encode("utf-8", "surrogatepass")) > LONGEST_ID:
        return "%" + hashlib.blake2b(key.canonical, digest_size=32).hexdigest()
    return text


def _part(column: Column, value: Value) -> str:
    if column.kind is Kind.INTEGER:
        return str(value)
    if column.kind in (Kind.TEXT, Kind.BYTES):
        return str(value).replace("%", "%25").replace(":", "%3A") or "%"
    written = canonical_row((column,), {column.name: value})
    _, _, text = written[len(b"%d:%b" % (len(column.name.encode()), column.name.encode())) + 1 :].partition(b":")
    return text.decode().replace(":", "%3A")


class Encoder:
    """The documents of one index, whose mapping is ``properties``."""

    def __init__(self, index: Index, properties: Mapping[str, Mapping[str, Any]]) -> None:
        self.index = index
        self._plan: list[tuple[str, _Encode | None]] = [
            (column.name, _encoder(column, properties)) for column in index.columns
        ]
        names = {column.name for column in index.key}
        self._key = {name: encode for name, encode in self._plan if name in names}
        self._vectors = [column.name for column in index.columns if column.kind is Kind.VECTOR]

    def document(self, record: Record, now: int) -> bytes:
        """A record's document; a tombstone's knows the time ``now``, in ms. Raises `Rejected` where it is none."""
        row = record.row
        if row is None:
            fields = {
                column.name: self._one(self._key[column.name], value)
                for column, value in zip(self.index.key, record.key.values, strict=True)
            }
            fields |= {DELETED: True, BURIED_AT: now}
        else:
            fields = {
                name: value if encode is None else encode(value)
                for name, encode in self._plan
                if (value := row[name]) is not None
            }
            if aside := {name: fields.pop(name) for name in self._vectors if name in fields and _aside(fields[name])}:
                fields[UNSEARCHABLE] = aside
        try:
            return msgspec.json.encode({**fields, **record.reserved})
        except (UnicodeEncodeError, TypeError, OverflowError) as error:
            raise Rejected(f"Elasticsearch: the row is no JSON: {error}") from error

    @staticmethod
    def _one(encode: _Encode | None, value: Value) -> Any:
        return value if encode is None else encode(value)


def _encoder(column: Column, properties: Mapping[str, Mapping[str, Any]]) -> _Encode | None:
    if column.kind in _ZONELESS:
        return _zoneless
    if column.kind is Kind.JSON and takes_objects(properties, column.name):
        return _structured
    if column.kind is Kind.VECTOR:
        return lambda value: _vector(column, value)
    return None


def _zoneless(value: Value) -> Value:
    return value.removesuffix("Z") if isinstance(value, str) else value


def _structured(value: Value) -> Value | msgspec.Raw:
    """JSON's objects and arrays without line breaks, which would end a document in a bulk; all else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return msgspec.Raw(msgspec.json.format(value.encode(), indent=-1))
        except (msgspec.DecodeError, UnicodeEncodeError):
            return value
    return value


def _vector(column: Column, value: Value) -> Value:
    if not isinstance(value, list) or len(value) != column.arguments[0]:
        raise Rejected(f"Elasticsearch: `{column.name}` is no {column.type}")
    try:
        struct.pack(f"<{len(value)}f", *value)
    except (struct.error, OverflowError) as error:
        raise Rejected(f"Elasticsearch: `{column.name}` is no vector: {error}") from error
    if not math.isfinite(sum(value)):
        raise Rejected(f"Elasticsearch: `{column.name}` is no vector: its numbers must be finite")
    return value


def _aside(value: Any) -> bool:
    """Whether a vector is too short or too long for its direction to be told."""
    return not _SHORTEST < math.hypot(*value) < _LONGEST


class Stored(msgspec.Struct):
    """A document as it is: the columns' values, and the reserved ones, 0 where somebody else wrote it."""

    row: dict[str, Value]
    position: int
    hash: int
    mapping: int
    generation: int
    bucket: int
    alive: bool


class Decoder:
    """Documents of some columns as rows; a field that a document lacks is NULL."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        names = [*(column.name for column in columns), *RESERVED, DELETED, UNSEARCHABLE]
        raw = [column.kind is Kind.JSON for column in columns] + [False] * (len(names) - len(columns))
        fields: list[tuple[str, type, Any]] = [
            (f"f{place}", msgspec.Raw, msgspec.Raw(b"null")) if is_raw else (f"f{place}", object, None)
            for place, is_raw in enumerate(raw)
        ]
        rename = {f"f{place}": name for place, name in enumerate(names)}
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Document", fields, rename=rename)).decode

    def stored(self, source: bytes | msgspec.Raw) -> Stored:
        """``source``: JSON, as the server gave it."""
        values = msgspec.structs.astuple(self._decode(source))
        count = len(self._columns)
        row = {
            column.name: _json(value) if column.kind is Kind.JSON else value
            for column, value in zip(self._columns, values, strict=False)
        }
        *reserved, deleted, aside = values[count:]
        if isinstance(aside, dict):
            row |= {name: value for name, value in aside.items() if name in row}
        position, high, low, bucket, mapping, generation = (one if type(one) is int else 0 for one in reserved)
        return Stored(
            row=row,
            position=position,
            hash=high << 32 | low,
            mapping=mapping,
            generation=generation,
            bucket=bucket,
            alive=deleted is not True,
        )


@lru_cache(maxsize=256)
def decoder(columns: tuple[Column, ...]) -> Decoder:
    return Decoder(columns)


def _json(value: msgspec.Raw) -> Value:
    """The text of a JSON column's value; ``None`` for NULL."""
    text = bytes(value)
    if text == b"null":
        return None
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
