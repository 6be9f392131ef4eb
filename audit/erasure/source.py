"""A person's rows in MySQL: counted, deleted and cleared in small transactions. Blocking."""

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from audit.erasure.plan import Reference, Step
from changes.canonical import Value
from changes.errors import Misconfigured, Transient
from changes.progress import KeyValue
from changes.schema import Column, Kind
from streams.capture.select import quoted
from streams.describe import tables_of
from streams.mysql import MysqlUrl, classified, session
from streams.typed import typed_key

ROWS = 500
"""The most rows of one transaction."""
_REFERENCES = (
    "SELECT DISTINCT TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE"
    " WHERE TABLE_SCHEMA = %s AND REFERENCED_TABLE_SCHEMA = %s ORDER BY 1, 2, 3"
)
_EXPIRY = "SHOW GLOBAL VARIABLES LIKE 'binlog_expire_logs_seconds'"


@dataclass(frozen=True)
class Owned:
    """The rows of one step that are one person's: ``owner`` is the id as the envelope holds it."""

    step: Step
    column: Column
    owner: KeyValue

    @property
    def where(self) -> tuple[str, list[Any]]:
        """Exactly theirs: a collation may take another's id for the same. Cleared rows are left out."""
        name = quoted(self.step.by)
        value = _bound(self.column, self.owner)
        text, values = f"{name} = %s", [value]
        if self.column.kind is Kind.TEXT:
            text, values = f"{text} AND CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin = %s", [value, value]
        if self.step.rows == "clear":
            same = " AND ".join(f"{quoted(column)} <=> %s" for column in self.step.set)
            text, values = f"{text} AND NOT ({same})", [*values, *self.step.set.values()]
        return text, values


def _bound(column: Column, owner: KeyValue) -> Value:
    if column.kind is Kind.BYTES and isinstance(owner, str):
        return base64.b64decode(owner)
    return owner


def references(mysql: MysqlUrl, database: str) -> list[Reference]:
    """The foreign keys within a database."""
    with session(mysql) as connection, connection.cursor() as cursor:
        cursor.execute(_REFERENCES, (database, database))
        return [(str(child), str(column), str(parent)) for child, column, parent in cursor.fetchall()]


def owned(mysql: MysqlUrl, database: str, steps: Sequence[Step], user: str) -> list[Owned]:
    """What each step is about for one person. Raises `Misconfigured` where a table or column is not there, and
    `ValueError` where ``user`` is no such id."""
    with session(mysql) as connection:
        found = tables_of(connection, database, [step.table for step in steps])
    what = []
    for step in steps:
        if step.table not in found:
            raise Misconfigured(f"`{database}` has no table `{step.table}`, or the user may not see it")
        schema = found[step.table][0]
        (owner,) = typed_key(schema, (step.by,), [user])
        what.append(Owned(step, schema.column(step.by), owner))
    return what


def counted(mysql: MysqlUrl, what: Sequence[Owned]) -> dict[str, int]:
    """How many rows of each table there are, those that are kept too."""
    with session(mysql) as connection, connection.cursor() as cursor:
        return {one.step.table: _count(cursor, one) for one in what}


def _count(cursor: Cursor, one: Owned) -> int:
    where, values = one.where
    cursor.execute(f"SELECT COUNT(*) FROM {quoted(one.step.table)} WHERE {where}", values)  # noqa: S608 - quoted
    (row,) = cursor.fetchall()
    return int(row[0])


def erase(
    mysql: MysqlUrl, what: Sequence[Owned], *, timeout: float, tell: Callable[[str, int], None] = lambda *_: None
) -> dict[str, int]:
    """Delete and clear what is to be, `ROWS` in a transaction; how many rows of each table it was.

    Goes on behind a conflict with other writers until ``timeout`` seconds have passed; what was done stays done. Raises
    `Transient`, and `Misconfigured` where MySQL refuses.
    """
    deadline = time.monotonic() + timeout
    done: dict[str, int] = {}
    for one in what:
        if one.step.rows == "keep":
            continue
        done[one.step.table] = 0
        statement, values = _statement(one)
        while True:
            try:
                rows = _some(mysql, one.step.table, statement, values)
            except Transient:  # a deadlock, or MySQL is away for a moment: nothing of these rows was done
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
                continue
            done[one.step.table] += rows
            tell(one.step.table, done[one.step.table])
            if rows < ROWS:
                break
    return done


def _statement(one: Owned) -> tuple[str, list[Any]]:
    where, values = one.where
    table = quoted(one.step.table)
    if one.step.rows == "clear":
        assigned = ", ".join(f"{quoted(column)} = %s" for column in one.step.set)
        text = f"UPDATE {table} SET {assigned} WHERE {where} LIMIT {ROWS}"  # noqa: S608 - names are quoted
        return text, [*one.step.set.values(), *values]
    return f"DELETE FROM {table} WHERE {where} LIMIT {ROWS}", values  # noqa: S608 - names are quoted


def _some(mysql: MysqlUrl, table: str, statement: str, values: Sequence[Any]) -> int:
    with session(mysql) as connection, connection.cursor() as cursor:
        # Locks on rows only, none on the gaps between them, into which others write.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        try:
            return int(cursor.execute(statement, values))
        except (pymysql.err.IntegrityError, pymysql.err.DataError, pymysql.err.ProgrammingError) as error:
            raise Misconfigured(
                f"MySQL refuses to take a person's rows out of `{table}`: {error.args[-1]}; say in `erase` of"
                " `topics.yaml` what becomes of such rows and of those that refer to them"
            ) from error
        except pymysql.err.MySQLError as error:
            raise classified(error, mysql) from error


def log_kept_for(mysql: MysqlUrl) -> float | None:
    """Seconds after which the server's binlog goes; ``None`` where it stays, or the server does not say."""
    with session(mysql) as connection, connection.cursor() as cursor:
        cursor.execute(_EXPIRY)
        found = cursor.fetchall()
    seconds = float(found[0][1]) if found else 0.0
    return seconds or None


def by_table(what: Sequence[Owned]) -> Mapping[str, Owned]:
    return {one.step.table: one for one in what}
