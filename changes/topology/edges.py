"""What is wrong with the edges that a sink declares, as far as the declarations tell."""

from collections.abc import Iterator

from changes.topology.model import CHUNK, File, SinkDecl, TableDecl, is_chunked, place_of

_GRAPH = "neo4j"
"""The one sink whose store has relationships."""

Mistake = tuple[tuple[str | int, ...], str]
"""Where below ``edges`` it is, and what it is."""


def edge_problems(declared: File, table: TableDecl, sink: SinkDecl) -> Iterator[Mistake]:
    """The mistakes in the edges of one of a table's sinks."""
    if sink.edges and sink.sink != _GRAPH:
        yield (), f"`edges` are for `{_GRAPH}`: {sink.sink} has no relationships"
        return
    keys = {
        place_of(other, one): (other.table, [*other.key, CHUNK] if is_chunked(other, one) else other.key)
        for other in declared.tables
        for one in other.sinks
        if one.sink == _GRAPH
    }
    for number, edge in enumerate(sink.edges):
        if edge in sink.edges[:number]:
            yield (number,), f"this edge `{edge.type}` is declared twice"
        for field, label in (("from", edge.from_), ("to", edge.to)):
            owner, key = keys.get(label or "", ("", [""]))
            if len(key) != 1:
                yield (
                    (number, field),
                    f"a `{label}` is a row of `{owner}`, whose key is ({', '.join(key)}): one column cannot name it",
                )
        for field, name in edge.columns:
            if (reason := _kept_from(table, sink, name)) is not None:
                yield (number, field), f"the edge `{edge.type}` needs `{name}`, {reason}"


def _kept_from(table: TableDecl, sink: SinkDecl, name: str) -> str | None:
    """Why a column does not reach a sink; ``None`` where it does, or nobody can tell from here."""
    if name in table.key:
        return None
    if sink.personal == "omit" and name in table.columns.personal:
        return "which is personal: declare `personal: allow`"
    if sink.columns is not None and name not in sink.columns:
        return "which is not among `columns`"
    return None
