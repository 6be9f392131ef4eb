"""Asking MySQL how good a version's rows are: one statement a table, in a session that may only read."""

from collections.abc import Callable, Sequence

import pymysql

from audit.quality import Counted
from audit.qualityrules import LISTED_BYTES, Statement, counted, rules_of, statement_of, unknown
from changes.topology import Topology
from changes.topology.quality import parent_of
from streams.describe import tables_of
from streams.mysql import Connection, MysqlUrl, session
from streams.preflight import Flavour

_OUT_OF_TIME = {
    3024: "took longer than was allowed",  # MySQL's limit
    1969: "took longer than was allowed",  # MariaDB's
    1317: "was ended by somebody",
    3699: "has a text that would take too long to examine",
}


def scan(
    url: MysqlUrl,
    topology: Topology,
    version: str,
    tables: Sequence[str],
    *,
    limit: float,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Counted]:
    """Count the rules of ``tables``, each within ``limit`` seconds; what took longer is unknown.

    Raises `Transient` where MySQL cannot be reached.
    """
    found: list[Counted] = []
    with session(url, read_timeout=limit + 30) as connection:
        statements = _statements(connection, topology, version, tables)
        _restrict(connection, limit)
        for table, statement in statements.items():
            if statement is None:
                reason = f"MySQL has no table `{table}`"
                found.append(Counted("completeness", table, "", reason=reason))
                continue
            tell(f"{table}: {len(statement.rules)} rules")
            found += _ask(connection, statement)
    return found


def _restrict(connection: Connection, limit: float) -> None:
    mariadb = Flavour.of(connection).mariadb
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("SET SESSION group_concat_max_len = %s", (LISTED_BYTES,))
        if mariadb:
            cursor.execute("SET SESSION max_statement_time = %s", (limit,))
        else:
            cursor.execute("SET SESSION max_execution_time = %s", (max(1, round(limit * 1000)),))


def _statements(
    connection: Connection, topology: Topology, version: str, tables: Sequence[str]
) -> dict[str, Statement | None]:
    """By table; ``None`` where MySQL has no such table."""
    declared = topology.tables
    keys = {name: table.key for name, table in declared.items()}
    parents = {parent_of(told, keys)[0] for name in tables for told in declared[name].quality.parents.values()}
    described = tables_of(connection, topology.database(version), sorted({*tables, *parents}))
    schemas = {name: schema for name, (schema, _) in described.items()}
    return {
        name: statement_of(
            schemas[name],
            declared[name].key,
            rules_of(declared[name], schemas, keys),
            declared[name].columns.personal,
        )
        if name in schemas
        else None
        for name in tables
    }


def _ask(connection: Connection, statement: Statement) -> list[Counted]:
    if not statement.rules:
        return list(counted(statement, ()))
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.arguments)
            row = cursor.fetchone()
    except pymysql.err.MySQLError as error:
        reason = _OUT_OF_TIME.get(error.args[0] if error.args else 0)
        if reason is None:
            raise
        return list(unknown(statement, f"the look at `{statement.table}` {reason}"))
    return list(counted(statement, row or ()))
