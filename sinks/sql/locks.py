"""What writers of one database lock, so that a delete and a late upsert of one row cannot pass each other.

Where neither row nor tombstone exists yet there is nothing that both would have to lock.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import xxhash

from changes.record import Record

LOCK_GROUPS = 16
"""A lock stands for the buckets of a target with the same remainder by this: writers that share keys out by that
remainder never wait for each other."""


def locks(records: Sequence[Record]) -> list[tuple[int, int]]:
    """The locks of a batch: ascending, so that no two batches block each other for good."""
    return sorted({(_lock_number(record.target.name), record.key.bucket % LOCK_GROUPS) for record in records})


def every_lock(targets: Iterable[str]) -> list[tuple[int, int]]:
    """The locks of all rows of some targets: whoever has them is the only writer."""
    return sorted({(_lock_number(target), group) for target in targets for group in range(LOCK_GROUPS)})


@lru_cache(maxsize=1024)
def _lock_number(target: str) -> int:
    """A target's name as a signed 32-bit number; two that collide only wait for each other more often."""
    return xxhash.xxh32_intdigest(f"tailrace {target}".encode()) - (1 << 31)
