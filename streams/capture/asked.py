"""Rows that a request names, as chunks read them and as records tell them."""

import logging
from collections.abc import Callable, Iterator, Sequence

from changes.canonical import Value
from changes.key import key_json
from changes.progress import Asked, Request
from streams.capture.emit import Message, TablePlan, asked_key, asked_messages, asking
from streams.capture.snapshot import Chunk

log = logging.getLogger(__name__)


class AskedRows:
    """What is left of one request: rows by key. See `streams.capture.snapshot.Wanted`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._left = list(request.rows or ())
        self._readable: list[tuple[tuple[Value, ...], Asked]] = []

    def keys(self, plan: TablePlan) -> Sequence[tuple[Value, ...]]:
        """The keys, but for those that are none of the table's: these are left out for good."""
        self._readable = list(_readable(plan, self.request.id, self._left))
        return [values for values, _ in self._readable]

    def told(self, chunk: Chunk, plan: TablePlan, unchanged: Callable[[bytes], bool]) -> Iterator[Message]:
        """The records of the rows whose Kafka keys are ``unchanged``.

        The others the stream has told already. But it said nothing of what else was asked, so where something was such
        a row stays `left`, to be read once more.
        """
        derived = self.request.derived
        self._left = []
        for values, asked in self._readable:
            key = key_json(plan.schema, dict(zip(plan.schema.key, values, strict=True)))
            if not unchanged(key):
                if derived or asked.over:
                    self._left.append(asked)
                continue
            told = asked_messages(
                plan, values, asked.hint, chunk.rows.get(key), chunk.moment, chunk.moment.committed_us // 1000
            )
            ask = f"{derived}/{asked.chunk}" if asked.chunk >= 0 else derived
            for message in told:
                yield asking(message, ask, asked.over)

    @property
    def left(self) -> bool:
        """Whether rows are to be read once more."""
        return bool(self._left)


def _readable(plan: TablePlan, id_: str, rows: Sequence[Asked]) -> Iterator[tuple[tuple[Value, ...], Asked]]:
    """Each row's key; one whose key is none of the table's is left out."""
    for asked in rows:
        try:
            yield asked_key(plan, asked.key), asked
        except ValueError as error:
            log.error("request %s: the key %s is left out: %s", id_, asked.key, error)
