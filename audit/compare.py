"""Expected rows against stored rows: pure.

The first look compares digests. Whatever differs, or changed meanwhile, is looked at again as whole rows; only that
second look names a difference.
"""

import base64
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit.report import Class
from changes.canonical import Value, canonical_row, row_hash
from changes.record import StoredRow
from changes.schema import Column, TableSchema
from changes.target import Target

Identity = tuple[bytes, bytes]
"""(canonical key, place in UTF-8)."""

_DIGEST = struct.Struct(">QQII")

NEVER = b""
"""The digest of what no stored row can agree with."""
BROKEN = b"broken"
"""The digest of a stored row that can agree with nothing."""


def digests(
    values: Iterable[int], whole: Iterable[int], mapping: Iterable[int], generation: Iterable[int]
) -> list[bytes]:
    """`digest` for many rows."""
    return list(map(_DIGEST.pack, values, whole, mapping, generation))


def digest(values: int, whole: int, mapping: int, generation: int = 0) -> bytes:
    """What a stored row must agree in: hash of the target's columns, hash of the whole row, mapping, generation."""
    return _DIGEST.pack(values, whole, mapping, generation)


@dataclass(frozen=True)
class Expected:
    """A row as one target should hold it. ``values`` is the hash of the columns that the target receives, ``whole``
    that of the row as it stands in its topic.

    ``row`` is ``None`` where only the hashes are at hand. ``flaw`` says that what the target's topic holds is itself
    not what MySQL's row asks for: whatever the store holds then, this is a difference.
    """

    place: str
    row: Mapping[str, Value] | None
    values: int
    whole: int
    generation: int = 0
    flaw: Class | None = None


@dataclass(frozen=True)
class LastSaid:
    """The last record of a key: its position, whether it is a delete, and where in its topic it stands, where that is
    known."""

    position: int
    deleted: bool
    partition: int = -1
    offset: int = -1


@dataclass(frozen=True)
class Found:
    """What is wrong with one row in one place. ``position`` is the stored one, ``None`` where nothing is stored."""

    class_: Class
    columns: tuple[str, ...] = ()
    position: int | None = None


def judge(
    target: Target,
    schema: TableSchema,
    expected: Expected | None,
    stored: Mapping[str, StoredRow | None],
    newest: int,
) -> Iterator[tuple[str, Found]]:
    """What is wrong with one key, by place. It must not have changed between the two reads.

    ``stored`` holds what lies in every place that was looked at, the expected one among them; ``newest`` is the
    position up to which capture had come when the store was read.
    """
    for place, row in stored.items():
        if expected is None or place != expected.place:
            if row is not None:
                yield place, Found("extra", (), row.position)
        elif row is None:
            if target.keep == "mirror":
                yield place, Found(expected.flaw or "missing")
        elif expected.flaw is not None:
            yield place, Found(expected.flaw, (), row.position)
        else:
            found = _flaw(target, schema, expected, row, newest)
            if found is not None:
                yield place, found


def _flaw(target: Target, schema: TableSchema, expected: Expected, row: StoredRow, newest: int) -> Found | None:
    columns = target.columns(schema)
    if row.generation != expected.generation:
        return Found("wrong generation", (), row.position)
    if row.broken or row_hash(columns, row.row, lenient=True) != expected.values:
        named = () if expected.row is None else differing(columns, expected.row, row.row)
        return Found("altered", tuple(dict.fromkeys((*named, *row.broken))), row.position)
    if row.position > newest:
        return Found("impossible position", (), row.position)
    if row.mapping != target.mapping:
        return Found("old mapping", (), row.position)
    return Found("stale", (), row.position) if row.hash != expected.whole else None


def explained(found: Found, last: LastSaid | None) -> Found:
    """The same difference in the light of the key's last record; ``None`` where the topic has none."""
    if found.position is None or last is None:
        return found
    class_: Class = found.class_
    if class_ == "extra":
        class_ = "resurrected" if last.deleted else "extra"
    elif class_ == "wrong generation":
        pass
    elif found.position > last.position:
        class_ = "impossible position"
    elif class_ == "altered" and found.position < last.position:
        class_ = "stale"
    return Found(class_, found.columns, found.position)


def named(target: Target, values: Sequence[Value]) -> dict[str, bool | int | float | str | None]:
    """A key as reports show it."""
    return {name: plain(value) for name, value in zip(target.key, values, strict=True)}


def plain(value: Value) -> bool | int | float | str | None:
    """A store's value as the envelope has it: bytes in base64, and whatever else is no JSON as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def differing(columns: Sequence[Column], wanted: Mapping[str, Value], held: Mapping[str, Value]) -> list[str]:
    """The names of the columns whose canonical values differ; ``held`` may hold anything."""
    return [
        column.name
        for column in columns
        if canonical_row((column,), wanted) != canonical_row((column,), held, lenient=True)
    ]
