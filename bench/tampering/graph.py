"""Neo4j: a row is a node, with relationships that it made."""

from typing import Any
from urllib.parse import urlsplit

from neo4j import GraphDatabase

from bench.tampering.store import BEYOND, Held, Row
from changes.target import Target

_KEY = "_tr_key"


class Graph:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        address = f"{parts.scheme}://{parts.hostname}:{parts.port}"
        auth = (parts.username or "", parts.password or "")
        self._driver = GraphDatabase.driver(address, auth=auth, notifications_min_severity="OFF")

    def take(self, target: Target, row: Row) -> Held:
        found = self._run(f"MATCH {_node(target, row)} RETURN properties(n) AS held", **row.key)
        if not found:
            raise LookupError(row.key)
        return dict(found[0]["held"])

    def put(self, target: Target, row: Row, held: Held) -> None:
        """The relationships of a node that is there stay; one that is new has none."""
        fields = {**held, **row.key, _KEY: _text(row)}
        self._run(f"MERGE (n:`{target.place}` {{{_KEY}: $at}}) SET n = $fields", at=fields[_KEY], fields=fields)

    def drop(self, target: Target, row: Row) -> None:
        self._run(f"MATCH {_node(target, row)} DETACH DELETE n", **row.key)

    def cut(self, target: Target, row: Row) -> None:
        """Remove one relationship that the row made."""
        made = f"()-[e {{_tr_target: $place, {_KEY}: n.{_KEY}}}]->()"
        text = f"MATCH {_node(target, row)} MATCH {made} WITH e LIMIT 1 DELETE e RETURN 1 AS gone"
        if not self._run(text, place=target.place, **row.key):
            raise LookupError(row.key)

    def name(self, column: str) -> str:
        return column

    def raised(self, held: Held) -> Held:
        return {**held, "_tr_pos": BEYOND}

    def close(self) -> None:
        self._driver.close()

    def _run(self, text: str, **values: Any) -> list[Any]:
        with self._driver.session() as session:
            return list(session.run(text, values))


def _node(target: Target, row: Row) -> str:
    wanted = ", ".join(f"`{name}`: ${name}" for name in row.key)
    return f"(n:`{target.place}` {{{wanted}}})"


def _text(row: Row) -> str:
    """What a node of whole numbers as key is found by, see `sinks.neo4j.values.key_text`."""
    texts = [str(value) for value in row.key.values()]
    return texts[0] if len(texts) == 1 else "".join(f"{len(text)}:{text}" for text in texts)
