"""The layouts of tables that the stream has shown, numbered; and what is decided on events, whoever decodes them."""

from typing import NoReturn

from changes.errors import Misconfigured
from changes.topology import Topology
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.table_map import TableMap, parse_table_map
from streams.capture.emit import TablePlan
from streams.capture.statements import Statement, classify


class Layouts:
    """One version's. A layout's number stays its own for as long as this lives."""

    def __init__(self, topology: Topology, version: str, collations: Collations) -> None:
        self.version = version
        self.database = topology.database(version)
        self.tables = tuple(topology.tables)
        self._topology = topology
        self._collations = collations
        self._plans: list[TablePlan] = []

    def __getitem__(self, number: int) -> TablePlan:
        return self._plans[number]

    def add(self, event: bytes) -> tuple[int, TableMap, TablePlan]:
        """Take in the TABLE_MAP event of a declared table; number, map and plan.

        Raises `ValueError` where it cannot be read, `Misconfigured` where it must not be captured so.
        """
        table_map = parse_table_map(event, events.HEADER, self._collations)
        declared = self._topology.tables[table_map.table]
        plan = TablePlan.of(
            self.version,
            self._topology.topic(self.version, table_map.table),
            table_map.schema,
            tuple(declared.key),
            frozenset(declared.columns.drop),
        )
        self._plans.append(plan)
        return len(self._plans) - 1, table_map, plan

    def classify(self, event: bytes, *, inside: bool) -> tuple[Statement, str]:
        """What a QUERY event does, and its text. Raises `Misconfigured` for what would lose changes."""
        database, text = events.query(event)
        return classify(text, database, self.database, frozenset(self.tables), inside=inside), text


def refuse(type_: int, gtid: str) -> NoReturn:
    """Stop at an event that this release cannot follow; ``gtid`` is the transaction's that it stands in."""
    if type_ == events.ANONYMOUS_GTID:
        raise Misconfigured("the binlog holds a transaction without a GTID: SET PERSIST gtid_mode = ON")
    if type_ == events.XA_PREPARE:
        raise Misconfigured(
            f"transaction {gtid} is an XA transaction, whose rows are logged before it is decided: "
            "this release captures none; use ordinary transactions for captured tables"
        )
    if type_ in events.MARIADB_COMPRESSED:
        raise Misconfigured("the binlog holds MariaDB's compressed events: SET GLOBAL log_bin_compress = OFF")
    raise Misconfigured(f"the binlog holds an event of type {type_}, which this release does not know")


def unreadable(file: str, offset: int, error: ValueError) -> Misconfigured:
    """Bytes that are not what they should be: to be raised from ``error``."""
    return Misconfigured(
        f"the binlog at `{file}` {offset} cannot be read ({error}): nothing is guessed, capture "
        "stops here; `tailrace epoch raise` goes on behind it with a new snapshot"
    )
