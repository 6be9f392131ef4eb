"""``python -m tools.fuzz.record <mysql URL of an administrator> <file>``: a seed, made by a real server.

Every type in one small table, every kind of change, compressed and not; on MySQL partial JSON updates and tagged GTIDs
too.
"""

import sys
from pathlib import Path
from typing import Any

from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog import events
from streams.binlog.connection import BinlogConnection
from streams.capture.snapshot import binlog_end, executed
from streams.mysql import MysqlUrl, session
from tools.fuzz.seeds import Seed

DATABASE, TABLE = "fuzz_seed", "t"
_SERVER_ID = 0x7E570F22

_COLUMNS = {
    "tiny": ("TINYINT", "-1"),
    "big": ("BIGINT UNSIGNED", "18446744073709551615"),
    "medium": ("MEDIUMINT", "-70000"),
    "price": ("DECIMAL(30,10)", "-1234567890.0123456789"),
    "single": ("FLOAT", "0.5"),
    "twice": ("DOUBLE", "-1e100"),
    "flags": ("BIT(12)", "b'101'"),
    "flag": ("BIT(1)", "b'1'"),
    "born": ("YEAR", "2026"),
    "day": ("DATE", "'2026-02-28'"),
    "clock": ("TIME(3)", "'-12:34:56.789'"),
    "at": ("DATETIME(6)", "'2026-02-28 01:02:03.000004'"),
    "stamp": ("TIMESTAMP(1) NULL", "'2026-02-28 01:02:03.4'"),
    "code": ("CHAR(5)", "'Ab'"),
    "name": ("VARCHAR(300)", "'Zürich 😀'"),
    "latin": ("VARCHAR(20) CHARACTER SET latin1", "'é€'"),
    "chinese": ("VARCHAR(20) CHARACTER SET gbk", "'北京'"),
    "wide": ("TEXT CHARACTER SET utf16", "'a北'"),
    "fixed": ("BINARY(5)", "x'61'"),
    "raw": ("VARBINARY(20)", "x'00ff'"),
    "note": ("MEDIUMTEXT", "REPEAT('é\"', 40)"),
    "body": ("BLOB", "x'00010203'"),
    "level": ("ENUM('a','b''c','高')", "'高'"),
    "tags": ("SET('x','y','z')", "'x,z'"),
    "place": ("POINT", "POINT(1, 2)"),
    "doc": ("JSON", """'{"a": [1, 2.5, "x", null, true, {"b": -1}], "name": "é", "far": 18446744073709551615}'"""),
}
_ON_MYSQL = {
    "more": ("JSON", "JSON_ARRAY(1.50, DATE'2026-01-02', TIME'-01:02:03.5', x'00ff', REPEAT('y', 200))"),
    "vec": ("VECTOR(3)", "STRING_TO_VECTOR('[1,-2,0.5]')"),
}
_ON_MARIADB = {"uid": ("UUID", "UUID()"), "ip": ("INET6", "'2001:db8::1'")}


def work(cursor: Any, columns: dict[str, tuple[str, str]], *, mariadb: bool) -> None:
    """Changes of every kind, each statement a transaction where none is open."""
    names, values = ", ".join(columns), ", ".join(literal for _, literal in columns.values())
    insert = f"INSERT INTO {DATABASE}.{TABLE} (id, {names}) VALUES"
    for compressed in ("OFF",) if mariadb else ("OFF", "ON"):
        if not mariadb:
            cursor.execute(f"SET SESSION binlog_transaction_compression = {compressed}")
        cursor.execute(f"{insert} (1, {values}), (2, {values})")
        cursor.execute(f"INSERT INTO {DATABASE}.{TABLE} (id) VALUES (3)")
        cursor.execute(f"UPDATE {DATABASE}.{TABLE} SET name = 'new', big = id WHERE id < 3")
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {DATABASE}.{TABLE} SET id = id + 10")
        cursor.execute(f"INSERT INTO {DATABASE}.others VALUES (1)")
        cursor.execute("SAVEPOINT half")
        cursor.execute(f"DELETE FROM {DATABASE}.others")
        cursor.execute("COMMIT")
        if not mariadb:
            _on_mysql(cursor)
        cursor.execute(f"DELETE FROM {DATABASE}.{TABLE}")
        cursor.execute("FLUSH BINARY LOGS")
        cursor.execute(f"ALTER TABLE {DATABASE}.{TABLE} ADD COLUMN more_{compressed.lower()} INT DEFAULT 7")


def _on_mysql(cursor: Any) -> None:
    cursor.execute("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
    cursor.execute(
        f"UPDATE {DATABASE}.{TABLE} SET doc = JSON_SET(doc, '$.a[5].b', 2, '$.new', 'x'), "
        "more = JSON_REMOVE(more, '$[0]')"
    )
    cursor.execute("SET SESSION binlog_row_value_options = ''")
    cursor.execute("SET SESSION gtid_next = 'AUTOMATIC:night'")
    cursor.execute(f"UPDATE {DATABASE}.{TABLE} SET tiny = 5")
    cursor.execute("SET SESSION gtid_next = 'AUTOMATIC'")


def record(url: MysqlUrl) -> Seed:
    """Raises `AssertionError` where the server sends less than it wrote."""
    with session(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        mariadb = "MariaDB" in str(cursor.fetchone())
        seed = Seed(DATABASE, TABLE, mariadb)
        columns = _COLUMNS | (_ON_MARIADB if mariadb else _ON_MYSQL)
        cursor.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
        cursor.execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        declared = ", ".join(f"{name} {type_}" for name, (type_, _) in columns.items())
        cursor.execute(f"CREATE TABLE {DATABASE}.{TABLE} (id INT PRIMARY KEY, {declared})")
        cursor.execute(f"CREATE TABLE {DATABASE}.others (id INT PRIMARY KEY)")
        begun = executed(connection, mariadb=mariadb)
        work(cursor, columns, mariadb=mariadb)
        seed.events = _sent(url, begun, *binlog_end(cursor))
        cursor.execute(
            "SELECT DISTINCT co.ID, cs.CHARACTER_SET_NAME, cs.MAXLEN FROM information_schema.COLUMNS c"
            " JOIN information_schema.COLLATIONS co ON co.COLLATION_NAME = c.COLLATION_NAME"
            " JOIN information_schema.CHARACTER_SETS cs ON cs.CHARACTER_SET_NAME = co.CHARACTER_SET_NAME"
            " WHERE c.TABLE_SCHEMA = %s ORDER BY 1",
            (DATABASE,),
        )
        seed.collations = [(int(number), str(name), int(width)) for number, name, width in cursor.fetchall()]
        cursor.execute(f"DROP DATABASE {DATABASE}")
    return seed


def _sent(url: MysqlUrl, begun: MysqlGtids | MariadbGtids, file: str, offset: int) -> list[bytes]:
    connection, found, reached = BinlogConnection(url, begun, server_id=_SERVER_ID), [], ""
    try:
        for data in connection.events():
            found.append(data)
            head = events.header(data)
            if head.type == events.ROTATE:
                reached = events.rotate(data)[0]
            if reached == file and head.end >= offset:
                return found
    finally:
        connection.close()
    raise AssertionError("the binlog ended")


if __name__ == "__main__":
    Path(sys.argv[2]).write_text("\n".join(record(MysqlUrl.parse(sys.argv[1])).lines()) + "\n")
