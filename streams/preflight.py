"""Whether a source can be captured rightly: every reason why not, each with the statement that mends it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor

from changes.errors import Misconfigured
from changes.topology import Topology
from streams import cascades
from streams.cascades import Acting, Followers
from streams.describe import tables_of
from streams.mysql import Connection, MysqlUrl, session
from streams.replication import LOGS, ORDERED, WORKERS, channels, filter_problems, replica_problems

_VARIABLES = {
    "log_bin": ("ON", "start the server with --log-bin"),
    "binlog_format": ("ROW", "SET PERSIST binlog_format = 'ROW'"),
    "binlog_row_image": ("FULL", "SET PERSIST binlog_row_image = 'FULL'"),
    "binlog_row_metadata": ("FULL", "SET PERSIST binlog_row_metadata = 'FULL'"),
    "gtid_mode": ("ON", "SET PERSIST enforce_gtid_consistency = ON, then raise gtid_mode step by step to ON"),
    "binlog_order_commits": ("ON", "SET PERSIST binlog_order_commits = ON"),
    "gtid_strict_mode": ("ON", "SET GLOBAL gtid_strict_mode = ON"),
    "log_bin_compress": ("OFF", "SET GLOBAL log_bin_compress = OFF"),
}
LEAST_RETENTION = 86_400
"""Seconds that a binlog must be kept at least: capture may be down over a night."""
_RETENTION = "binlog_expire_logs_seconds"
_ABSENT = {"binlog_order_commits": "ON"}
"""What a server that does not know a variable does."""
_ON_MARIADB = {"gtid_strict_mode", "log_bin_compress"}
_ON_MYSQL = {"gtid_mode", "binlog_order_commits"}
_CASCADES_IN_BINLOG_SINCE = (9, 6)


@dataclass(frozen=True)
class Flavour:
    """Which server this is."""

    mariadb: bool
    version: tuple[int, ...]

    @classmethod
    def of(cls, connection: Connection) -> "Flavour":
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            text = str(_one(cursor))
        numbers = text.partition("-")[0].split(".")
        return cls("MariaDB" in text, tuple(int(number) for number in numbers if number.isdigit()))


@dataclass(frozen=True)
class Found:
    """What speaks against capturing: ``problems``, and of declared tables that are not there, by table. ``followers``
    are those that change in secret with another one's rows."""

    problems: tuple[str, ...]
    absent: Mapping[str, str]
    followers: Mapping[str, Followers]

    def refuse(self, known: Collection[str] | None = None) -> None:
        """Raises `Misconfigured` that lists every reason, one a line.

        A table of ``known`` was captured before: where it is absent it was dropped since, which the stream tells.
        ``None`` lets every absent table pass.
        """
        absent = [] if known is None else [problem for table, problem in self.absent.items() if table not in known]
        if self.problems or absent:
            raise Misconfigured("\n".join((*self.problems, *absent)))


def examine(url: MysqlUrl, topology: Topology, version: str) -> Found:
    """Look at the server and the declared tables. Raises `Transient` where MySQL cannot be reached."""
    with session(url) as connection:
        flavour = Flavour.of(connection)
        problems, absent = _tables(connection, topology, version)
        keys = _hidden_keys(connection, flavour, topology, version)
        refused = cascades.problems(keys, topology, version)
        filters = filter_problems(connection, topology.database(version))
        return Found(
            (*_variables(connection, flavour), *filters, *_grants(connection), *problems, *refused),
            absent,
            {} if refused else cascades.followers(keys, topology),
        )


def preflight(url: MysqlUrl, topology: Topology, version: str) -> None:
    """What `examine` finds, where nothing was captured yet: raises `Misconfigured` or `Transient`."""
    examine(url, topology, version).refuse(())


def followers_of(url: MysqlUrl, topology: Topology, version: str) -> Mapping[str, Followers]:
    """`Found.followers` now: to be asked whenever a foreign key may have come or gone. Raises `Misconfigured` for one
    that is to be refused."""
    with session(url) as connection:
        keys = _hidden_keys(connection, Flavour.of(connection), topology, version)
    if refused := cascades.problems(keys, topology, version):
        raise Misconfigured("\n".join(refused))
    return cascades.followers(keys, topology)


def _one(cursor: Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


def _variables(connection: Connection, flavour: Flavour) -> list[str]:
    with connection.cursor() as cursor:
        names = [*_VARIABLES, _RETENTION, "binlog_expire_logs_auto_purge", *LOGS, *ORDERED, *WORKERS]
        cursor.execute("SHOW GLOBAL VARIABLES WHERE Variable_name IN %s", (names,))
        found = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        cursor.execute("SELECT @@global.server_id")
        server_id = _one(cursor)
    problems = variable_problems(found, flavour)
    if not server_id:
        problems.append(
            f"`server_id` is 0, so nobody may replicate from it: {_mend('SET PERSIST server_id = 1', flavour)}"
        )
    if channels(connection):
        problems += replica_problems(found, mariadb=flavour.mariadb)
    return problems


def variable_problems(found: Mapping[str, str], flavour: Flavour) -> list[str]:
    """What is wrong with a server's global variables, given by name in small letters. Pure."""
    foreign = _ON_MYSQL if flavour.mariadb else _ON_MARIADB
    problems = [
        f"`{name}` is `{value}`, capture needs `{wanted}`: {_mend(mend, flavour)}"
        for name, (wanted, mend) in _VARIABLES.items()
        if name not in foreign and (value := found.get(name, _ABSENT.get(name, "absent"))).upper() != wanted
    ]
    kept = int(found.get(_RETENTION, "0"))
    if 0 < kept < LEAST_RETENTION and found.get("binlog_expire_logs_auto_purge", "ON") == "ON":
        problems.append(
            f"`{_RETENTION}` is {kept}, so what is committed while capture is down for longer is lost to it; it needs "
            f"{LEAST_RETENTION} at least: {_mend(f'SET PERSIST {_RETENTION} = 604800', flavour)}"
        )
    return problems


def _mend(statement: str, flavour: Flavour) -> str:
    """The statement as the server knows it: in MariaDB what is to stay set belongs in its configuration file."""
    return statement.replace("SET PERSIST", "SET GLOBAL") if flavour.mariadb else statement


def _grants(connection: Connection) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        lines = [str(row[0]).upper() for row in cursor.fetchall()]
        cursor.execute("SELECT CURRENT_USER()")
        user = str(_one(cursor))
    given = {
        privilege.strip()
        for line in lines
        for privilege in line.removeprefix("GRANT ").partition(" ON *.* TO ")[0].split(",")
        if " ON *.* TO " in line
    }
    if "ALL PRIVILEGES" in given:
        return []
    account = "`{}`@`{}`".format(*user.split("@", 1))
    wanted = {
        "REPLICATION SLAVE": ("REPLICATION SLAVE",),
        "REPLICATION CLIENT": ("REPLICATION CLIENT", "BINLOG MONITOR"),
    }
    return [
        f"user `{user}` lacks {privilege}: GRANT {privilege} ON *.* TO {account}"
        for privilege, names in wanted.items()
        if given.isdisjoint(names)
    ]


def _tables(connection: Connection, topology: Topology, version: str) -> tuple[list[str], dict[str, str]]:
    """What is wrong with the tables that are there, and those that are not."""
    database = topology.database(version)
    described = tables_of(connection, database, list(topology.tables))
    problems: list[str] = []
    absent: dict[str, str] = {}
    for index, declared in enumerate(topology.declared.tables):
        found = described.get(declared.table)
        if found is None:
            problem = topology.problem(
                f"`{database}` has no table `{declared.table}`, or the user may not see it", "tables", index, "table"
            )
            absent[declared.table] = str(problem)
        else:
            problems += [str(problem) for problem in topology.check_table(*found)]
    return problems, absent


def _hidden_keys(connection: Connection, flavour: Flavour, topology: Topology, version: str) -> list[Acting]:
    """Foreign keys that change captured rows inside the engine: no row event tells of it before MySQL 9.6."""
    if not flavour.mariadb and flavour.version >= _CASCADES_IN_BINLOG_SINCE:
        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'")
            if ("innodb_native_foreign_keys", "ON") not in cursor.fetchall():
                return []
    return cascades.acting_keys(connection, topology, version)
