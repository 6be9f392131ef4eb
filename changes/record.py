"""What a sink is asked to store, and what it answers."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from changes.canonical import Value, halves
from changes.key import Key
from changes.schema import TableSchema
from changes.target import Target


class Record(msgspec.Struct, frozen=True, gc=False):
    """One row, or its absence, for one target.

    ``row`` holds the target's projected columns, or is ``None`` for a delete. ``place`` is where in the store it
    goes: the user's id for a file per user, the rendered key for Redis, ``""`` where the target is one table.
    ``hash`` is the row's ``tr-hash`` (of all captured columns), 0 for a delete. ``generation`` is 0 but for derived
    data. ``over`` is a position, -1 for none: where the row or its tombstone is stored under exactly that one, the
    guard yields, for no change explains it and it would refuse all that comes. ``lived`` are the seconds of its
    lifetime that are over, for a row of a `cache` that comes late or again: what had expired does not come back.
    """

    target: Target
    key: Key
    position: int
    row: Mapping[str, Value] | None
    hash: int
    schema: TableSchema
    place: str = ""
    generation: int = 0
    over: int = -1
    lived: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """What every guard compares: a record lands where what is stored has no greater (generation, position)."""
        return self.generation, self.position

    @property
    def reserved(self) -> dict[str, int]:
        """The reserved fields that every stored row carries beside its values."""
        high, low = halves(self.hash)
        return {
            "_tr_pos": self.position,
            "_tr_h1": high,
            "_tr_h2": low,
            "_tr_bucket": self.key.bucket,
            "_tr_map": self.target.mapping,
            "_tr_gen": self.generation,
        }


RESERVED = ("_tr_pos", "_tr_h1", "_tr_h2", "_tr_bucket", "_tr_map", "_tr_gen")


class Outcome(msgspec.Struct, frozen=True):
    """What became of one record.

    ``applied``: the store now holds it. ``stale``: the store held something newer and was left alone.
    ``rejected``: the store refuses this record for what it contains; ``reason`` says why, in the store's words.
    """

    kind: Literal["applied", "stale", "rejected"]
    reason: str = ""


APPLIED = Outcome("applied")
STALE = Outcome("stale")


def rejected(reason: object) -> Outcome:
    return Outcome("rejected", str(reason))


class StoredRow(msgspec.Struct, frozen=True):
    """One row as a store really holds it, for audits.

    ``row`` holds values in a form that `changes.canonical` understands for the target's projected columns;
    ``hash`` is the stored ``tr-hash``. ``broken`` names columns whose value is there but not what the store makes of it
    beside it, such as the relationship that it asks for, and in brackets what is no column, such as a lifetime: an
    audit calls such a row altered.
    """

    key: Key
    place: str
    position: int
    hash: int
    mapping: int
    row: Mapping[str, Value]
    generation: int = 0
    broken: tuple[str, ...] = ()


class BucketSum(msgspec.Struct, frozen=True):
    """The living rows of one bucket: how many, and the exact sums of the halves of their stored hashes."""

    count: int = 0
    h1: int = 0
    h2: int = 0

    def __add__(self, other: "BucketSum") -> "BucketSum":
        return BucketSum(self.count + other.count, self.h1 + other.h1, self.h2 + other.h2)


class StoredSums(msgspec.Struct, frozen=True):
    """What a store holds of a target, as of a position.

    ``sums`` are of the living rows that are stored under that position or an older one, by bucket, without those that
    are empty. ``beyond`` has the rows and tombstones that are stored under a newer one: (place, the key's canonical
    bytes) and their bucket. The bytes are empty where the place alone says which row it is.
    """

    sums: dict[int, BucketSum]
    beyond: dict[tuple[str, bytes], int]
