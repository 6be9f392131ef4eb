"""Which relationships a row implies, and how those that are there differ from them: no I/O.

A relationship carries the row that made it (``_tr_target``, ``_tr_key``) and the change that did (``_tr_gen``,
``_tr_pos``). A later change of the row that implies the same one leaves it as it is.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from changes.canonical import Value
from changes.errors import Misconfigured, Rejected
from changes.schema import Column
from changes.target import Edge, Target
from sinks.neo4j.values import key_text


class End(NamedTuple):
    """A node, by its label and the text of its key."""

    label: str
    key: str


class Tie(NamedTuple):
    """A relationship that a row implies."""

    type: str
    start: End
    end: End


class Held(NamedTuple):
    """A relationship that is there, made by a row: its element id, and for each end its element id, labels and key."""

    id: str
    type: str
    start_id: str
    start_labels: Collection[str]
    start_key: str | None
    end_id: str
    end_labels: Collection[str]
    end_key: str | None

    def is_(self, tie: Tie) -> bool:
        return (
            (self.type, self.start_key, self.end_key) == (tie.type, tie.start.key, tie.end.key)
            and tie.start.label in self.start_labels
            and tie.end.label in self.end_labels
        )


def implied(target: Target, columns: Mapping[str, Column], row: Mapping[str, Value], own: str) -> frozenset[Tie]:
    """What a row implies, whose own node has the key ``own``.

    Raises `Rejected` where a column that names an end holds no value of its kind, or one that is too long.
    """
    ties = (_tie(target, edge, columns, row, own) for edge in target.edges)
    return frozenset(tie for tie in ties if tie is not None)


def _tie(target: Target, edge: Edge, columns: Mapping[str, Column], row: Mapping[str, Value], own: str) -> Tie | None:
    if any(row[name] is None for name in edge.columns):
        return None
    start, end = (
        End(label, key_text((columns[name],), (row[name],))) if name else End(target.place, own)
        for label, name in ((edge.start, edge.start_key), (edge.end, edge.end_key))
    )
    return Tie(edge.type, start, end)


def compared(wanted: Iterable[Tie], held: Iterable[Held]) -> tuple[list[Tie], list[Held]]:
    """What is missing, and what is there that should not be; of two that are equal one is too many."""
    missing, surplus = sorted(wanted), list[Held]()
    for one in held:
        found = next((tie for tie in missing if one.is_(tie)), None)
        if found is None:
            surplus.append(one)
        else:
            missing.remove(found)
    return missing, surplus


def broken(
    target: Target, columns: Mapping[str, Column], row: Mapping[str, Value], own: str, held: Iterable[Held]
) -> tuple[str, ...]:
    """The columns whose edges are not exactly those that the stored row implies, or whose values name no node."""
    wanted, wrong = set[Tie](), list[Edge]()
    for edge in target.edges:
        try:
            tie = _tie(target, edge, columns, row, own)
        except Rejected:
            wrong.append(edge)
        else:
            if tie is not None:
                wanted.add(tie)
    missing, surplus = compared(wanted, held)
    types = {tie.type for tie in missing} | {one.type for one in surplus}
    wrong += (edge for edge in target.edges if edge.type in types)
    return tuple(dict.fromkeys(name for edge in wrong for name in edge.columns))


def check_edges(target: Target, columns: Mapping[str, Column]) -> None:
    """Raises `Misconfigured` where an edge names a column that does not come here."""
    for edge in target.edges:
        for name in edge.columns:
            if name not in columns:
                raise Misconfigured(
                    f"`{target.table}` → `neo4j`: the edge `{edge.type}` needs the column `{name}`, which is not among"
                    " those of this target"
                )
