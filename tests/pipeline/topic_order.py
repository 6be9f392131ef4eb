"""A topic of rows that count their own changes in ``n``, followed from end to end: every change once, and in order."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

import msgspec
from sources import Source
from upheaval import BULK

from changes.envelope import headers_from
from streams.kafka import KafkaUrl, read_topic
from tailrace.example.database import connect
from tailrace.example.traffic import read_truth

MOST_FAULTS = 20


class Row(msgspec.Struct):
    """What every table that is followed has."""

    id: int
    n: int


class Change(msgspec.Struct):
    """An envelope, as far as it is looked at."""

    op: str
    before: Row | None
    after: Row | None


_change = msgspec.json.Decoder(Change).decode


@dataclass
class Followed:
    """What a topic tells. ``n`` of each key that ever was, ``living`` keys, ``changes`` by key without rows that were
    only read, and every way in which the topic is not one history.

    A row that was read beside the stream must be the row as the stream left it at that place, neither older nor newer.
    """

    n: dict[int, int] = field(default_factory=dict)
    living: set[int] = field(default_factory=set)
    changes: Counter[int] = field(default_factory=Counter)
    ops: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _position: dict[int, int] = field(default_factory=dict)
    _partition: dict[int, int] = field(default_factory=dict)

    def take(self, partition: int, op: str, row: Row, position: int) -> None:
        """One record that is no tombstone; ``row`` is what stands behind the change, or stood before a delete."""
        key, n = row.id, row.n
        self.ops[op] += 1
        before, at = self.n.get(key), f"key {key} at {position:019d}"
        if op == "r":
            if before is not None and (key not in self.living or n != before):
                self._wrong(f"{at}: read with n={n}, the stream left it at {before}")
            if position < self._position.get(key, 0):
                self._wrong(f"{at}: read behind {self._position[key]:019d}")
        else:
            self.changes[key] += 1
            if op == "d" and (key not in self.living or n != before):
                self._wrong(f"{at}: deleted with n={n}, the stream left it at {before}")
            if op != "d" and n != (before or 0) + 1:
                self._wrong(f"{at}: written with n={n}, the stream left it at {before}")
            if position <= self._position.get(key, -1):
                self._wrong(f"{at}: changed behind {self._position[key]:019d}")
            if position < self._partition.get(partition, 0):
                self._wrong(f"{at}: behind {self._partition[partition]:019d} of its partition {partition}")
            self._partition[partition] = position
        self._position[key] = position
        self.n[key] = n
        (self.living.discard if op == "d" else self.living.add)(key)

    def _wrong(self, fault: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


def followed(kafka: KafkaUrl, topic: str) -> Followed:
    """Every committed record of a topic, in the order of its partitions."""
    found = Followed()
    for message in read_topic(kafka, topic):
        value = message.value()
        if value is not None:
            change = _change(value)
            row = change.after or change.before
            assert row is not None
            found.take(message.partition() or 0, change.op, row, headers_from(message.headers()).position)
    return found


def ledger_faults(found: Followed, one: Source) -> list[str]:
    """Where the topic and the ledger's truth differ."""
    with closing(connect(one.endpoint)) as connection:
        truth = {entry.id: entry for entry in read_truth(connection)}
    wanted = {key: (entry.n, entry.changes, entry.alive) for key, entry in truth.items()}
    told = {key: (n, found.changes[key], key in found.living) for key, n in found.n.items()}
    return [
        f"key {key}: told {told.get(key)}, true is {wanted.get(key)}"
        for key in sorted(wanted.keys() | told.keys())
        if told.get(key) != wanted.get(key)
    ]


def bulk_faults(found: Followed, one: Source) -> list[str]:
    """Where the topic and the table of large transactions differ; its rows began at 1, before capture did."""
    rows = {int(key): int(n) for key, n in one.run(f"SELECT id, n FROM {BULK}")}
    told = {key: n for key, n in found.n.items() if found.changes[key] == n - 1}
    return [f"key {key}: told {found.n.get(key)}, true is {n}" for key, n in rows.items() if told.get(key) != n][:20]
