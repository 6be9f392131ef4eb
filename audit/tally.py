"""Capture's sums against a store's, both as of one mark, while writes go on: pure.

The store is read later than the mark, so some of its rows are newer: those stored under a position beyond the mark's.
Each was changed behind the mark, by a record that is in the topic, and the first such record tells what the row was at
the mark. So it is taken off the source's side where the store had already taken the change up; where it had not, the
row is counted on both. What is left must be equal, bucket for bucket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.expected import place_of
from changes.canonical import Value, bucket_of, halves
from changes.progress import Bucket
from changes.record import BucketSum, StoredSums
from changes.target import Target

Spot = tuple[str, bytes]
"""(place, the key's canonical bytes)."""


@dataclass(frozen=True)
class State:
    """A living row: its values and its hash, ``None`` where that cannot be told."""

    row: Mapping[str, Value]
    hash: int | None


@dataclass
class Behind:
    """What the records behind a mark say of one target's rows.

    ``had`` is where rows lay at the mark that changed since, with their hashes; ``touched`` every spot that such a
    record names. A spot stands in both under an empty key too, for stores whose place alone says which row it is.
    ``anywhere`` are keys that such records name without saying every place that they were taken from. ``unsure`` are
    buckets with rows whose hash at the mark is not known.
    """

    target: Target
    had: dict[Spot, int] = field(default_factory=dict)
    touched: set[Spot] = field(default_factory=set)
    anywhere: set[bytes] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)

    def first(self, key: bytes, state: State | None) -> None:
        """The row at the mark by the first record behind it; ``None``: there was none."""
        if state is None:
            return
        self.named(key, state.row)
        if state.hash is None:
            self.unsure.add(bucket_of(key))
        else:
            self.lay(key, place_of(self.target, state.row), state.hash)

    def named(self, key: bytes, row: Mapping[str, Value]) -> None:
        """A record names this row, as it was or as it is."""
        self.touch(key, place_of(self.target, row))

    def lay(self, key: bytes, place: str, hash_: int) -> None:
        """There the row lay at the mark, and has changed since."""
        self.had[place, key] = self.had[place, b""] = hash_

    def touch(self, key: bytes, place: str) -> None:
        """A record puts the row there, or takes it from there."""
        self.touched |= {(place, key), (place, b"")}


@dataclass(frozen=True)
class Tally:
    """The buckets in which the sides differ, those among them where nobody can tell from here; and how many rows the
    store had at the mark, as far as the topic tells it of those that it has taken up changes of."""

    differing: set[int]
    rows: int


def tally(source: Mapping[int, Bucket], stored: StoredSums, behind: Behind) -> Tally:
    left = {bucket: BucketSum(*numbers) for bucket, numbers in source.items()}
    found, rows = set(behind.unsure), sum(one.count for one in stored.sums.values())
    for spot, bucket in stored.beyond.items():
        hash_ = behind.had.get(spot)
        if hash_ is not None:
            rows += 1
            high, low = halves(hash_)
            left[bucket] = left.get(bucket, BucketSum()) + BucketSum(-1, -high, -low)
        elif spot not in behind.touched and spot[1] not in behind.anywhere:
            found.add(bucket)
    nothing = BucketSum()
    for bucket in left.keys() | stored.sums.keys():
        if left.get(bucket, nothing) != stored.sums.get(bucket, nothing):
            found.add(bucket)
    return Tally(found, rows)
