"""What a store holds, as digests: pure."""

from collections.abc import Iterator, Sequence
from itertools import repeat

from audit.compare import BROKEN, digests
from audit.digests import Told, names_of_all, to_bytes
from audit.pages import writer_of
from audit.side import Side
from changes.record import StoredRow
from changes.schema import TableSchema


class StoredDigests:
    """Of the rows of one side."""

    def __init__(self, side: Side, schema: TableSchema) -> None:
        columns = side.target.columns(schema)
        self._number = side.number
        self._names = [column.name for column in columns]
        self._writer = writer_of(columns, lenient=True)

    def of(self, rows: Sequence[StoredRow]) -> Iterator[Told]:
        """As `audit.digests.Digests.hold` takes them."""
        whole = [row for row in rows if not row.broken]
        yield from zip(repeat(self._number), zip(*self._fields(whole), strict=True)) if whole else ()
        for row in rows:
            if row.broken:
                (names,) = names_of_all([[value] for value in row.key.values])
                yield self._number, (row.key.canonical, to_bytes(row.place), BROKEN, names, row.position)

    def _fields(self, rows: Sequence[StoredRow]) -> Iterator[Sequence[int] | Sequence[bytes]]:
        values = [row.row for row in rows]
        page = self._writer.page([[row[name] for row in values] for name in self._names])
        yield [row.key.canonical for row in rows]
        yield [to_bytes(row.place) for row in rows]
        yield digests(
            page.hashes(self._names),
            [row.hash for row in rows],
            [row.mapping for row in rows],
            [row.generation for row in rows],
        )
        yield names_of_all(list(zip(*[row.key.values for row in rows], strict=True)))
        yield [row.position for row in rows]
