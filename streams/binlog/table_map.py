"""TABLE_MAP events: a table's layout as it was when the rows behind it were written.

With ``binlog_row_metadata=FULL`` the event carries names, signedness, character sets and ENUM/SET members, so that
rows are always read with the schema of their own time. Layout: `Table_map_event` in the MySQL server's
`libbinlogevents/include/rows_event.h`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.schema import Column, Kind, TableSchema, kind_of
from streams.binlog import values
from streams.binlog.broken import refusing
from streams.binlog.charsets import BINARY_COLLATION, Collations
from streams.binlog.jsondiff import patched
from streams.binlog.lengths import lenenc

_NUMERIC = {
    values.TINY,
    values.SHORT,
    values.INT24,
    values.LONG,
    values.LONGLONG,
    values.NEWDECIMAL,
    values.FLOAT,
    values.DOUBLE,
    values.YEAR,
}
"""The columns that signs are told of, YEAR among them."""
_CHARACTER = {values.VARCHAR, values.VAR_STRING, values.STRING, values.BLOB, values.VECTOR}
"""The columns that collations are listed for, VECTOR among them, for it is a blob underneath; MariaDB adds GEOMETRY."""
_LISTED = {values.ENUM, values.SET}
_INTEGER_NAMES = {
    values.TINY: "tinyint",
    values.SHORT: "smallint",
    values.INT24: "mediumint",
    values.LONG: "int",
    values.LONGLONG: "bigint",
}
_PARTIAL_JSON = 1
"""The one known option of a partial update: some JSON columns are told by what changed in them."""
_DIFFERENCES_WIDTH = 4
_GEOMETRY_NAMES = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geomcollection",
)
_TEXT_NAMES = {1: "tinytext", 2: "text", 3: "mediumtext", 4: "longtext"}
_BLOB_NAMES = {1: "tinyblob", 2: "blob", 3: "mediumblob", 4: "longblob"}


@dataclass(frozen=True)
class TableMap:
    """``schema`` lists every column, its key empty; ``forms`` say how each is read, in the same order."""

    table_id: int
    database: str
    table: str
    schema: TableSchema
    forms: tuple[values.Form, ...]
    readers: tuple[values.Reader, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        readers = tuple(build(*sizes) for build, *sizes in self.forms)
        object.__setattr__(self, "readers", readers)  # frozen: set once, here

    def read_image(
        self, data: bytes, at: int, present: bytes, places: list[int] | None = None
    ) -> tuple[dict[str, Value], int]:
        """One row image behind its NULL bitmap, and the offset behind it.

        ``present`` is the event's bitmap of columns; ``places`` takes the offset of each column's value. Raises
        `Misconfigured` where not every column is there (``binlog_row_image`` is not FULL): half a row must never pass
        for a whole one.
        """
        self._check_whole(present)
        nulls, at = self._nulls(data, at)
        row: dict[str, Value] = {}
        for index, (column, read) in enumerate(zip(self.schema.columns, self.readers, strict=True)):
            if places is not None:
                places.append(at)
            if nulls >> index & 1:
                row[column.name] = None
            else:
                row[column.name], at = read(data, at)
        return row, at

    def read_partial(self, data: bytes, at: int, present: bytes, places: list[int]) -> tuple[dict[str, Value], int]:
        """The image after a partial update: JSON columns may be told by what changed in them.

        ``places`` are those of the image before, in the same ``data``. Otherwise as `read_image`.
        """
        self._check_whole(present)
        options, at = lenenc(data, at)
        if options & ~_PARTIAL_JSON:
            raise ValueError(f"a partial update has the options {options}, which are not known")
        partial: set[int] = set()
        if options & _PARTIAL_JSON:
            json = [index for index, form in enumerate(self.forms) if form[0] is values.json]
            size = (len(json) + 7) // 8
            bits = int.from_bytes(data[at : at + size], "little")
            partial = {index for nth, index in enumerate(json) if bits >> nth & 1}
            at += size
        nulls, at = self._nulls(data, at)
        row: dict[str, Value] = {}
        for index, (column, read) in enumerate(zip(self.schema.columns, self.readers, strict=True)):
            if nulls >> index & 1:
                row[column.name] = None
            elif index in partial:
                before, _ = values.sized(data, places[index], self.forms[index][1])
                differences, at = values.sized(data, at, _DIFFERENCES_WIDTH)
                row[column.name] = patched(before, differences)
            else:
                row[column.name], at = read(data, at)
        return row, at

    def _check_whole(self, present: bytes) -> None:
        count = len(self.readers)
        if int.from_bytes(present, "little") & ((1 << count) - 1) != (1 << count) - 1:
            raise Misconfigured(
                f"rows of `{self.database}`.`{self.table}` came without all their columns: "
                "SET PERSIST binlog_row_image = 'FULL', also for the sessions that are connected"
            )

    def _nulls(self, data: bytes, at: int) -> tuple[int, int]:
        size = (len(self.readers) + 7) // 8
        return int.from_bytes(data[at : at + size], "little"), at + size


@dataclass
class _Raw:
    """One column before its type is put together."""

    type: int
    meta: bytes
    nullable: bool
    name: str = ""
    unsigned: bool = False
    collation: int = BINARY_COLLATION
    members: tuple[bytes, ...] = ()
    geometry: int = 0
    dimension: int = 0
    real: int = field(init=False)

    def __post_init__(self) -> None:
        """STRING carries CHAR, ENUM and SET; its metadata tells which."""
        self.real = self.type
        if self.type == values.STRING and self.meta[0] in _LISTED:
            self.real = self.meta[0]


_Filler = Callable[[bytes, list[_Raw]], None]


@refusing
def parse_table_map(data: bytes, at: int, collations: Collations) -> TableMap:
    """``at`` is the offset behind the common event header."""
    table_id = int.from_bytes(data[at : at + 6], "little")
    at += 8
    database, at = _short_string(data, at)
    table, at = _short_string(data, at + 1)
    count, at = lenenc(data, at + 1)
    types = data[at : at + count]
    size, at = lenenc(data, at + count)
    metas = _split_metadata(types, data[at : at + size])
    at += size
    nulls = int.from_bytes(data[at : at + (count + 7) // 8], "little")
    at += (count + 7) // 8
    raws = [
        _Raw(type_, meta, bool(nulls >> index & 1))
        for index, (type_, meta) in enumerate(zip(types, metas, strict=True))
    ]
    character = _CHARACTER | {values.GEOMETRY} if collations.of_geometry else _CHARACTER
    _read_optional(data[at:], raws, character)
    if any(not raw.name for raw in raws):
        raise Misconfigured(
            f"the binlog names no columns of `{database}`.`{table}`: SET PERSIST binlog_row_metadata = 'FULL'"
        )
    if len({raw.name for raw in raws}) < len(raws):
        raise ValueError(f"two columns of `{table}` have one name")
    columns, forms = zip(*(_column(raw, collations) for raw in raws), strict=True)
    return TableMap(table_id, database, table, TableSchema(database, table, columns, ()), forms)


@refusing
def peek_name(data: bytes, at: int) -> tuple[int, str, str]:
    """Only (table id, database, table): enough to skip the tables that nobody declared."""
    table_id = int.from_bytes(data[at : at + 6], "little")
    database, at = _short_string(data, at + 8)
    table, _ = _short_string(data, at + 1)
    return table_id, database, table


def _short_string(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    if end > len(data):
        raise ValueError("a name is cut off")
    return data[at + 1 : end].decode(), end


def _split_metadata(types: bytes, data: bytes) -> Iterator[bytes]:
    two = {values.STRING, values.VAR_STRING, values.VARCHAR, values.NEWDECIMAL, values.BIT, values.ENUM, values.SET}
    one = {
        values.BLOB,
        values.DOUBLE,
        values.FLOAT,
        values.GEOMETRY,
        values.JSON,
        values.VECTOR,
        values.TIME2,
        values.DATETIME2,
        values.TIMESTAMP2,
    }
    at = 0
    for type_ in types:
        size = 2 if type_ in two else 1 if type_ in one else 0
        yield data[at : at + size]
        at += size


def _read_optional(data: bytes, raws: list[_Raw], character: set[int]) -> None:
    """Fills in what FULL metadata tells of each column; kinds of metadata that are not needed are passed over.

    ``character`` are the types that collations are listed for.
    """
    fillers = _FILLERS | {2: _fill_default_collations(character), 3: _fill_collations(character)}
    at = 0
    while at < len(data):
        kind = data[at]
        size, at = lenenc(data, at + 1)
        fill = fillers.get(kind)
        if fill is not None:
            fill(data[at : at + size], raws)
        at += size


def _fill_signedness(body: bytes, raws: list[_Raw]) -> None:
    for index, raw in enumerate(raw for raw in raws if raw.type in _NUMERIC):
        raw.unsigned = bool(body[index // 8] & 0x80 >> index % 8)


def _fill_names(body: bytes, raws: list[_Raw]) -> None:
    for raw, name in zip(raws, _strings(body), strict=True):
        raw.name = name.decode()


def _fill_default_collations(types: set[int]) -> _Filler:
    """One collation for most columns, and pairs of (index among these columns, collation) for the others."""

    def fill(body: bytes, raws: list[_Raw]) -> None:
        default, *pairs = _numbers(body)
        exceptions = dict(zip(pairs[::2], pairs[1::2], strict=True))
        for index, raw in enumerate(raw for raw in raws if raw.real in types):
            raw.collation = exceptions.get(index, default)

    return fill


def _fill_collations(types: set[int]) -> _Filler:
    def fill(body: bytes, raws: list[_Raw]) -> None:
        for raw, collation in zip((raw for raw in raws if raw.real in types), _numbers(body), strict=True):
            raw.collation = collation

    return fill


def _fill_members(type_: int) -> _Filler:
    def fill(body: bytes, raws: list[_Raw]) -> None:
        for raw, members in zip((raw for raw in raws if raw.real == type_), _string_lists(body), strict=True):
            raw.members = members

    return fill


def _fill_geometry(body: bytes, raws: list[_Raw]) -> None:
    for raw, number in zip((raw for raw in raws if raw.type == values.GEOMETRY), _numbers(body), strict=True):
        raw.geometry = number


def _fill_dimension(body: bytes, raws: list[_Raw]) -> None:
    for raw, number in zip((raw for raw in raws if raw.type == values.VECTOR), _numbers(body), strict=True):
        raw.dimension = number


_FILLERS: dict[int, _Filler] = {
    1: _fill_signedness,
    4: _fill_names,
    5: _fill_members(values.SET),
    6: _fill_members(values.ENUM),
    7: _fill_geometry,
    10: _fill_default_collations(_LISTED),
    11: _fill_collations(_LISTED),
    13: _fill_dimension,
}


def _numbers(data: bytes) -> list[int]:
    at, found = 0, []
    while at < len(data):
        number, at = lenenc(data, at)
        found.append(number)
    return found


def _strings(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size, at = lenenc(data, at)
        yield data[at : at + size]
        at += size


def _string_lists(data: bytes) -> Iterator[tuple[bytes, ...]]:
    at = 0
    while at < len(data):
        count, at = lenenc(data, at)
        members = []
        for _ in range(count):
            size, at = lenenc(data, at)
            members.append(data[at : at + size])
            at += size
        yield tuple(members)


def _column(raw: _Raw, collations: Collations) -> tuple[Column, values.Form]:
    build = _BUILDERS.get(raw.real)
    if build is None:
        raise Misconfigured(f"column `{raw.name}` has the binlog type {raw.real}, which is not supported")
    type_, form = build(raw, collations)
    values.checked(form)
    kind = Kind.BOOLEAN if type_ == "bit(1)" else kind_of(type_)
    return Column(raw.name, kind, type_, raw.nullable), form


_Built = tuple[str, values.Form]


def _integer(raw: _Raw, _: Collations) -> _Built:
    name = _INTEGER_NAMES[raw.type]
    return f"{name} unsigned" if raw.unsigned else name, (values.integer, raw.type, raw.unsigned)


def _floating(raw: _Raw, _: Collations) -> _Built:
    return "double" if raw.type == values.DOUBLE else "float", (values.floating, raw.meta[0])


def _decimal(raw: _Raw, _: Collations) -> _Built:
    precision, scale = raw.meta
    name = f"decimal({precision},{scale})"
    return f"{name} unsigned" if raw.unsigned else name, (values.decimal, precision, scale)


def _varchar(raw: _Raw, collations: Collations) -> _Built:
    size = int.from_bytes(raw.meta, "little")
    return _string("var", size, 1 if size < 256 else 2, raw, collations)


def _char(raw: _Raw, collations: Collations) -> _Built:
    high, low = raw.meta
    size = low | ((high & 0x30) ^ 0x30) << 4
    return _string("", size, 1 if size < 256 else 2, raw, collations)


def _string(prefix: str, size: int, width: int, raw: _Raw, collations: Collations) -> _Built:
    if raw.collation == BINARY_COLLATION:
        return f"{prefix}binary({size})", (values.blob, width, 0 if prefix else size)
    charset = collations[raw.collation]
    return f"{prefix}char({size // charset.width})", (values.text, width, charset)


def _blob(raw: _Raw, collations: Collations) -> _Built:
    width = raw.meta[0]
    if raw.collation == BINARY_COLLATION:
        return _BLOB_NAMES[width], (values.blob, width, 0)
    return _TEXT_NAMES[width], (values.text, width, collations[raw.collation])


def _members(raw: _Raw, collations: Collations) -> tuple[str, ...]:
    charset = collations[raw.collation]
    return tuple(member.decode() if charset.name == "binary" else charset.decode(member) for member in raw.members)


def _listed(raw: _Raw, collations: Collations) -> _Built:
    members = _members(raw, collations)
    word = "enum" if raw.real == values.ENUM else "set"
    quoted = ",".join("'" + member.replace("'", "''") + "'" for member in members)
    build = values.enum if raw.real == values.ENUM else values.set_
    return f"{word}({quoted})", (build, raw.meta[1], members)


def _bit(raw: _Raw, _: Collations) -> _Built:
    bits = raw.meta[1] * 8 + raw.meta[0]
    return f"bit({bits})", (values.bit, bits)


def _temporal(name: str, build: Callable[[int], values.Reader]) -> Callable[[_Raw, Collations], _Built]:
    def built(raw: _Raw, _: Collations) -> _Built:
        digits = raw.meta[0]
        return f"{name}({digits})" if digits else name, (build, digits)

    return built


_BUILDERS: dict[int, Callable[[_Raw, Collations], _Built]] = {
    **dict.fromkeys(_INTEGER_NAMES, _integer),
    values.FLOAT: _floating,
    values.DOUBLE: _floating,
    values.NEWDECIMAL: _decimal,
    values.VARCHAR: _varchar,
    values.VAR_STRING: _varchar,
    values.STRING: _char,
    values.BLOB: _blob,
    values.ENUM: _listed,
    values.SET: _listed,
    values.BIT: _bit,
    values.YEAR: lambda raw, _: ("year", (values.year,)),
    values.DATE: lambda raw, _: ("date", (values.date,)),
    values.TIME2: _temporal("time", values.time),
    values.DATETIME2: _temporal("datetime", values.datetime),
    values.TIMESTAMP2: _temporal("timestamp", values.timestamp),
    values.JSON: lambda raw, _: ("json", (values.json, raw.meta[0])),
    values.GEOMETRY: lambda raw, _: (_GEOMETRY_NAMES[raw.geometry], (values.blob, raw.meta[0], 0)),
    values.VECTOR: lambda raw, _: (f"vector({raw.dimension})", (values.blob, raw.meta[0], 0)),
}
