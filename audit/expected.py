"""What the targets of one table should hold, made from the table's rows: pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from audit.compare import Expected, digest
from audit.digests import names_of, to_bytes
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
        self._mappings = [target.mapping for target in targets]  # hashes a declaration: once, not for each row

    def key(self, row: Mapping[str, Value]) -> Key:
        return key_of(self.schema, row)

    def wanted(self, row: Mapping[str, Value]) -> Iterator[tuple[int, bytes, bytes, bytes, bytes]]:
        """The row as `Digests.want` takes it, for each target."""
        key, whole = self.key(row), self.whole(row)
        names = names_of(key.values)
        plans = zip(self.targets, self._hashes, self._mappings, strict=True)
        for number, (target, values_of, mapping) in enumerate(plans):
            values = whole if values_of is None else values_of(row)
            yield number, key.canonical, to_bytes(place_of(target, row)), digest(values, whole, mapping), names

    def expected(self, number: int, row: Mapping[str, Value]) -> Expected:
        values_of, whole = self._hashes[number], self.whole(row)
        values = whole if values_of is None else values_of(row)
        return Expected(place_of(self.targets[number], row), row, values, whole)


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
