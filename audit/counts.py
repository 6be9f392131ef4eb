"""What capture says of a version for quick audits: its count of MySQL's rows at marks, and the schemas of rows."""

import threading
import time
from collections.abc import Callable, Mapping

from changes.canonical import Value, compiled
from changes.progress import Bucket
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.kafka import KafkaUrl
from streams.marks import Mark, Marks
from streams.sumstail import SumsTail

_PAUSE = 0.2
_TURN = 1.0
"""Seconds for which one audit keeps the others waiting for a mark."""


class Counts:
    """Shared by audits side by side, each in a thread of its own. Blocking."""

    def __init__(self, kafka: KafkaUrl, version: str, book: SchemaBook) -> None:
        self._marks, self._sums, self._book = Marks(kafka, version), SumsTail(kafka, version), book
        self._turns = threading.Lock()
        self._hashes: dict[str, Callable[[Mapping[str, Value]], int]] = {}

    def at_mark(self, table: str, deadline: float) -> tuple[Mark, dict[int, Bucket]] | None:
        """A mark between two transactions, and the table's buckets as of then; ``None`` where capture did not know them
        in time. Raises `Transient` where Kafka cannot be reached."""
        while True:
            with self._turns:  # sums are read from one mark to the next
                mark = self._marks.between(min(deadline, time.monotonic() + _TURN))
                found = None if mark is None else self._sums.at(mark.sums, table)
            if mark is not None and found is not None:
                return mark, found
            if time.monotonic() >= deadline:
                return None
            time.sleep(_PAUSE)

    def hash_of(self, table: str, fingerprint: str, row: Mapping[str, Value]) -> int | None:
        """The row's hash by its published schema; ``None`` where values are missing or the schema is."""
        hash_row = self._hashes.get(fingerprint)
        if hash_row is None:
            if not self._book.knows(table, fingerprint):
                self._book.refresh()
            try:
                hash_row = self._hashes[fingerprint] = compiled(self._book.of(table, fingerprint).columns)
            except UnknownSchema:
                return None
        try:
            return hash_row(row)
        except KeyError:
            return None

    def close(self) -> None:
        self._marks.close()
        self._sums.close()
