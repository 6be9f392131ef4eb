"""A batch on its way into the graph: which nodes it locks, what it then decides, what it writes. No I/O.

Whoever writes a batch asks in this order, in one transaction: for each of `labels`, `locks` and `locked`, `upserts` and
`refused`; then `unseen` and `buried`, `land`, `makers` and `held`, `settle` and `writes`.

Upserts are written as they are locked, where the store holds nothing that may be newer. All else is decided here: what
they did not write, deletes, and records that name a position to be written over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from changes.record import APPLIED, STALE, Outcome, Record
from sinks.neo4j import statements
from sinks.neo4j.edges import End, Held, Tie, compared, implied
from sinks.neo4j.values import encoder, key_text
from sinks.sql.table import Portion, Table, portions

Statement = tuple[str, dict[str, Any]]

_NEVER = (0, -1)
"""Before every (generation, position)."""


@dataclass
class _Entry:
    """A record with its node, and what is known of it. ``order`` is what the store holds of the row, dead or alive."""

    record: Record
    index: int
    table: Table
    node: End
    bound: list[Any]
    wanted: frozenset[Tie]
    withheld: tuple[str, ...] = ()
    order: tuple[int, int] = _NEVER
    held: list[Held] = field(default_factory=list)
    missing: list[Tie] = field(default_factory=list)
    surplus: list[Held] = field(default_factory=list)


class Batch:
    """Records of distinct rows. Raises `Rejected` where one holds what Neo4j cannot."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.outcomes: list[Outcome] = [STALE] * len(records)
        self._entries = {entry.node: entry for portion in portions(records) for entry in _entries(portion)}
        self._swift = {
            node for node, entry in self._entries.items() if entry.record.row is not None and entry.record.over < 0
        }
        self._ends = {end for entry in self._entries.values() for tie in entry.wanted for end in (tie.start, tie.end)}
        self._stubs: set[End] = set()
        self._dead: set[End] = set()
        self._landed: list[_Entry] = []

    def labels(self) -> list[str]:
        """The labels of all nodes that are to be locked, in order: the rows' own, and those at the ends of their edges.

        Within a label they are locked in the order of their keys, so that no two batches block each other for good.
        """
        return sorted({node.label for node in self._ends | self._entries.keys()})

    def locks(self, label: str) -> list[str]:
        """The keys of a label's nodes that are to be locked before `upserts`; none where these lock all there are."""
        nodes = {node for node in self._ends | self._entries.keys() if node.label == label}
        at_once = nodes <= self._swift and len({id(self._entries[node].table) for node in nodes}) == 1
        return [] if at_once else sorted(node.key for node in nodes)

    def locked(self, label: str, nodes: Iterable[Sequence[Any]]) -> None:
        """The locked nodes of a label: key, generation, position, whether it is a stub."""
        for key, generation, position, stub in nodes:
            node = End(label, key)
            if node in self._swift:
                continue
            if stub:
                self._stubs.add(node)
            elif node in self._entries:
                self._holds(node, generation, position)

    def upserts(self, label: str) -> Iterator[Statement]:
        """The statements that write what may be written at once."""
        swift = sorted(node for node in self._swift if node.label == label)
        yield from _puts(statements.upsert, [self._entries[node] for node in swift])

    def refused(self, label: str, nodes: Iterable[Sequence[Any]]) -> None:
        """What `upserts` did not write, as `locked` has it."""
        found = list(nodes)
        self._swift -= {End(label, key) for key, *_ in found}
        self.locked(label, found)

    def unseen(self) -> list[tuple[str, list[str]]]:
        """By target, the keys of rows that are not there, of which there may be tombstones."""
        return _by_label(self._stubs & self._entries.keys())

    def buried(self, target: str, graves: Iterable[Sequence[Any]]) -> None:
        """The tombstones of a target: key, generation, position."""
        for key, generation, position in graves:
            self._dead.add(End(target, key))
            self._holds(End(target, key), generation or 0, position)

    def _holds(self, node: End, generation: int, position: int) -> None:
        entry = self._entries[node]
        if position != entry.record.over:
            entry.order = max(entry.order, (generation, position))

    def land(self) -> None:
        """Decide which records land, beside those that are written."""
        self._landed = [
            entry for node, entry in self._entries.items() if node in self._swift or entry.order <= entry.record.order
        ]
        for entry in self._landed:
            self.outcomes[entry.index] = APPLIED

    def makers(self) -> list[tuple[str, list[str]]]:
        """By target, the keys of the rows whose relationships are to be looked up."""
        return _by_label(entry.node for entry in self._landed)

    def held(self, target: str, type_: str, found: Iterable[Sequence[Any]]) -> None:
        """The relationships of a type that rows of a target made, as `statements.held` returns them."""
        for key, id_, *ends in found:
            self._entries[End(target, key)].held.append(Held(id_, type_, *ends))

    def settle(self) -> list[str]:
        """Compare relationships with what is implied; the element ids of nodes that lose one."""
        for entry in self._landed:
            entry.missing, entry.surplus = compared(entry.wanted, entry.held)
        surplus = [held for entry in self._landed for held in entry.surplus]
        return sorted({id_ for held in surplus for id_ in (held.start_id, held.end_id)})

    def writes(self, losing: list[str]) -> Iterator[Statement]:
        """The statements that write what landed; ``losing`` is what `settle` returned."""
        surplus = [held.id for entry in self._landed for held in entry.surplus]
        if surplus:
            yield statements.CUT, {"ids": surplus}
        alive = [entry for entry in self._landed if entry.record.row is not None]
        gone = [entry for entry in self._landed if entry.record.row is None]
        yield from _puts(statements.put, [entry for entry in alive if entry.node not in self._swift])
        yield from self._ties(alive)
        for label, keys in _by_label(self._dead & {entry.node for entry in alive}):
            yield statements.DIG_UP, {"target": label, "keys": keys}
        for label, entries in _by_target(gone).items():
            yield from _bury(label, entries)
        used = {end for entry in alive for tie in entry.wanted for end in (tie.start, tie.end)}
        for label, keys in _by_label(self._stubs - used - {entry.node for entry in self._landed}):
            yield statements.clean(label), {"keys": keys}
        if losing:
            yield statements.CLEAN_IDS, {"ids": losing}

    def _ties(self, entries: Iterable[_Entry]) -> Iterator[Statement]:
        groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
        for entry in entries:
            made = {"key": entry.node.key, "gen": entry.record.generation, "pos": entry.record.position}
            for tie in entry.missing:
                group = groups.setdefault((entry.node.label, tie.type, tie.start.label, tie.end.label), [])
                group.append({**made, "start": tie.start.key, "end": tie.end.key})
        for (target, *shape), ties in sorted(groups.items()):
            yield statements.tie(*shape), {"target": target, "ties": ties}


def _entries(portion: Portion) -> Iterator[_Entry]:
    table, columns = portion.table, {column.name: column for column in portion.table.columns}
    encoders = [(column, column.name, encoder(column)) for column in table.columns]
    label = table.target.place
    withheld = (
        tuple(column.name for column in portion.upserts[0].schema.columns if column.name not in columns)
        if portion.upserts
        else ()
    )
    for record, row, index in zip(portion.upserts, portion.rows, portion.upserted, strict=True):
        key = key_text(table.key, record.key.values)
        values = [encode(column, row[name]) for column, name, encode in encoders]
        wanted = implied(table.target, columns, row, key) if table.target.edges else frozenset()
        bound = statements.bound(key, record.reserved, values)
        yield _Entry(record, index, table, End(label, key), bound, wanted, withheld)
    for record, index in zip(portion.deletes, portion.deleted, strict=True):
        node = End(label, key_text(table.key, record.key.values))
        yield _Entry(record, index, table, node, [], frozenset())


def _puts(text: Callable[[Table, Sequence[str]], str], entries: Iterable[_Entry]) -> Iterator[Statement]:
    groups: dict[int, list[_Entry]] = {}  # by identity: hashing a table for every row would cost more
    for entry in entries:
        groups.setdefault(id(entry.table), []).append(entry)
    for group in groups.values():
        table, withheld = group[0].table, group[0].withheld
        yield text(table, withheld), {"target": table.target.name, "rows": [entry.bound for entry in group]}


def _bury(label: str, entries: Sequence[_Entry]) -> Iterator[Statement]:
    yield statements.hollow(label), {"keys": [entry.node.key for entry in entries]}
    graves = [
        {
            "key": entry.node.key,
            "gen": entry.record.generation,
            "pos": entry.record.position,
            "bucket": entry.record.key.bucket,
            "canonical": entry.record.key.canonical,
        }
        for entry in entries
    ]
    yield statements.BURY, {"target": label, "graves": graves}
    for table in dict.fromkeys(entry.table for entry in entries):
        if statements.indexed(table):
            keys = [entry.record.key.values for entry in entries if entry.table == table]
            encoded = [
                [encoder(column)(column, value) for column, value in zip(table.key, values, strict=True)]
                for values in keys
            ]
            yield statements.strays(table), {"rows": encoded}


def _by_label(nodes: Iterable[End]) -> list[tuple[str, list[str]]]:
    """Labels in order, each with its keys in order."""
    found: dict[str, list[str]] = {}
    for label, key in sorted(nodes):
        found.setdefault(label, []).append(key)
    return list(found.items())


def _by_target(entries: Iterable[_Entry]) -> Mapping[str, list[_Entry]]:
    found: dict[str, list[_Entry]] = {}
    for entry in entries:
        found.setdefault(entry.node.label, []).append(entry)
    return found
