"""What a reader of the binlog hands to the capture loop: batches of records, and where the stream stands behind them.

There are two readers, `plain` and `native`; both make the same batches out of the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from changes.canonical import BUCKETS, halves
from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import Partial
from streams.capture.emit import LARGEST_MESSAGE, Message
from streams.capture.statements import Meaning

FULL_BYTES = 1 << 20
"""A batch ends behind the first transaction that makes it as large as this, or inside one twice as large."""
LARGEST_XA = 64 << 20
"""The most bytes of records that are held back until it is known what becomes of an XA transaction."""
MESSAGE_BYTES = 200
"""What a record takes beside its key and value: headers, mostly."""


@dataclass(frozen=True)
class Beginning:
    """Where reading begins: the checkpoint."""

    executed: MysqlGtids | MariadbGtids
    epoch: int
    position: int
    file: str
    offset: int
    partial: Partial | None = None


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes."""

    full: int = FULL_BYTES
    largest_message: int = LARGEST_MESSAGE


LIMITS = Limits()

Record = tuple[int, bytes, bytes | None, int, int]
"""(layout, key, value, position, row hash)"""

Change = tuple[int, int | None, int | None, int | None, int | None]
"""(layout, key before, row before, key after, row after): each the xxh64 of its canonical bytes, ``None`` where there
is no such row."""


Sum = tuple[int, int, int, int]
"""(bucket, rows, sum of h1, sum of h2), more or less than before."""


class Batch(Protocol):
    """Records in binlog order. What describes the stream does so behind the last of them."""

    @property
    def layouts(self) -> Sequence[int]:
        """Which layouts the records were made by."""

    @property
    def size(self) -> int:
        """Bytes, with what records take beside their keys and values."""

    @property
    def rows(self) -> int:
        """How many rows' changes are told."""

    @property
    def finished(self) -> Sequence[tuple[str, int, int]]:
        """The transactions that ended: origin, first and last number."""

    @property
    def ordinal(self) -> int:
        """How many transactions are executed, the one under way left out."""

    @property
    def position(self) -> int: ...

    @property
    def source_us(self) -> int:
        """When the last whole transaction was committed, 0 before the first."""

    @property
    def file(self) -> str: ...

    @property
    def offset(self) -> int: ...

    @property
    def inside(self) -> bool:
        """Whether a transaction is under way."""

    @property
    def gtid(self) -> str: ...

    @property
    def awaited(self) -> bool:
        """Whether the half-written transaction that reading began with is still to come."""

    @property
    def done(self) -> dict[str, int]:
        """Rows of the transaction under way that are in Kafka with this batch, by table."""

    def __len__(self) -> int: ...

    def messages(self, start: int, end: int) -> Sequence[Record]: ...

    def oversized(self, largest: int) -> Sequence[int]:
        """Indexes of records whose value is larger."""

    def keys(self, table: str) -> Sequence[tuple[bytes, int]]:
        """The keys of a table that changed, each with its position."""

    def changes(self) -> Sequence[Change]:
        """One for each row of `rows`, in order."""

    def sums(self, layout: int) -> Sequence[Sum]:
        """What the changes of a layout do to each bucket that they touch, in the order of buckets."""


@dataclass
class PlainBatch:
    """The batch of the reference reader; see `Batch`."""

    layouts: list[int] = field(default_factory=list)
    size: int = 0
    rows: int = 0
    finished: list[tuple[str, int, int]] = field(default_factory=list)
    ordinal: int = 0
    position: int = 0
    source_us: int = 0
    file: str = ""
    offset: int = 0
    inside: bool = False
    gtid: str = ""
    awaited: bool = False
    done: dict[str, int] = field(default_factory=dict)
    told: list[tuple[int, str, Message]] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.told)

    def messages(self, start: int, end: int) -> list[Record]:
        return [
            (layout, message.key, message.value, message.headers.position, message.headers.hash)
            for layout, _, message in self.told[start:end]
        ]

    def oversized(self, largest: int) -> list[int]:
        return [index for index, (_, _, message) in enumerate(self.told) if len(message.value or b"") > largest]

    def keys(self, table: str) -> list[tuple[bytes, int]]:
        return [(message.key, message.headers.position) for _, name, message in self.told if name == table]

    def changes(self) -> list[Change]:
        return self.changed

    def sums(self, layout: int) -> list[Sum]:
        sums: dict[int, list[int]] = {}
        for number, key_before, before, key_after, after in self.changed:
            if number == layout:
                for key, row, sign in ((key_before, before, -1), (key_after, after, 1)):
                    if key is not None and row is not None:
                        bucket = sums.setdefault(key % BUCKETS, [0, 0, 0])
                        high, low = halves(row)
                        bucket[0] += sign
                        bucket[1] += sign * high
                        bucket[2] += sign * low
        return [(bucket, rows, high, low) for bucket, (rows, high, low) in sorted(sums.items())]


@dataclass(frozen=True)
class Read:
    """``altered``: the DDL behind the batch's last record, if there was one, or what else changed rows without telling
    them. It may stand in a transaction that goes on."""

    batch: Batch
    altered: Meaning | None = None


class Reader(Protocol):
    """Makes batches out of the bytes of a binlog connection."""

    name: str

    def read(self, chunks: Iterator[memoryview]) -> Iterator[Read]:
        """Everything that ``chunks`` hold, each told before the next is waited for.

        Raises `Misconfigured` for what it cannot read or must not pass over, once all before it was told.
        """
