"""What a sink promises: eight verbs, and a small description that costs nothing to import.

A sink classifies what its store answers and does nothing about it: no retries, no batching, no parking, no
metrics. Those are `streams.deliver`'s, once for all sinks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from changes.canonical import Value
from changes.key import Key
from changes.record import Outcome, Record, StoredRow, StoredSums
from changes.schema import TableSchema
from changes.target import Target


class Sink(Protocol):
    """One store, as one lane or one audit sees it. Not safe for concurrent `write`s of the same row."""

    async def open(self, tables: Sequence[tuple[Target, TableSchema]]) -> None:
        """Connect, and create or widen what the targets need. Idempotent; may be called again with more tables
        or a newer schema while open.

        Raises `Transient` where the store cannot be reached, `Misconfigured` where it refuses us.
        """

    async def write(self, batch: Sequence[Record]) -> list[Outcome]:
        """Store a batch, durably; one outcome for each record, in order.

        Guarantee: a record lands only if the store holds nothing newer of that row, deleted rows included
        (``stored <= new``, by generation and then by position), or holds it under exactly the position that the record
        names in ``over``. A batch may hold several records of one row; they are applied in order.
        Raises `Transient` where nothing is known about the outcome; the same batch will come again.
        """

    async def read(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        """What the store holds for each (place, key), in order; ``None`` where it holds no living row."""

    def rows(
        self, target: Target, schema: TableSchema, buckets: Collection[int] | None = None
    ) -> AsyncIterator[StoredRow]:
        """Every living row of a target, or of some of its buckets, in no order, in flat memory."""

    async def sums(self, target: Target, schema: TableSchema, upto: int) -> StoredSums:
        """What `rows` would give of rows up to the position ``upto``, counted and its hashes summed by bucket, from
        the reserved fields alone, and which rows and tombstones are stored beyond it. Within the store where it can;
        in memory flat but for the latter.

        Each (place, key) is looked at once: either it is beyond, or what `sums` has of it is all that was there.
        """

    async def stamp(self, lane: str, stamp: str) -> str | None:
        """Keep ``stamp`` (a few kB of text at most) for ``lane``, durably; returns the one it replaced, None for none.

        It is kept among what the store holds, in its ``_tailrace_meta``, so that a store which is restored from a
        backup, or emptied, shows an older one or none. May be called as soon as `open` has connected, whatever tables
        it was given. Raises `Transient` and `Misconfigured` as `open` does.
        """

    async def stamped(self, lane: str) -> str | None:
        """The stamp kept for ``lane``; None where the store knows of none. Raises as `stamp` does."""

    async def close(self) -> None:
        """Release everything; idempotent, never raises."""


@dataclass(frozen=True)
class Swap:
    """Two places of one table in one store: ``shadow`` is to be where ``live`` is, which stays there as ``kept``."""

    live: Target
    shadow: Target
    kept: Target


Exchange = Callable[[], Awaitable[None]]


@runtime_checkable
class Exchanging(Sink, Protocol):
    """A sink that has more, where its store can put a place under another's name; decision 14 says why so.

    All may be called as soon as `Sink.open` has connected, whatever tables it was given, and raise as `Sink.open` does.
    """

    def held(self, swaps: Sequence[Swap]) -> AbstractAsyncContextManager[Exchange]:
        """For as long as the block lasts, nobody writes to the live places, which are read as ever: whoever tries
        waits, or has a `Transient`. They are free behind it, and whatever a process that was killed had left held.

        What it gives exchanges all of them: a reader of the live places finds the old ones or the new ones, and
        everything that is written from then on goes to the new. It is called once nobody writes to the shadows any
        more. Where it was broken off it may be called again, in a block of its own, and does what is left to do.
        """

    async def exchanged(self, swaps: Sequence[Swap]) -> bool:
        """Whether these were exchanged: the old places are there under the names that they are kept under."""

    async def drop(self, targets: Sequence[Target]) -> None:
        """Remove places with all that they hold, tombstones too; those that are not there are none."""


@dataclass(frozen=True)
class SinkSpec:
    """A sink's description. Importing it imports no driver; ``build`` does.

    ``endpoint`` is the name of its URL in ``stack env`` and, upper-cased, in the environment
    (``FUTURE_POSTGRES_URL``). ``check`` raises `Misconfigured` where a target is not one that this sink can serve.
    ``place_of`` is the rule for where in the store a row goes. ``guarded``: the store itself refuses what is older than
    what it holds, whoever writes; else each row must have one writer.
    """

    name: str
    endpoint: str
    build: Callable[[str], Sink]
    check: Callable[[Target], None]
    place_of: Callable[[Target, Mapping[str, Value]], str]
    guarded: bool = True
