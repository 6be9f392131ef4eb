"""What the targets of a look should hold. `RowsTruth` is for rows; what is made of rows has `audit.derived`'s."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from audit.compare import Expected, LastSaid
from audit.digests import Told, names_of
from audit.expected import Maker
from audit.sources import Keyed
from changes.canonical import Value
from changes.envelope import decode_key
from changes.key import Key
from changes.schema import TableSchema
from changes.target import Target
from streams.marks import Mark

Columns = Sequence[Sequence[Value]]
"""Rows, as the values of each column of the table's schema."""


class Behind(Exception):
    """Something that the look has to wait for did not come in time; the text says what."""


class Lacking(Behind):
    """Something is not there of this one table, whatever others wait for."""


class Truth(Protocol):
    """One for each look. Blocking, and for one thread at a time."""

    @property
    def schema(self) -> TableSchema:
        """Of what the targets hold; known once `settle` has returned."""

    def see(self, schema: TableSchema) -> None:
        """The table has this schema in the view that is read now."""

    def take(self, columns: Columns) -> Iterable[Told]:
        """Rows of the view, in the first look; what is expected, as far as that is known already."""

    def forget(self) -> None:
        """Forget the rows that were taken: the first look begins anew."""

    def settle(self, mark: Mark, deadline: float) -> Mark:
        """Wait until all that depends on the mark is there; the mark that lanes must have passed. Raises `Behind`."""

    def rest(self) -> Iterator[Told]:
        """What else is expected, once `settle` has returned in the first look."""

    def changed(self, messages: Iterable[Keyed]) -> Iterator[tuple[bytes, bytes]]:
        """The keys whose expected rows may have changed, since `settle` or by these messages of the table's topic:
        each with its values as JSON."""

    def row_key(self, key: Key) -> Key:
        """Of the table's row that decides what is expected under ``key``."""

    def expected(self, number: int, key: Key, row: Mapping[str, Value] | None) -> Expected | None:
        """What target ``number`` should hold under ``key``, where MySQL holds ``row``."""

    def last(self, key: Key) -> LastSaid | None:
        """The last record of ``key``, where that is known without another look at its topic."""


class RowsTruth:
    """MySQL's rows themselves. The order of ``targets`` is their number."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._maker: Maker | None = None

    @property
    def _made(self) -> Maker:
        if self._maker is None:
            raise RuntimeError("nothing was seen yet")
        return self._maker

    @property
    def schema(self) -> TableSchema:
        return self._made.schema

    def see(self, schema: TableSchema) -> None:
        self._maker = Maker(schema, self._targets)

    def take(self, columns: Columns) -> Iterable[Told]:
        return self._made.wanted(columns)

    def forget(self) -> None:
        """None is kept here."""

    def settle(self, mark: Mark, deadline: float) -> Mark:
        return mark

    def rest(self) -> Iterator[Told]:
        return iter(())

    def changed(self, messages: Iterable[Keyed]) -> Iterator[tuple[bytes, bytes]]:
        for message in messages:
            key = self._made.key(decode_key(message.key() or b""))
            yield key.canonical, names_of(key.values)

    def row_key(self, key: Key) -> Key:
        return key

    def expected(self, number: int, key: Key, row: Mapping[str, Value] | None) -> Expected | None:
        return None if row is None else self._made.expected(number, row)

    def last(self, key: Key) -> LastSaid | None:
        return None
