"""A server that replicates from another: whether capture may read it, and whether it holds all that capture has read.

What was promoted to primary is an ordinary source. A transaction has the same ordinal there as on the server before,
for the ordinal counts the executed set (`changes.position`), and that is the same at the same place of the history:
all that capture has read, and then what comes next in the binlog.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import Cursor

from changes.errors import Misconfigured, Transient
from changes.gtid import MariadbGtids, MysqlGtids
from streams.mysql import Connection

Channel = Mapping[str, Any]
"""One row of SHOW REPLICA STATUS, names in small letters and as they were before MySQL 8.0.22 said *replica*."""

LOGS = ("log_replica_updates", "log_slave_updates")
ORDERED = ("replica_preserve_commit_order", "slave_preserve_commit_order")
WORKERS = ("replica_parallel_workers", "slave_parallel_workers")


def channels(connection: Connection) -> list[Channel]:
    """What the server replicates from; empty where it does not, and where the user may not ask (MariaDB)."""
    with connection.cursor() as cursor:
        if not _answered(cursor, "SHOW REPLICA STATUS", "SHOW SLAVE STATUS"):
            return []
        names = [str(column[0]).lower().replace("replica", "slave") for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _answered(cursor: Cursor, statement: str, older: str) -> bool:
    """Ask ``statement``, which servers call ``older`` that do not know its new name; whether the user may ask."""
    try:
        try:
            cursor.execute(statement)
        except pymysql.err.ProgrammingError:
            cursor.execute(older)
    except pymysql.err.OperationalError as error:
        if error.args[0] != ER.SPECIFIC_ACCESS_DENIED_ERROR:
            raise
        return False
    return True


def filter_problems(connection: Connection, database: str) -> list[str]:
    """Whether options keep ``database`` out of the binlog; empty where the user may not ask."""
    with connection.cursor() as cursor:
        if not _answered(cursor, "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"):
            return []
        row = cursor.fetchone() or ("", 0, "", "")
    only, ignored = (str(part or "").split(",") for part in row[2:4])
    problems = []
    if only != [""] and database not in only:
        problems.append(f"the server logs no change of `{database}`: start it without --binlog-do-db, or name it there")
    if database in ignored:
        problems.append(f"the server logs no change of `{database}`: start it without --binlog-ignore-db={database}")
    return problems


def replica_problems(variables: Mapping[str, str], *, mariadb: bool) -> list[str]:
    """Why a replica's binlog is not the history of its source, given its global variables. Pure.

    Commits in another order give other ordinals; MariaDB's parallel replication keeps the order of a domain always.
    """
    problems = []
    if _first(variables, LOGS, "ON") == "OFF":
        name = LOGS[1] if mariadb else LOGS[0]
        problems.append(
            f"this server is a replica and `{name}` is `OFF`, so its binlog lacks what it replicates: "
            f"start it with --{name.replace('_', '-')}"
        )
    if not mariadb and int(_first(variables, WORKERS, "0")) > 1 and _first(variables, ORDERED, "ON") == "OFF":
        problems.append(
            "this server is a replica and `replica_preserve_commit_order` is `OFF`, so its binlog has another order "
            "than its source's: STOP REPLICA SQL_THREAD; SET PERSIST replica_preserve_commit_order = ON; "
            "START REPLICA SQL_THREAD"
        )
    return problems


def _first(variables: Mapping[str, str], names: Sequence[str], otherwise: str) -> str:
    return next((variables[name] for name in names if name in variables), otherwise)


def require_history(connection: Connection, now: MysqlGtids | MariadbGtids, read: MysqlGtids | MariadbGtids) -> None:
    """Return where ``now``, what the server has executed, holds all of ``read``, what capture has read.

    Raises `Transient` where the server is a replica that has the rest and is about to execute it, else `Misconfigured`.
    """
    if now.covers(read):  # type: ignore[arg-type]
        return
    for channel in channels(connection):
        received = str(channel.get("gtid_io_pos") or channel.get("retrieved_gtid_set") or "")
        if channel.get("slave_sql_running") == "Yes" and _with(now, received).covers(read):  # type: ignore[arg-type]
            raise Transient("the server has received all that capture has read, and is still executing it")
    raise Misconfigured(
        f"the server has executed `{now}` and not all of `{read}` that capture has read: it was "
        "reset, restored or lost a fail-over. `tailrace epoch raise` begins a new epoch with a new snapshot"
    )


def _with(now: MysqlGtids | MariadbGtids, received: str) -> MysqlGtids | MariadbGtids:
    if isinstance(now, MariadbGtids):
        return MariadbGtids(received)
    return MysqlGtids(f"{now},{received}")
