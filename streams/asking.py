"""What a snapshot would read, and the requests for it: asked of MySQL before anything is asked of capture."""

from collections.abc import Sequence
from dataclasses import dataclass

import pymysql

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.progress import Asked, KeyValue, Request
from changes.schema import TableSchema
from changes.topology import Topology
from streams.capture.reader import MODE
from streams.capture.requests import ROWS_A_REQUEST, new_id
from streams.capture.select import TEXT_PROTOCOL, rows_of, select_after, select_keys
from streams.capture.snapshot import estimate
from streams.describe import captured, tables_of
from streams.mysql import Connection, MysqlUrl, session
from streams.typed import typed_key


@dataclass(frozen=True)
class Planned:
    """One table's requests; ``rows`` is how many rows they are about, the server's guess unless ``exact``."""

    table: str
    rows: int
    exact: bool
    requests: Sequence[Request]


def planned(
    topology: Topology,
    version: str,
    mysql: MysqlUrl,
    tables: Sequence[str],
    *,
    where: str = "",
    keys: Sequence[Sequence[str]] = (),
) -> list[Planned]:
    """The requests for whole tables, for their rows that fit ``where``, or for those with these ``keys``, as typed.

    Raises `ValueError` where MySQL refuses the predicate or a key is none, `Misconfigured` where a table is not there.
    """
    database = topology.database(version)
    with session(mysql, conv=TEXT_PROTOCOL) as connection:
        found = tables_of(connection, database, list(tables))
        with connection.cursor() as cursor:
            cursor.execute(MODE)
        plans = []
        for table in tables:
            if table not in found:
                raise Misconfigured(f"`{database}` has no table `{table}`, or the user may not see it")
            full = captured(found[table][0], tuple(topology.tables[table].key), frozenset())
            if keys:
                asked = _known(connection, full, [typed_key(full, full.key, key) for key in keys])
                requests = [Request(new_id(), table, [Asked(key) for key in part]) for part in _parts(asked)]
                plans.append(Planned(table, len(asked), True, requests))
            else:
                rows = _guessed(connection, full, where)
                plans.append(Planned(table, rows, False, [Request(new_id(), table, None, where=where)]))
    return plans


def _guessed(connection: Connection, full: TableSchema, where: str) -> int:
    try:
        with connection.cursor() as cursor:
            if where:
                cursor.execute(*select_after(full, full.key, None, 0, where))
            return estimate(cursor, full, where)
    except pymysql.err.MySQLError as error:
        if not where:
            raise
        raise ValueError(f"MySQL refuses the predicate for `{full.table}`: {error.args[-1]}") from error


def _parts(keys: Sequence[list[KeyValue]]) -> list[Sequence[list[KeyValue]]]:
    return [keys[at : at + ROWS_A_REQUEST] for at in range(0, len(keys), ROWS_A_REQUEST)]


def _known(connection: Connection, full: TableSchema, typed: Sequence[Sequence[KeyValue]]) -> list[list[KeyValue]]:
    """The keys as typed, and those of rows that MySQL takes for the same: it may spell them otherwise."""
    keys: dict[tuple[Value, ...], None] = dict.fromkeys(tuple(key) for key in typed)
    with connection.cursor() as cursor:
        for part in _parts([list(key) for key in typed]):
            cursor.execute(*select_keys(full, full.key, part))
            for row in rows_of(full, cursor.fetchall()):
                keys[tuple(row[name] for name in full.key)] = None
    return [[value for value in key if not isinstance(value, bytes | list)] for key in keys]
