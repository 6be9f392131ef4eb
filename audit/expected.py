"""What the targets of one table should hold, made from the table's rows: pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat

from audit.compare import Expected, digests
from audit.digests import Told, names_of_all, to_bytes
from audit.pages import writer_of
from changes.canonical import Value, compiled
from changes.errors import Rejected
from changes.key import Key, key_of
from changes.progress import KeyValue
from changes.schema import TableSchema
from changes.target import Target
from sinks.registry import SPECS

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class Maker:
    """Makes expected rows. The order of ``targets`` is their number."""

    def __init__(self, schema: TableSchema, targets: Sequence[Target]) -> None:
        self.schema = schema
        self.targets = targets
        self.whole = compiled(schema.columns)
        self._hashes = [values_hash(target, schema) for target in targets]
        self._received = [received(target, schema) for target in targets]
        self._writer = writer_of(schema.columns)
        self._mappings = [target.mapping for target in targets]  # hashes a declaration: once, not for each row

    def key(self, row: Mapping[str, Value]) -> Key:
        return key_of(self.schema, row)

    def wanted(self, columns: Sequence[Sequence[Value]]) -> Iterator[Told]:
        """Rows as `Digests.want` takes them, for each target; ``columns`` are the values of each column of the
        schema."""
        named = {column.name: values for column, values in zip(self.schema.columns, columns, strict=True)}
        page = self._writer.page(columns)
        keys, whole = page.rows(self.schema.key), page.hashes(named)
        names = names_of_all([named[name] for name in self.schema.key])
        for number, (target, received, mapping) in enumerate(
            zip(self.targets, self._received, self._mappings, strict=True)
        ):
            values = whole if received is None else page.hashes(received)
            signs = digests(values, whole, repeat(mapping), repeat(0))
            places = places_of(target, named, len(keys))
            yield from zip(repeat(number), zip(keys, places, signs, names, repeat(0)))

    def expected(self, number: int, row: Mapping[str, Value]) -> Expected:
        values_of, whole = self._hashes[number], self.whole(row)
        values = whole if values_of is None else values_of(row)
        return Expected(place_of(self.targets[number], row), row, values, whole)


def received(target: Target, schema: TableSchema) -> list[str] | None:
    """The columns that a target receives; ``None`` where it receives all."""
    columns = target.columns(schema)
    return None if columns == schema.columns else [column.name for column in columns]


def values_hash(target: Target, schema: TableSchema) -> Callable[[Mapping[str, Value]], int] | None:
    """What hashes the columns that a target receives; ``None`` where it receives all, whose hash is at hand."""
    columns = target.columns(schema)
    return None if columns == schema.columns else compiled(columns)


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    """Where the row should be; a row that has no place in the store was parked, and is missed there."""
    try:
        return SPECS[target.sink].place_of(target, row)
    except Rejected:
        return ""


def places_of(target: Target, columns: Mapping[str, Sequence[Value]], rows: int) -> list[bytes]:
    """`place_of` for many rows, given by column."""
    names = sorted(placing_columns([target]))
    if not names:
        return [to_bytes(place_of(target, {}))] * rows
    placing = zip(*(columns[name] for name in names), strict=True)
    return [to_bytes(place_of(target, dict(zip(names, values, strict=True)))) for values in placing]


def place_by_key(target: Target, values: Sequence[KeyValue]) -> str:
    """Where a row with this key would be, as far as its key alone tells; else where none is."""
    try:
        return place_of(target, dict(zip(target.key, values, strict=True)))
    except KeyError:
        return ""


def placing_columns(targets: Sequence[Target]) -> set[str]:
    """The columns that say where rows go in any of these targets."""
    named = {name for target in targets for name in _PLACEHOLDER.findall(target.place)}
    return named | {target.user for target in targets if target.user is not None}
