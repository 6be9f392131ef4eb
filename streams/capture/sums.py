"""What MySQL holds, counted and summed by bucket from the changes themselves: pure.

For each table 1,024 buckets of (rows, sum of h1, sum of h2) over its living rows. Rows and keys come as numbers: a
row is its 64-bit hash (``tr-hash``), a key the xxh64 of its canonical bytes, of which the bucket is the remainder.

Where the sums begin is a read view, whose place in the binlog no statement tells exactly. It needs not be told:

1. The loop opens a window: from now on it remembers what becomes of each key that changes.
2. A view is opened that holds all that the loop had seen then, and behind it the end of the binlog is read.
3. Once the stream has passed that end the window is closed: here every key's state is known. A key that changed in
   the window is as its last change left it; any other is as the view has it, for nothing happened to it in between.
4. The view is summed without the keys of the window, while changes behind the close are added and taken off. Both
   together are the sums, exactly, however much is written meanwhile.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec

from changes.canonical import BUCKETS, halves
from changes.progress import Bucket, SumsStep, TableSums
from streams.capture.batch import Batch

STEP = "step:"
FULL_EVERY = 1000
"""Steps behind which tables that changed are written whole again."""
RING = 4 * FULL_EVERY
"""How many keys steps take in turn: compaction keeps so many of them, more than are ever needed."""

_table = msgspec.json.Decoder(TableSums).decode
_step = msgspec.json.Decoder(SumsStep).decode


class Counts:
    """The buckets of one table, or a part of them that may be below zero."""

    __slots__ = ("high", "low", "rows")

    def __init__(self) -> None:
        self.rows, self.high, self.low = [0] * BUCKETS, [0] * BUCKETS, [0] * BUCKETS

    def add(self, key: int, row: int) -> None:
        bucket = key % BUCKETS
        high, low = halves(row)
        self.rows[bucket] += 1
        self.high[bucket] += high
        self.low[bucket] += low

    def take(self, key: int, row: int) -> None:
        bucket = key % BUCKETS
        high, low = halves(row)
        self.rows[bucket] -= 1
        self.high[bucket] -= high
        self.low[bucket] -= low

    def merge(self, other: "Counts") -> None:
        for mine, theirs in ((self.rows, other.rows), (self.high, other.high), (self.low, other.low)):
            mine[:] = map(int.__add__, mine, theirs)

    def move(self, bucket: int, rows: int, high: int, low: int) -> None:
        """Add to one bucket; what is added may be below zero."""
        self.rows[bucket] += rows
        self.high[bucket] += high
        self.low[bucket] += low

    def put(self, bucket: int, value: Bucket) -> None:
        self.rows[bucket], self.high[bucket], self.low[bucket] = value

    def of(self, bucket: int) -> Bucket:
        return self.rows[bucket], self.high[bucket], self.low[bucket]

    def buckets(self) -> dict[int, Bucket]:
        """Those that are not empty."""
        return {bucket: value for bucket in range(BUCKETS) if (value := self.of(bucket)) != (0, 0, 0)}


@dataclass
class Told:
    """The records of the sums topic, folded in their order. A table that is not known is not among ``tables``."""

    tables: dict[str, tuple[str, Counts]] = field(default_factory=dict)

    def take(self, key: str, value: bytes) -> None:
        if key.startswith(STEP):
            for table, buckets in _step(value).tables.items():
                known = self.tables.get(table)
                if known is not None:
                    for bucket, numbers in buckets.items():
                        known[1].put(bucket, numbers)
            return
        told = _table(value)
        if told.buckets is None:
            self.tables.pop(told.table, None)
            return
        counts = Counts()
        for bucket, numbers in told.buckets.items():
            counts.put(bucket, numbers)
        self.tables[told.table] = told.fingerprint, counts


@dataclass
class _Window:
    """What became of each key that changed: its row, ``None`` where it has none."""

    fingerprint: str | None = None
    touched: dict[int, int | None] = field(default_factory=dict)


@dataclass
class _Kept:
    """``whole`` once the view's part is in. ``dirty`` are the buckets that changed since they were last written."""

    counts: Counts
    fingerprint: str | None
    whole: bool = False
    dirty: set[int] = field(default_factory=set)


class Ledger:
    """The sums of all tables, as of the last change taken in; and the records by which the topic tells them."""

    def __init__(self, told: Told) -> None:
        self._tables: dict[str, _Window | _Kept] = {
            table: _Kept(counts, fingerprint, whole=True) for table, (fingerprint, counts) in told.tables.items()
        }
        # the steps that were numbered before count no more once these are written
        self._full = set(told.tables)
        self._stepped: set[str] = set()
        self._steps = 0

    def knows(self, table: str) -> bool:
        """Whether the table's sums are known."""
        kept = self._tables.get(table)
        return isinstance(kept, _Kept) and kept.whole

    def wants(self, table: str, fingerprint: str) -> bool:
        """Whether changes of the table are to be told to `change`; its columns are those of ``fingerprint``.

        Where other columns were hashed before, what is known counts no more.
        """
        kept = self._tables.get(table)
        if kept is None:
            return False
        if kept.fingerprint is None:
            kept.fingerprint = fingerprint
        elif kept.fingerprint != fingerprint:
            self.forget(table)
            return False
        return True

    def change(
        self, table: str, key_before: int | None, before: int | None, key_after: int | None, after: int | None
    ) -> None:
        """One row's change: the hashes of key and row before it and behind it, ``None`` where there is no row."""
        kept = self._tables.get(table)
        if isinstance(kept, _Window):
            if key_before is not None:
                kept.touched[key_before] = None
            if key_after is not None:
                kept.touched[key_after] = after
        elif kept is not None:
            if key_before is not None and before is not None:
                kept.counts.take(key_before, before)
                kept.dirty.add(key_before % BUCKETS)
            if key_after is not None and after is not None:
                kept.counts.add(key_after, after)
                kept.dirty.add(key_after % BUCKETS)

    def take(self, table: str, fingerprint: str, batch: Batch, layout: int) -> None:
        """The changes of a batch that were made by ``layout``, the table's with the columns of ``fingerprint``.

        While its window is open each key counts; else what the buckets gain and lose.
        """
        if not self.wants(table, fingerprint):
            return
        kept = self._tables[table]
        if isinstance(kept, _Window):
            for number, *hashes in batch.changes():
                if number == layout:
                    self.change(table, *hashes)
        else:
            for bucket, rows, high, low in batch.sums(layout):
                kept.counts.move(bucket, rows, high, low)
                kept.dirty.add(bucket)

    def open_window(self, table: str) -> None:
        self._tables[table] = _Window()

    def close_window(self, table: str) -> Collection[int] | None:
        """The keys that the view's part leaves out; ``None`` where the window was given up meanwhile."""
        window = self._tables.get(table)
        if not isinstance(window, _Window):
            return None
        counts = Counts()
        for key, row in window.touched.items():
            if row is not None:
                counts.add(key, row)
        self._tables[table] = _Kept(counts, window.fingerprint)
        return window.touched.keys()

    def join(self, table: str, part: Counts, fingerprint: str) -> bool:
        """Add the view's part; whether the sums are known now. They are not where other columns were hashed."""
        kept = self._tables.get(table)
        if not isinstance(kept, _Kept) or kept.fingerprint not in {None, fingerprint}:
            self.forget(table)
            return False
        kept.counts.merge(part)
        kept.whole, kept.fingerprint = True, fingerprint
        self._full.add(table)
        return True

    def forget(self, table: str) -> None:
        """What is known of the table counts no more."""
        if self.knows(table):
            self._full.add(table)
        self._tables.pop(table, None)

    def due(self) -> list[tuple[str, bytes]]:
        """The records, with their keys, that bring the topic to what is known now; to be written with the changes."""
        if self._steps and self._steps % FULL_EVERY == 0:
            self._full |= self._stepped
            self._stepped = set()
        step: dict[str, dict[int, Bucket]] = {}
        records = [(table, msgspec.json.encode(self._whole(table))) for table in self._full]
        for table, kept in self._tables.items():
            if isinstance(kept, _Kept) and kept.whole and kept.dirty:
                if table not in self._full:
                    step[table] = {bucket: kept.counts.of(bucket) for bucket in kept.dirty}
                kept.dirty = set()
        self._full = set()
        if step:
            records.append((f"{STEP}{self._steps % RING}", msgspec.json.encode(SumsStep(step))))
            self._steps += 1
            self._stepped |= step.keys()
        return records

    def _whole(self, table: str) -> TableSums:
        kept = self._tables.get(table)
        if isinstance(kept, _Kept) and kept.whole:
            return TableSums(table, kept.fingerprint or "", kept.counts.buckets())
        return TableSums(table, "", None)
