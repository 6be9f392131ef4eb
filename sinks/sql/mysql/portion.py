"""One table's records, written out; and, once it is known what MySQL holds of their rows, what is to be written."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from changes.canonical import halves
from sinks.sql.mysql import statements
from sinks.sql.mysql.types import literal
from sinks.sql.table import Portion

Order = tuple[int, int]
"""A generation and a position, see `changes.record.Record.order`."""


class Written:
    """A portion as statements of at most ``longest`` bytes; no two of its records may be of one row.

    Raises `Rejected` for what MySQL cannot hold.
    """

    def __init__(self, portion: Portion, longest: int) -> None:
        self.table = portion.table
        self.indices = [*portion.upserted, *portion.deleted]
        self._records = [*portion.upserts, *portion.deletes]
        self._rows = list(_rows(portion))
        self._keys = statements.key_literals(self.table, [record.key for record in self._records])
        self._name, self._longest = self.table.target.name, longest
        # A row that is too long is refused before anything is written.
        self._whole = statements.chunks(statements.statements_of(self.table).upsert, self._rows, longest)

    def yielding(self) -> list[bytes]:
        """The statements that forget the positions which are to be written over."""
        return [
            statement
            for key, record in zip(self._keys, self._records, strict=True)
            if record.over >= 0
            for statement in statements.forget(self.table, key, record)
        ]

    def newer(self) -> list[bytes]:
        """See `statements.newer`."""
        return statements.newer(self.table, self._keys, self._records, self._longest)

    def graves(self) -> list[bytes]:
        """See `statements.graves`."""
        return statements.graves(self._name, [record.key.canonical for record in self._records], self._longest)

    def landing(self, held: Mapping[bytes, Order]) -> list[int]:
        """Which records land where rows and tombstones of the generations and positions ``held`` are stored, by key.

        Rows that are no newer than any of the records may be missing from ``held``.
        """
        return [
            index
            for index, record in enumerate(self._records)
            if held.get(record.key.canonical, (-1, -1)) <= record.order
        ]

    def writes(self, landing: Sequence[int], graves: Collection[bytes]) -> Iterator[bytes]:
        """The statements that store the landing records; ``graves`` are the keys that have tombstones."""
        texts, count = statements.statements_of(self.table), len(self._rows)
        upserts = [index for index in landing if index < count]
        deletes = [index for index in landing if index >= count]
        if len(upserts) == count:
            yield from self._whole
        else:
            yield from statements.chunks(texts.upsert, [self._rows[index] for index in upserts], self._longest)
        back = [key for index in upserts if (key := self._records[index].key.canonical) in graves]
        yield from statements.dig_up(self._name, back, self._longest)
        yield from statements.chunks(texts.delete, [self._keys[index] for index in deletes], self._longest)
        yield from statements.bury(self._name, [self._records[index] for index in deletes], self._longest)


def _rows(portion: Portion) -> Iterator[bytes]:
    """The upserts as items of a statement."""
    encoders = [(column.name, literal(column)) for column in portion.table.columns]
    mapping = portion.table.target.mapping
    for row, record in zip(portion.rows, portion.upserts, strict=True):
        values = b",".join([encode(row[name]) for name, encode in encoders])
        reserved = (record.position, *halves(record.hash), record.key.bucket, mapping, record.generation)
        yield b"(%b,%d,%d,%d,%d,%d,%d)" % (values, *reserved)
