"""What the topics of a version still hold of persons, and what of that goes by itself. Blocking."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from confluent_kafka import Message

from audit.erasure.gather import images
from audit.erasure.subject import Subject, Subjects, row_key
from audit.search.found import Trace
from audit.search.kafka import parts_of, place_of, topic
from changes.envelope import Delivered, decode
from changes.topology import Topology
from streams.kafka import KafkaUrl, read_topic

ROW = "a row of theirs"
TOPIC_HEADER = "__connect.errors.topic"
"""Of a dead letter: the topic of the record that was refused."""


@dataclass
class Held:
    """Of one person in one topic: what stands in the last record of its key, and what a later record supersedes."""

    standing: list[Trace] = field(default_factory=list)
    superseded: list[Trace] = field(default_factory=list)


@dataclass(frozen=True)
class Looked:
    """One topic, looked through."""

    topic: str
    items: int
    size: int
    held: dict[str, Held]
    """By who."""
    keys: frozenset[bytes]
    """Of the person's rows, as they stand in superseded records: so they can be asked for again."""


@dataclass(frozen=True)
class Source:
    """The table that a topic's records are of, and the names of its key's columns."""

    table: str
    key: tuple[str, ...]
    made: bool


def sources_of(topology: Topology, version: str) -> dict[str, Source]:
    """By topic, of changes and of what is made of rows."""
    found = {}
    for name, declared in topology.tables.items():
        found[topology.topic(version, name)] = Source(name, tuple(declared.key), False)
        for enricher in declared.enrich:
            found[topology.derived_topic(version, name, enricher)] = Source(name, tuple(declared.key), True)
    return found


def looked(kafka: KafkaUrl, name: str, subjects: Subjects, source: Source | None) -> Looked:
    """Look through a topic. Raises `Transient` or `Misconfigured`."""
    whose: dict[tuple[int, int], dict[str, set[str]]] = {}

    def note(place: tuple[int, int], subject: Subject, what: str) -> None:
        whose.setdefault(place, {}).setdefault(subject.who, set()).add(what)

    def rows(message: Message) -> None:
        if (subject := row_of(message, subjects, source)) is not None:
            note(_at(message), subject, ROW)

    found = topic(kafka, name, subjects.needles, rows)
    hits: dict[tuple[int, int], set[int]] = {}
    for where, index in found.hits:
        partition, offset = where.rpartition("/")[0].rpartition("/")[2], where.rpartition("/")[2]
        if subjects.counts(index):
            hits.setdefault((int(partition), int(offset)), set()).add(index)
    held: dict[str, Held] = {}
    keys: set[bytes] = set()
    if hits or whose:
        _sift(kafka, name, subjects, source, hits, whose, held, keys)
    return Looked(name, found.items, found.size, held, frozenset(keys))


def _sift(
    kafka: KafkaUrl,
    name: str,
    subjects: Subjects,
    source: Source | None,
    hits: dict[tuple[int, int], set[int]],
    whose: dict[tuple[int, int], dict[str, set[str]]],
    held: dict[str, Held],
    keys: set[bytes],
) -> None:
    """Read the topic again: whose the records are in which something was found, and which of them is its key's last."""
    last: dict[tuple[int, bytes], dict[str, list[Trace]]] = {}
    for message in read_topic(kafka, name, committed=False):
        at, key = _at(message), (message.partition() or 0, message.key() or b"")
        found = {who: set(what) for who, what in whose.get(at, {}).items()}
        for index in hits.get(at, ()):
            subject, one = subjects.at(index)
            if not of_another(message, subjects, source, index):
                found.setdefault(subject.who, set()).add(one.what)
        for who, traces in last.pop(key, {}).items():
            held.setdefault(who, Held()).superseded += traces
        if found:
            last[key] = {who: [Trace(place_of(message), text) for text in sorted(what)] for who, what in found.items()}
            if source is not None:
                keys.add(row_key(key[1], source.key))
    for standing in last.values():
        for who, traces in standing.items():
            held.setdefault(who, Held()).standing += traces


def whose_letter(message: Message, subjects: Subjects, sources: Mapping[str, Source]) -> Subject | None:
    """Whose record a dead letter holds: one of a row of theirs, or with a value of theirs in it."""
    headers = dict(message.headers() or ())
    told = headers.get(TOPIC_HEADER) or b""
    source = sources.get(told if isinstance(told, str) else told.decode("utf-8", "replace"))
    if (subject := row_of(message, subjects, source)) is not None:
        return subject
    for index in sorted(subjects.needles.within(b"\0".join(parts_of(message)))):
        if subjects.counts(index) and not of_another(message, subjects, source, index):
            return subjects.at(index)[0]
    return None


def _at(message: Message) -> tuple[int, int]:
    return message.partition() or 0, message.offset() or 0


def _change(message: Message) -> Delivered | None:
    try:
        return decode(message.value() or b"")
    except msgspec.MsgspecError:
        return None


def row_of(message: Message, subjects: Subjects, source: Source | None) -> Subject | None:
    """Whose row a record tells of; a tombstone, and a delete that names no more than its row, tell of nothing."""
    if source is None or message.value() is None:
        return None
    change, key = _change(message), row_key(message.key() or b"", source.key)
    step = subjects.steps.get(source.table)
    named = {*source.key, "chunk"} | ({step.by} if step is not None else set())
    for image in () if change is None else images(change):
        telling = any(value is not None for column, value in image.items() if column not in named)
        if telling and (found := subjects.of_row(source.table, key, image)) is not None:
            return found
    return None


def of_another(message: Message, subjects: Subjects, source: Source | None, index: int) -> bool:
    """Whether what was found is somebody else's own: a text in a row of theirs, or their value of the same column."""
    subject, one = subjects.at(index)
    step = None if source is None else subjects.steps.get(source.table)
    change = _change(message)
    if source is None or step is None or change is None:
        return False
    for image in images(change):
        owner = image.get(step.by)
        if owner is None or subjects.owner(owner) is subject:
            return False
        table, _, column = one.what.partition(".")
        if one.strict and (table != source.table or not _holds(subjects, image.get(column), index)):
            return False
    return True


def _holds(subjects: Subjects, value: object, index: int) -> bool:
    return isinstance(value, str) and index in subjects.needles.within(value.encode("utf-8", "replace"))
