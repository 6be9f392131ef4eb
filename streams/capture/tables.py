"""Tables as MySQL has them now, and how their rows are told; described anew where their definition has changed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pymysql
from pymysql.constants import ER

from changes.errors import Misconfigured
from changes.schema import Kind, TableSchema
from changes.topology import Topology
from streams.capture.emit import TablePlan
from streams.capture.select import quoted
from streams.describe import tables_of
from streams.mysql import Connection

_PLAIN_KEYS = {Kind.INTEGER, Kind.TEXT}
"""Kinds whose values stand in a key the same way whatever their size."""
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
"""Of a definition, what every insert changes."""


@dataclass(frozen=True)
class Layout:
    """One table in one shape: ``definition`` is the server's text, ``full`` every column of it."""

    definition: str
    full: TableSchema
    plan: TablePlan


class Tables:
    """One version's. ``published`` gives the column list that capture published last of a table, if it ever did.

    For one thread at a time.
    """

    def __init__(self, topology: Topology, version: str, published: Callable[[str], TableSchema | None]) -> None:
        self._topology, self._version = topology, version
        self._database = topology.database(version)
        self._published = published
        self._known: dict[str, Layout] = {}
        self._gone: dict[str, TablePlan] = {}

    def definition(self, connection: Connection, table: str) -> str:
        """The statement that would make the table, "" where there is none. One that may not be read is an error."""
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"SHOW CREATE TABLE {quoted(self._database)}.{quoted(table)}")
            except pymysql.err.ProgrammingError as error:
                if error.args[0] == ER.NO_SUCH_TABLE:
                    return ""
                raise
            row = cursor.fetchone()
        return _COUNTER.sub("", str(row[1]), count=1) if row else ""

    def layout(self, connection: Connection, table: str) -> Layout | None:
        """The table as it is now, ``None`` where there is none.

        It may change while it is looked at: whoever reads rows by it asks for the `definition` once more afterwards.
        Raises `Misconfigured` where it can no longer be captured.
        """
        definition = self.definition(connection, table)
        known = self._known.get(table)
        if not definition or (known is not None and known.definition == definition):
            return known if definition else None
        found = tables_of(connection, self._database, [table]).get(table)
        if found is None:
            return None
        full, key = found
        declared = tuple(self._topology.tables[table].key)
        if key != declared:
            raise Misconfigured(
                f"the primary key of `{table}` is now ({', '.join(key)}), not ({', '.join(declared)}) as declared"
            )
        self._gone.pop(table, None)
        self._known[table] = Layout(definition, full, self._plan(full))
        return self._known[table]

    def gone(self, table: str) -> TablePlan | None:
        """How rows of a table are told that is there no more; ``None`` where nothing was ever told of it."""
        if table not in self._gone:
            schema = self._published(table)
            if schema is None:
                return None
            self._gone[table] = self._plan(schema)
        return self._gone[table]

    def _plan(self, full: TableSchema) -> TablePlan:
        declared = self._topology.tables[full.table]
        topic = self._topology.topic(self._version, full.table)
        return TablePlan.of(self._version, topic, full, tuple(declared.key), frozenset(declared.columns.drop))


def refuse_other_keys(before: TableSchema, now: TableSchema) -> None:
    """Raises `Misconfigured` where a row that did not change has another key in Kafka ``now`` than ``before``: its old
    one would be told as deleted, and stores hold both in one place."""
    for name in now.key if now.key == before.key else ():
        old, new = before.column(name), now.column(name)
        if old.kind is not new.kind or (old.type != new.type and old.kind not in _PLAIN_KEYS):
            raise Misconfigured(
                f"the key column `{name}` of `{now.table}` was {old.type} and is {new.type}, so that each row would"
                " have another key than before: change it back, or declare a table of another name that has these rows"
            )
