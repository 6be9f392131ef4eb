"""What becomes of a person's rows, table by table, in an order that foreign keys allow: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from changes.errors import Misconfigured
from changes.topology import Topology
from changes.topology.model import TableDecl
from changes.topology.quality import parent_of

Reference = tuple[str, str, str]
"""A foreign key: the table that has it, its column, the table that it refers to."""


@dataclass(frozen=True)
class Step:
    """The rows of ``table`` whose column ``by`` holds the person's id. ``set``: what cleared columns hold then."""

    table: str
    by: str
    rows: Literal["delete", "clear", "keep"]
    set: Mapping[str, str | int | float | None] = field(default_factory=dict)
    personal: tuple[str, ...] = ()


def planned(topology: Topology, references: Sequence[Reference]) -> list[Step]:
    """The steps, rows that refer to others before those, and a table before those declared above it.

    Raises `Misconfigured` naming each table that speaks of persons and does not say what becomes of its rows then.
    """
    if unsaid := list(_unsaid(topology, references)):
        raise Misconfigured("\n".join(unsaid))
    steps = {table.table: step for table in topology.declared.tables if (step := _step(table)) is not None}
    if not steps:
        raise Misconfigured(f"no table of {topology.file} declares whose its rows are: name its column in `user`")
    return [steps[name] for name in _ordered(list(steps), references)]


def _step(table: TableDecl) -> Step | None:
    erase, personal = table.erase, tuple(table.columns.personal)
    if erase is None:
        return None if table.user is None else Step(table.table, table.user, "delete", {}, personal)
    by = erase.by or table.user or ""
    return Step(table.table, by, erase.rows, erase.set, personal)


def _ordered(names: Sequence[str], references: Sequence[Reference]) -> Iterator[str]:
    """What is declared first is a person's own row most of the time: it goes last, where nothing else is said."""
    graph: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(reversed(names), ()))
    for child, _, parent in references:
        if child in names and parent in names and child != parent:
            graph.add(parent, child)
    try:
        graph.prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise Misconfigured(f"foreign keys go round in a circle ({circle}): nothing can be deleted first") from error
    waiting: list[str] = []
    while graph.is_active():
        waiting += graph.get_ready()
        waiting.sort(key=names.index)
        name = waiting.pop()
        graph.done(name)
        yield name


def _unsaid(topology: Topology, references: Sequence[Reference]) -> Iterator[str]:
    """Tables that do not say what becomes of their rows, though a column of theirs names a person."""
    tables = topology.tables
    people = {name for name, table in tables.items() if table.user is not None and [table.user] == table.key}
    keys = {name: table.key for name, table in tables.items()}
    for name, table in tables.items():
        if table.user is not None or table.erase is not None:
            continue
        named = [column for column, told in table.quality.parents.items() if parent_of(told, keys)[0] in people]
        named += [column for child, column, parent in references if child == name and parent in people]
        for column in dict.fromkeys(named):
            yield (
                f"`{name}.{column}` names a person, and nothing says what becomes of such a row when that person is"
                f" erased: add `erase: {{by: {column}, rows: delete}}` to it, or `rows: keep`, or `rows: clear` with"
                " what its columns are to hold instead in `set`"
            )
