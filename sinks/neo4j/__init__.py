"""Neo4j: a row as a node of its own, and as relationships to the nodes that its columns name."""

from collections.abc import Mapping

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.target import Target
from sinks.contract import Sink, SinkSpec

OURS = "_tailrace"
"""What our own labels begin with."""

_LONGEST = 200


def build(url: str) -> Sink:
    """``url``: ``bolt://user:password@host:port[/database]``, or another of the driver's schemes."""
    from sinks.neo4j.sink import Neo4jSink  # noqa: PLC0415  the driver is loaded only where it is used

    return Neo4jSink(url)


def check(target: Target) -> None:
    where = f"`{target.table}` → `neo4j`"
    if "{" in target.place:
        raise Misconfigured(f"{where}: `place` is a label, not a pattern: `{target.place}`")
    labels = [target.place, *(label for edge in target.edges for label in (edge.start, edge.end) if label)]
    for name in (*labels, *(edge.type for edge in target.edges)):
        check_name(name, where)
        if not name or name.startswith(OURS) or len(name.encode()) > _LONGEST:
            raise Misconfigured(f"{where}: `{name}` cannot be a label or a type here; choose another name")
    if target.keep != "mirror":
        raise Misconfigured(f"{where}: nodes have no lifetime; declare `keep: mirror`")
    if target.owns != "table":
        raise Misconfigured(f"{where}: `owns: {target.owns}` is not served here; only `owns: table` is")


def check_name(name: str, where: str) -> None:
    """Raises `Misconfigured` for what cannot be quoted: Cypher reads ``\\u0060`` within backticks as a backtick."""
    if "\\" in name or "\0" in name:
        raise Misconfigured(f"{where}: `{name}` cannot be a name in Cypher; it holds a backslash or NUL")


def place_of(target: Target, row: Mapping[str, Value]) -> str:
    return ""


NEO4J = SinkSpec("neo4j", "neo4j", build, check, place_of)
