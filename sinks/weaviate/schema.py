"""From a target and its columns to a class, its properties and its named vectors: pure.

A property has one type for ever, so a column may need two: ``createdAt`` of type ``date``, and ``createdAtAsText`` for
what a date cannot hold (MySQL's ``0000-00-00``) or for what the column holds since its type was changed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from changes.errors import Misconfigured
from changes.record import RESERVED
from changes.schema import Column, Kind, TableSchema
from changes.target import Target

TEXT, VECTOR = "text", "vector"
KEY, DELETED, SEEN = "_tr_key", "_tr_deleted", "_tr_seen"
TOKENIZATIONS = ("gse", "trigram")
"""How prose is cut into words, best first: ``gse`` knows Chinese words, where the server has it enabled; ``trigram``
finds parts of words in any script."""

_SPARE = "AsText"
_RENAMED = {"id": "rowId"}  # an object has an `id` of its own
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,200}")
_JOINT = re.compile(r"(?<=[0-9A-Za-z])_+([0-9A-Za-z])")
_PROSE = 128
"""Characters from which on a VARCHAR is prose, to be found by its words, and no name or number."""
_TYPES = {
    Kind.VECTOR: VECTOR,
    Kind.BOOLEAN: "boolean",
    Kind.DOUBLE: "number",
    **dict.fromkeys((Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP), "date"),
}
_SMALL = frozenset(("tinyint", "smallint", "mediumint", "int", "year"))
_DIGITS = 15
"""Decimal digits that a double always gives back."""


@dataclass(frozen=True)
class Field:
    """A column, the property or named vector for it, and the type that it should have: ``vector`` for the latter."""

    column: Column
    name: str
    type: str

    @property
    def spare(self) -> str:
        return self.name + _SPARE


@dataclass(frozen=True)
class Layout:
    """One target with one schema."""

    target: Target
    schema: TableSchema
    fields: tuple[Field, ...]

    @property
    def vectors(self) -> list[str]:
        return [field.name for field in self.fields if field.type == VECTOR]


@dataclass(frozen=True)
class Slot:
    """Where a column's values are in the class as it is.

    ``typed`` is the property of type ``type``; ``text`` the one for whatever that cannot hold. Either may be ``None``,
    not both. ``stray`` is a property that holds what was written before the column's type was changed.
    """

    column: Column
    type: str
    typed: str | None
    text: str | None
    stray: str | None = None

    @property
    def vector(self) -> bool:
        return self.type == VECTOR

    @property
    def names(self) -> list[str]:
        return [name for name in (self.typed, self.text, self.stray) if name is not None]


@lru_cache(maxsize=256)
def layout_of(target: Target, schema: TableSchema) -> Layout:
    """Raises `Misconfigured` where the declaration does not fit the schema, or two columns would be one property."""
    where = f"`{target.table}` → `weaviate`"
    if not schema.key or set(schema.key) != set(target.key):
        raise Misconfigured(
            f"{where}: the declared key {list(target.key)} is not the table's primary key {list(schema.key)}"
        )
    columns = target.columns(schema)
    taken: dict[str, str] = {}
    fields = []
    for column in columns:
        name = property_of(column.name)
        if column.name in RESERVED or column.name.startswith("_tr_"):
            raise Misconfigured(
                f"{where}: the column `{column.name}` has a name that Tailrace reserves; drop it in `columns`"
            )
        if not _NAME.fullmatch(name) or name in {"_id", "_additional"}:
            raise Misconfigured(
                f"{where}: the column `{column.name}` cannot be a property: Weaviate takes letters of English, digits"
                " and `_`; drop it in `columns`"
            )
        field = Field(column, name, type_of(column))
        for one in (field.name, field.spare):
            # Weaviate takes names that differ in case alone for one.
            if (other := taken.setdefault(one.lower(), column.name)) != column.name:
                raise Misconfigured(
                    f"{where}: the columns `{other}` and `{column.name}` would share the property `{one}`;"
                    " drop one of them in `columns`"
                )
        fields.append(field)
    return Layout(target, schema, tuple(fields))


def property_of(column: str) -> str:
    """``user_input`` → ``userInput``. A first letter is small in Weaviate whatever is asked for."""
    name = _JOINT.sub(lambda match: match[1].upper(), column)
    return _RENAMED.get(name.lower(), name[:1].lower() + name[1:])


def type_of(column: Column) -> str:
    """The property's type: one of Weaviate's own where it gives every value back exactly, else text.

    An ``int`` passes through a double, so BIGINT is text; a ``date`` keeps nanoseconds.
    """
    match column.kind:
        case Kind.INTEGER if column.base_type in _SMALL:
            return "int"
        case Kind.DECIMAL if column.arguments and column.arguments[0] <= _DIGITS:
            return "number"
    return _TYPES.get(column.kind, TEXT)


def class_of(layout: Layout, tokenization: str) -> dict[str, Any]:
    """The class as it is created: no module, no compression, nothing left to be guessed."""
    made: dict[str, Any] = {
        "class": layout.target.place,
        "description": f"Rows of `{layout.target.table}`, kept by Tailrace",
        "properties": [*_RESERVED_PROPERTIES, *missing(layout, {}, tokenization)],
    }
    if layout.vectors:
        made["vectorConfig"] = {name: vector() for name in layout.vectors}
    else:
        made |= _WITHOUT_VECTORS
    return made


def missing(layout: Layout, types: Mapping[str, str], tokenization: str) -> list[dict[str, Any]]:
    """The properties that a class with those of ``types`` lacks. Adding them once is enough."""
    wanted = []
    for field in layout.fields:
        if field.type == VECTOR:
            continue
        found = types.get(field.name)
        if found is None:
            wanted.append(_property(field, tokenization))
        # A date that is in no calendar, or all values of a column whose type is not the property's any more.
        spared = found != TEXT and (field.type == "date" or found not in {None, field.type})
        if spared and field.spare not in types:
            wanted.append(_plain(field.spare, TEXT))
    return wanted


def slots(layout: Layout, types: Mapping[str, str]) -> list[Slot]:
    """Where the columns are in a class with these properties. Raises `Misconfigured` where it lacks one."""
    found = []
    for field in layout.fields:
        have = VECTOR if field.type == VECTOR else types.get(field.name)
        spare = field.spare if field.spare in types else None
        if have is None or (spare is None and have not in {field.type, TEXT}):
            raise Misconfigured(f"Weaviate: class `{layout.target.place}` has no property for `{field.column.name}`")
        if have == field.type != TEXT:
            found.append(Slot(field.column, field.type, field.name, spare))
        elif have == TEXT:
            found.append(Slot(field.column, TEXT, None, field.name, spare))
        else:
            found.append(Slot(field.column, TEXT, None, spare, field.name))
    return found


def vector() -> dict[str, Any]:
    """A named vector: searched by cosine, kept as it was written, whatever the server's default compression is."""
    index = {"distance": "cosine", "skipDefaultQuantization": True}
    return {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw", "vectorIndexConfig": index}


def types_of(described: Mapping[str, Any]) -> dict[str, str]:
    """The properties of a class as the server describes it, with their types."""
    return {one["name"]: one["dataType"][0] for one in described.get("properties") or ()}


def ours(types: Iterable[str]) -> bool:
    """Whether Tailrace made the class that has these properties."""
    return {one["name"] for one in _RESERVED_PROPERTIES}.issubset(types)


def meta_class(name: str) -> dict[str, Any]:
    properties = [_plain("lane", TEXT), _plain("stamp", TEXT)]
    described = "What Tailrace remembers about this store"
    return {"class": name, "description": described, "properties": properties} | _WITHOUT_VECTORS


_WITHOUT_VECTORS: dict[str, Any] = {"vectorizer": "none", "vectorIndexConfig": {"skip": True}}


def _property(field: Field, tokenization: str) -> dict[str, Any]:
    column = field.column
    told = {"name": field.name, "dataType": [field.type], "description": column.name}
    if field.type != TEXT:
        return told | {"indexFilterable": True}
    if column.kind in {Kind.BYTES, Kind.JSON}:
        return _plain(field.name, TEXT) | told
    if _prose(column):
        return told | {"tokenization": tokenization, "indexFilterable": True, "indexSearchable": True}
    return told | {"tokenization": "field", "indexFilterable": True, "indexSearchable": False}


def _prose(column: Column) -> bool:
    if column.kind is not Kind.TEXT:
        return False
    return column.base_type.endswith("text") or (
        column.base_type in {"char", "varchar"} and column.arguments[:1] > (_PROSE,)
    )


def _plain(name: str, type_: str, **indexed: bool) -> dict[str, Any]:
    """A property that is only kept."""
    told: dict[str, Any] = {"name": name, "dataType": [type_], "indexFilterable": False} | indexed
    return told | {"tokenization": "field", "indexSearchable": False} if type_ == TEXT else told


_RESERVED_PROPERTIES: Sequence[dict[str, Any]] = (
    _plain("_tr_pos", TEXT),
    *(_plain(name, "int") for name in RESERVED if name != "_tr_pos"),
    _plain(KEY, TEXT),
    _plain(DELETED, "boolean", indexFilterable=True),
    _plain(SEEN, "int", indexFilterable=True, indexRangeFilters=True),
)
