"""The layouts of tables that the stream has shown, numbered; and what is decided on events, whoever decodes them."""

from dataclasses import replace
from typing import NoReturn

from changes.errors import Misconfigured
from changes.topology import Topology
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.table_map import TableMap, parse_table_map
from streams.capture.batch import LARGEST_XA
from streams.capture.emit import TablePlan
from streams.capture.statements import Effect, Meaning, classify, xid_of


class Layouts:
    """One version's. A layout's number stays its own for as long as this lives."""

    def __init__(self, topology: Topology, version: str, collations: Collations) -> None:
        self.version = version
        self.database = topology.database(version)
        self.tables = tuple(topology.tables)
        self._topology = topology
        self._collations = collations
        self._plans: list[TablePlan] = []
        self._prepared: set[str] = set()

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

    def classify(self, event: bytes, *, inside: bool) -> Meaning:
        """What a QUERY event does. Raises `Misconfigured` for what must not be passed over."""
        database, text = events.query(event)
        meaning = classify(text, database, self.database, frozenset(self.tables), inside=inside)
        if meaning.xid:
            known = meaning.xid in self._prepared
            self._prepared.discard(meaning.xid)
            if meaning.committed and not known:
                # prepared before this was started: maybe before all that capture has read, and then no event told it
                meaning = replace(meaning, tables=dict.fromkeys(self.tables, Effect.CHANGED))
        self._refuse_where_declared(meaning)
        return meaning

    def prepared(self, event: bytes, *, touched: bool, gtid: str) -> None:
        """Take in the end of an XA transaction's rows; ``touched`` says that rows of captured tables were among them.

        Raises `Misconfigured` where such rows are prepared only: they are no changes before XA COMMIT, if ever.
        """
        one_phase, xid = events.xa_prepare(event)
        if touched and not one_phase:
            refuse(events.XA_PREPARE, gtid)
        if not one_phase:
            self._prepared.add(xid_of(xid))

    def _refuse_where_declared(self, meaning: Meaning) -> None:
        for index, declared in enumerate(self._topology.declared.tables):
            effect = meaning.tables.get(declared.table, Effect.CREATED)
            if declared.ddl == "fail" and effect is not Effect.CREATED:
                raise Misconfigured(
                    str(
                        self._topology.problem(
                            f"`{meaning.text.strip()[:200]}`: table `{declared.table}` {effect.value}, and it is"
                            " declared `ddl: fail`. To follow the statement declare `ddl: lenient` and start again;"
                            " `fail` may be declared again once it has been passed",
                            "tables",
                            index,
                            "ddl",
                        )
                    )
                )


def refuse(type_: int, gtid: str) -> NoReturn:
    """Stop at an event that this release cannot follow; ``gtid`` is the transaction's that it stands in."""
    if type_ == events.ANONYMOUS_GTID:
        raise Misconfigured("the binlog holds a transaction without a GTID: SET PERSIST gtid_mode = ON")
    if type_ == events.XA_PREPARE:
        raise Misconfigured(
            f"transaction {gtid} prepares changes of captured tables (XA PREPARE), whose rows are logged before it is "
            "decided: this release captures none of these, only XA COMMIT … ONE PHASE. Commit or roll back what "
            "`XA RECOVER` lists; then `tailrace epoch raise` goes on behind it with a new snapshot"
        )
    if type_ in events.MARIADB_COMPRESSED:
        raise Misconfigured("the binlog holds MariaDB's compressed events: SET GLOBAL log_bin_compress = OFF")
    raise Misconfigured(f"the binlog holds an event of type {type_}, which this release does not know")


def too_large(gtid: str) -> Misconfigured:
    """An XA transaction that is more than may be held back."""
    return Misconfigured(
        f"transaction {gtid} is an XA transaction of more than {LARGEST_XA >> 20} MB, whose rows cannot be held back "
        "until it is decided: use an ordinary transaction; `tailrace epoch raise` goes on behind it with a new snapshot"
    )


def out_of_order(partial: str, came: str) -> NoReturn:
    """Stop where transaction ``came`` is sent before ``partial``, of which the first rows are in Kafka.

    Capture has all that were before it, so from whatever server it must come first: else its rows would be told twice,
    under two positions.
    """
    raise Misconfigured(
        f"capture has written the first rows of transaction {partial}, and the server sends {came} before it: its "
        "binlog has another order (SET PERSIST replica_preserve_commit_order = ON on replicas); "
        "`tailrace epoch raise` begins a new epoch with a new snapshot"
    )


def unreadable(file: str, offset: int, error: ValueError) -> Misconfigured:
    """Bytes that are not what they should be: to be raised from ``error``."""
    return Misconfigured(
        f"the binlog at `{file}` {offset} cannot be read ({error}): nothing is guessed, capture "
        "stops here; `tailrace epoch raise` goes on behind it with a new snapshot"
    )
