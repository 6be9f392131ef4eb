"""Stamps: how a lane notices that its store went back to an older state. Pure.

About once a second a lane keeps a stamp in its store: a serial number that only grows, an incarnation (made anew
whenever the store was found to have gone back), and the offsets below which the store holds everything. The same
incarnation and serial go into the metadata of what its consumer group commits, so the group knows of a stamp that the
store must still have. A store that has none, an older one or another incarnation's was emptied or restored from a
backup: what it certainly holds is what its own stamp says, and the lane goes on from there.

Between two stamps the group commits without a new one. A backup, or a server that forgets its last second, may lack
those changes and yet show the right serial: so whenever a lane begins, or goes on after a failure, it goes on from the
stamp's offsets, not from the group's, and repeats a second's changes at most.

Not noticed: a store that goes back in the milliseconds between a lane's look at the stamp and its next stamp, where the
lane is then killed before it has read what that stamp replaced.
"""

from dataclasses import dataclass

import msgspec

from changes.progress import Offsets, unfold
from streams.deliver.account import Account


class Stamp(msgspec.Struct, frozen=True):
    """What a store keeps for a lane's worker: below ``offsets`` (topic → partition → offset) it holds everything."""

    incarnation: str
    serial: int
    at_ms: int
    offsets: dict[str, dict[str, int]]

    def of(self, topic: str, partition: int) -> int | None:
        return self.offsets.get(topic, {}).get(str(partition))


class Told(msgspec.Struct, frozen=True):
    """What a commit's metadata says: the store has this stamp of the worker ``lane``, or a later one; and what became
    of the partition's records. ``order`` is the id of the last order to begin again that its worker followed."""

    lane: str
    incarnation: str
    serial: int
    account: Account | None = None
    order: str = ""


@dataclass(frozen=True)
class Start:
    """Where a partition begins: at ``offset``, at its beginning where that is ``None``. ``back``: for its store went
    back."""

    offset: int | None
    back: bool = False


def stamp_of(incarnation: str, serial: int, at_ms: int, offsets: Offsets) -> Stamp:
    return Stamp(incarnation, serial, at_ms, unfold(offsets))


def to_text(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()


def stamp_from(text: str | None) -> Stamp | None:
    """What a store keeps; what cannot be read is as none."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Stamp)
    except msgspec.MsgspecError:
        return None


def told_from(metadata: str | None) -> Told | None:
    """What the group was told; ``None`` where an older version, or somebody by hand, committed."""
    try:
        return msgspec.json.decode(metadata, type=Told) if metadata else None
    except msgspec.MsgspecError:
        return None


def went_back(known: Told | Stamp, held: Stamp | None) -> bool:
    """Whether a store that had the stamp ``known`` has gone back since, and holds ``held`` now."""
    return held is None or held.incarnation != known.incarnation or held.serial < known.serial


def start_of(topic: str, partition: int, committed: int, told: Told | None, held: Stamp | None) -> Start:
    """Where a partition that was just assigned begins. ``held`` is the stamp that the store has of ``told.lane``."""
    if told is None:
        return Start(committed)
    certain = None if held is None else held.of(topic, partition)
    if went_back(told, held):
        return Start(None if certain is None else min(committed, certain), back=True)
    return Start(committed if certain is None else min(committed, certain))


def back_to(written: Offsets, held: Stamp | None) -> dict[tuple[str, int], int | None]:
    """Where each partition goes on once the store is at ``held``; ``None`` for its beginning."""
    to: dict[tuple[str, int], int | None] = {}
    for (topic, partition), offset in written.items():
        certain = None if held is None else held.of(topic, partition)
        to[topic, partition] = None if certain is None else min(offset, certain)
    return to


def doubted(written: Offsets, held: Stamp) -> Offsets:
    """Where partitions go on whose changes since the stamp the store may have forgotten; it has all before it."""
    to: Offsets = {}
    for (topic, partition), offset in written.items():
        certain = held.of(topic, partition)
        if certain is not None and certain < offset:
            to[topic, partition] = certain
    return to
