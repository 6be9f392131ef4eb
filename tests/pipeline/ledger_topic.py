"""The ledger's topic read back, and held against the truth that the writer left in MySQL."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from streams.kafka import KafkaUrl, read_topic
from tailrace.example.ledger import Entry


@dataclass
class Told:
    """What a topic tells of one key: each write's ``n`` in order, how many changes, and whether the row lives."""

    written: list[int] = field(default_factory=list)
    changes: int = 0
    alive: bool = False


def told(kafka: KafkaUrl, topic: str) -> dict[int, Told]:
    """Every committed change of the ledger, by id, in the order of its partition."""
    keys: dict[int, Told] = defaultdict(Told)
    for message in read_topic(kafka, topic):
        value = message.value()
        if value is None:
            continue
        change = msgspec.json.decode(value)
        if change["op"] == "r":
            continue
        row = change["after"] if change["after"] is not None else change["before"]
        one = keys[row["id"]]
        one.changes += 1
        one.alive = change["op"] != "d"
        if one.alive:
            one.written.append(row["n"])
    return dict(keys)


def faults(keys: dict[int, Told], truth: Iterable[Entry]) -> list[str]:
    """Every way in which the topic is not the history: a gap, a repeat, a change too many or too few."""
    found = []
    entries = {entry.id: entry for entry in truth}
    for number in entries.keys() | keys.keys():
        one, entry = keys.get(number, Told()), entries.get(number, Entry(number))
        if one.written != list(range(1, entry.n + 1)):
            found.append(f"key {number}: wrote {one.written}, MySQL up to {entry.n}")
        if one.changes != entry.changes:
            found.append(f"key {number}: {one.changes} changes told, {entry.changes} made")
        if one.alive != entry.alive:
            found.append(f"key {number}: alive is {one.alive}, in MySQL {entry.alive}")
    return found
