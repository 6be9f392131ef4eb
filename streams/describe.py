"""What MySQL says of its tables: the same `TableSchema` that their binlog events give."""

import re
from typing import Any

from pymysql.cursors import Cursor

from changes.errors import Misconfigured
from changes.schema import Column, TableSchema, kind_of
from streams.binlog.charsets import Collations
from streams.mysql import Connection

_INTEGER_WIDTH = re.compile(r"^(tinyint|smallint|mediumint|int|bigint)\(\d+\)")
_INSTEAD = {"uuid": "CHAR(36)", "inet6": "VARCHAR(39)", "inet4": "VARCHAR(15)"}
"""MariaDB's own types, which its binlog logs as BINARY in an order of their own, and what holds the same values."""
_FLOAT_ARGUMENTS = re.compile(r"^(float|double)\([\d,]+\)")


def binlog_type(column_type: str) -> str:
    """`information_schema.COLUMN_TYPE` as the binlog can tell it: no display widths, no ZEROFILL."""
    if column_type.startswith(("enum", "set")):
        return column_type
    text = column_type.lower().replace(" zerofill", "")
    if text == "geometrycollection":  # so MariaDB calls it, whose binlog has MySQL's number for it
        return "geomcollection"
    text = _INTEGER_WIDTH.sub(r"\1", text)
    text = _FLOAT_ARGUMENTS.sub(r"\1", text)
    if text.startswith(("float", "double", "year")):
        return text.partition(" ")[0].partition("(")[0]
    return "bit(1)" if text == "bit" else text


def tables_of(
    connection: Connection, database: str, tables: list[str]
) -> dict[str, tuple[TableSchema, tuple[str, ...]]]:
    """Each table's schema, its key empty, and its primary key; tables that are not there are left out.

    Raises `Misconfigured` for a column of a type that cannot be captured, with the statement that mends it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN %s ORDER BY TABLE_NAME, ORDINAL_POSITION",
            (database, tables),
        )
        columns: dict[str, list[Column]] = {}
        for table, name, type_, nullable in _rows(cursor):
            columns.setdefault(table, []).append(_column(database, table, name, type_, nullable == "YES"))
        cursor.execute(
            "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
            " WHERE TABLE_SCHEMA = %s AND TABLE_NAME IN %s AND CONSTRAINT_NAME = 'PRIMARY'"
            " ORDER BY TABLE_NAME, ORDINAL_POSITION",
            (database, tables),
        )
        keys: dict[str, list[str]] = {}
        for table, name in _rows(cursor):
            keys.setdefault(table, []).append(name)
    return {
        table: (TableSchema(database, table, tuple(found), ()), tuple(keys.get(table, ())))
        for table, found in columns.items()
    }


def _column(database: str, table: str, name: str, type_: str, nullable: bool) -> Column:
    plain = binlog_type(type_)
    instead = _INSTEAD.get(plain) or (plain.partition(" /*")[0] if "compressed" in plain else "")
    if instead:
        raise Misconfigured(
            f"column `{name}` of `{table}` has the type {type_}, whose values the binlog does not tell: "
            f"ALTER TABLE `{database}`.`{table}` MODIFY `{name}` {instead}"
        )
    return Column(name, kind_of(plain), plain, nullable)


def collations_of(connection: Connection) -> Collations:
    """The server's collations; MariaDB lists those that fit several character sets under another name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT co.ID, cs.CHARACTER_SET_NAME, cs.MAXLEN FROM information_schema.COLLATIONS co"
            " JOIN information_schema.CHARACTER_SETS cs ON cs.CHARACTER_SET_NAME = co.CHARACTER_SET_NAME"
            " WHERE co.ID IS NOT NULL"
        )
        rows = [(int(number), str(name), int(width)) for number, name, width in _rows(cursor)]
        cursor.execute("SELECT VERSION()")
        mariadb = "MariaDB" in str(cursor.fetchone())
        if mariadb:
            cursor.execute(
                "SELECT ca.ID, cs.CHARACTER_SET_NAME, cs.MAXLEN"
                " FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY ca"
                " JOIN information_schema.CHARACTER_SETS cs ON cs.CHARACTER_SET_NAME = ca.CHARACTER_SET_NAME"
                " WHERE ca.ID IS NOT NULL"
            )
            rows += [(int(number), str(name), int(width)) for number, name, width in _rows(cursor)]
    return Collations(rows, of_geometry=mariadb)


def _rows(cursor: Cursor) -> tuple[tuple[Any, ...], ...]:
    return tuple(cursor.fetchall())


def captured(schema: TableSchema, key: tuple[str, ...], dropped: frozenset[str]) -> TableSchema:
    """The part of a table that leaves MySQL: without dropped columns, with its declared key."""
    kept = tuple(column for column in schema.columns if column.name not in dropped)
    return TableSchema(schema.database, schema.table, kept, key)
