"""Whether a source can be captured rightly: every reason why not, each with the statement that mends it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymysql.cursors import Cursor

from changes.errors import Misconfigured
from changes.topology import Topology
from streams.describe import tables_of
from streams.mysql import Connection, MysqlUrl, session

_VARIABLES = {
    "log_bin": ("ON", "start the server with --log-bin"),
    "binlog_format": ("ROW", "SET PERSIST binlog_format = 'ROW'"),
    "binlog_row_image": ("FULL", "SET PERSIST binlog_row_image = 'FULL'"),
    "binlog_row_metadata": ("FULL", "SET PERSIST binlog_row_metadata = 'FULL'"),
    "gtid_mode": ("ON", "SET PERSIST enforce_gtid_consistency = ON, then raise gtid_mode step by step to ON"),
    "gtid_strict_mode": ("ON", "SET GLOBAL gtid_strict_mode = ON"),
    "log_bin_compress": ("OFF", "SET GLOBAL log_bin_compress = OFF"),
}
_ON_MARIADB = {"gtid_strict_mode", "log_bin_compress"}
_ON_MYSQL = {"gtid_mode"}
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


def preflight(url: MysqlUrl, topology: Topology, version: str) -> None:
    """Raises `Misconfigured` that lists every reason, one a line, or `Transient` where MySQL cannot be reached."""
    with session(url) as connection:
        flavour = Flavour.of(connection)
        problems = [
            *_variables(connection, flavour),
            *_grants(connection),
            *_tables(connection, topology, version),
            *_cascades(connection, flavour, topology, version),
        ]
    if problems:
        raise Misconfigured("\n".join(problems))


def _one(cursor: Cursor) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


def _variables(connection: Connection, flavour: Flavour) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES WHERE Variable_name IN %s", (list(_VARIABLES),))
        found = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        cursor.execute("SELECT @@global.server_id")
        server_id = _one(cursor)
    problems = variable_problems(found, flavour)
    if not server_id:
        problems.append("`server_id` is 0, so nobody may replicate from it: SET PERSIST server_id = 1")
    return problems


def variable_problems(found: Mapping[str, str], flavour: Flavour) -> list[str]:
    """What is wrong with a server's global variables, given by name in small letters. Pure."""
    foreign = _ON_MYSQL if flavour.mariadb else _ON_MARIADB
    return [
        f"`{name}` is `{value}`, capture needs `{wanted}`: {mend}"
        for name, (wanted, mend) in _VARIABLES.items()
        if name not in foreign and (value := found.get(name, "absent")).upper() != wanted
    ]


def _grants(connection: Connection) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        text = "\n".join(str(row[0]).upper() for row in cursor.fetchall())
        cursor.execute("SELECT CURRENT_USER()")
        user = str(_one(cursor))
    if "ALL PRIVILEGES ON *.*" in text:
        return []
    account = "`{}`@`{}`".format(*user.split("@", 1))
    wanted = {
        "REPLICATION SLAVE": ("REPLICATION SLAVE",),
        "REPLICATION CLIENT": ("REPLICATION CLIENT", "BINLOG MONITOR"),
    }
    return [
        f"user `{user}` lacks {privilege}: GRANT {privilege} ON *.* TO {account}"
        for privilege, names in wanted.items()
        if not any(name in text for name in names)
    ]


def _tables(connection: Connection, topology: Topology, version: str) -> list[str]:
    database = topology.database(version)
    described = tables_of(connection, database, list(topology.tables))
    problems = []
    for index, declared in enumerate(topology.declared.tables):
        found = described.get(declared.table)
        if found is None:
            problem = topology.problem(
                f"`{database}` has no table `{declared.table}`, or the user may not see it", "tables", index, "table"
            )
            problems.append(str(problem))
        else:
            problems += [str(problem) for problem in topology.check_table(*found)]
    return problems


def _cascades(connection: Connection, flavour: Flavour, topology: Topology, version: str) -> list[str]:
    """Foreign keys that change captured rows inside the engine: no row event tells of it before MySQL 9.6."""
    with connection.cursor() as cursor:
        if not flavour.mariadb and flavour.version >= _CASCADES_IN_BINLOG_SINCE:
            cursor.execute("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'")
            if ("innodb_native_foreign_keys", "ON") not in cursor.fetchall():
                return []
        cursor.execute(
            "SELECT TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE FROM"
            " information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s",
            (topology.database(version),),
        )
        rows = cursor.fetchall()
    acting = {"CASCADE", "SET NULL", "SET DEFAULT"}
    return [
        f"foreign key `{name}` of `{table}` changes its rows without a row event (ON DELETE {on_delete}, "
        f"ON UPDATE {on_update}): ALTER TABLE `{table}` DROP FOREIGN KEY `{name}`, or upgrade to MySQL 9.6"
        for table, name, on_delete, on_update in rows
        if table in topology.tables and ({on_delete, on_update} & acting)
    ]
