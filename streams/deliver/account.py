"""What became of each record of a partition, counted once. Pure.

An account goes into the metadata of the commit that covers it, so the two never disagree: what a killed worker had
written and not committed comes again, and is counted then. Below ``upto`` everything was counted; what comes again from
there, because a store went back, is *repeated*.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from changes.progress import Offsets
from changes.record import Outcome
from streams.deliver.prepare import Consumed, Prepared

Part = tuple[str, int]
"""Topic and partition."""
WINDOW_MS = 86_400_000
"""An account begins anew after so long: compaction must leave what it has counted where it can be counted again."""


class Counts(msgspec.Struct, array_like=True):
    """Records by what became of them in one target: each is in exactly one of these."""

    applied: int = 0
    stale: int = 0
    collapsed: int = 0
    filtered: int = 0
    parked: int = 0

    @property
    def total(self) -> int:
        return self.applied + self.stale + self.collapsed + self.filtered + self.parked

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(mine + theirs for mine, theirs in zip(_fields(self), _fields(other), strict=True)))


class Account(msgspec.Struct):
    """The records of one partition from the offset ``since`` up to ``upto``, by target.

    ``since_ms`` is when it was begun, in milliseconds since 1970; ``repeated`` how many records came again; ``skipped``
    how many were passed without being delivered.
    """

    since: int
    since_ms: int
    upto: int
    counts: dict[str, Counts] = {}
    repeated: int = 0
    skipped: int = 0


def opened(account: Account | None, committed: int, now_ms: int) -> tuple[Account, range]:
    """The account to go on with, and the offsets that lie between its end and where the group is: nobody delivered
    what stands there."""
    if account is None:
        return Account(committed, now_ms, committed), range(0)
    passed = range(account.upto, committed)
    return msgspec.structs.replace(account, upto=max(account.upto, committed)), passed


def rolled(account: Account, written: int, now_ms: int) -> Account:
    """A new account where this one is old, unless records of it are being repeated."""
    if now_ms - account.since_ms < WINDOW_MS or written < account.upto:
        return account
    return Account(account.upto, now_ms, account.upto)


def book(
    accounts: Mapping[Part, Account],
    messages: Iterable[Consumed],
    prepared: Prepared,
    outcomes: Sequence[Outcome],
    targets: Mapping[str, Sequence[str]],
) -> dict[Part, Account]:
    """The accounts of the partitions of a batch with that batch in them. ``targets``: names by topic.

    An account that knows nothing of one of them is from before it was declared, and begins anew: what each target's
    counts add up to has to be the same.
    """
    fates = _fates(prepared, outcomes)
    unreadable = {id(message) for message, _ in prepared.unreadable}
    booked: dict[Part, Account] = {}
    for message in messages:
        part, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        account = booked.get(part)
        if account is None:
            before = _of_all(accounts.get(part) or Account(offset, 0, offset), targets.get(part[0], ()))
            counts = {name: msgspec.structs.replace(found) for name, found in before.counts.items()}
            account = booked[part] = msgspec.structs.replace(before, counts=counts)
        if offset < account.upto:
            account.repeated += 1
            continue
        account.upto = offset + 1
        null, bad = message.value() is None, id(message) in unreadable
        for name in targets.get(part[0], ()):
            found = account.counts.get(name)
            if found is None:
                found = account.counts[name] = Counts()
            if null:
                found.filtered += 1
            elif bad:
                found.parked += 1
            else:
                _add(found, fates.get((id(message), name), "collapsed"))
    return booked


def _of_all(account: Account, names: Iterable[str]) -> Account:
    if account.counts and not account.counts.keys() >= set(names):
        return msgspec.structs.replace(account, since=account.upto, counts={})
    return account


def ends_of(messages: Iterable[Consumed]) -> Offsets:
    """For each partition, the offset behind its last message."""
    ends: Offsets = {}
    for message in messages:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and partition is not None and offset is not None:
            ends[topic, partition] = offset + 1
    return ends


def _fates(prepared: Prepared, outcomes: Sequence[Outcome]) -> dict[tuple[int, str], str]:
    """What became of a message in a target, where something of it was written or nothing was to be.

    A row that moved is two records: it was refused where one of them was, and applied where one of them was.
    """
    fates: dict[tuple[int, str], str] = dict.fromkeys(prepared.unmade, "filtered")
    for record, outcome in zip(prepared.records, outcomes, strict=True):
        place = id(prepared.message_of[id(record)]), record.target.name
        before = fates.get(place)
        if before is None or _WEIGHT[outcome.kind] > _WEIGHT[before]:
            fates[place] = outcome.kind
    return fates


_WEIGHT = {"filtered": 0, "stale": 1, "applied": 2, "rejected": 3}


def _add(counts: Counts, fate: str) -> None:
    if fate == "applied":
        counts.applied += 1
    elif fate == "stale":
        counts.stale += 1
    elif fate == "rejected":
        counts.parked += 1
    elif fate == "filtered":
        counts.filtered += 1
    else:
        counts.collapsed += 1


def _fields(counts: Counts) -> tuple[int, ...]:
    return counts.applied, counts.stale, counts.collapsed, counts.filtered, counts.parked
