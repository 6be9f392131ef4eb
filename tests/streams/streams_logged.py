"""What a real server logs of some statements, and what both readers make of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from streams_readers import Outcome, World, topology

from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.connection import BinlogConnection
from streams.binlog.packets import Packets
from streams.capture.snapshot import binlog_end, executed
from streams.describe import collations_of
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour


@dataclass(frozen=True)
class Logged:
    """``raw`` is the binlog as the server sent it to somebody who had ``start``."""

    database: str
    start: MysqlGtids | MariadbGtids
    raw: bytes
    collations: Collations

    def outcome(self, *tables: str, **more: Any) -> Outcome:
        """What both readers made of it: the same, batch by batch."""
        world = World(topology(self.database, *tables, **more), self.collations, self.start.copy())
        plain, native = world.outcomes([self.raw])
        assert native.records == plain.records
        assert native.changes == plain.changes
        assert (native.finished, native.altered, native.rows) == (plain.finished, plain.altered, plain.rows)
        assert native.states[-1] == plain.states[-1]
        assert native.error == plain.error
        return plain


def told(outcome: Outcome) -> list[tuple[str, str, dict[str, Any]]]:
    """Of each record but tombstones: (operation, table, the row that it is about)."""
    found = []
    for _, _, value, _, _ in outcome.records:
        if value is not None:
            change = msgspec.json.decode(value)
            found.append((change["op"], change["source"]["table"], change["after"] or change["before"]))
    return found


@contextmanager
def database_of(root: MysqlUrl, database: str, setup: Sequence[str]) -> Iterator[Any]:
    """A cursor in a database of our own, gone behind the block."""
    with session(root) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {database}")
        cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        try:
            cursor.execute(f"USE {database}")
            for statement in setup:
                cursor.execute(statement)
            yield cursor
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {database}")


def logged(root: MysqlUrl, database: str, cursor: Any, work: Sequence[str]) -> Logged:
    """Run the statements, and have what they logged."""
    with session(root) as connection:
        start = executed(connection, mariadb=Flavour.of(connection).mariadb)
        collations = collations_of(connection)
    for statement in work:
        cursor.execute(statement)
    return Logged(database, start, sent(root, start.copy(), *binlog_end(cursor)), collations)


def sent(root: MysqlUrl, start: MysqlGtids | MariadbGtids, file: str, offset: int) -> bytes:
    """What the server sends up to ``offset`` of ``file``."""
    connection = BinlogConnection(root, start, server_id=0x7E570003)
    raw, packets, reached = b"", Packets(), ""
    try:
        for chunk in connection.chunks():
            raw += bytes(chunk)
            for packet in packets.feed(chunk):
                event = events.without_checksum(packet[1:])
                head = events.header(event)
                if head.type == events.ROTATE:
                    reached = events.rotate(event)[0]
                if reached == file and head.end >= offset:
                    return raw
    finally:
        connection.close()
    raise AssertionError("the binlog ended")
