"""The dump connection: a server's binlog as a stream of raw events."""

import struct
from collections.abc import Iterator
from typing import Any

import pymysql
from pymysql.constants import COMMAND, CR, ER

from changes.errors import Misconfigured, Transient
from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog.events import without_checksum
from streams.mysql import MysqlUrl, connect

_COM_BINLOG_DUMP_GTID = 0x1E
_THROUGH_GTID = 0x04
_FATAL_READING_BINLOG = 1236

HEARTBEAT_SECONDS = 0.25
SILENCE_SECONDS = 15
"""A server that sends neither event nor heartbeat for so long is taken for dead: half-dead TCP looks like calm."""


class BinlogConnection:
    """Asks for every transaction that ``executed`` lacks, and yields raw events, checksums taken off.

    ``server_id`` must be no other replica's: the server ends the older of two connections with the same one.
    """

    def __init__(self, url: MysqlUrl, executed: MysqlGtids | MariadbGtids, *, server_id: int) -> None:
        self._connection = connect(url, read_timeout=SILENCE_SECONDS)
        with self._connection.cursor() as cursor:
            for name in ("source", "master"):
                cursor.execute(f"SET @{name}_binlog_checksum = @@global.binlog_checksum")
                cursor.execute(f"SET @{name}_heartbeat_period = %s", (int(HEARTBEAT_SECONDS * 1e9),))
            if isinstance(executed, MariadbGtids):
                cursor.execute("SET @mariadb_slave_capability = 4")
                cursor.execute("SET @slave_connect_state = %s", (str(executed),))
                cursor.execute("SET @slave_gtid_strict_mode = 1")
        if isinstance(executed, MariadbGtids):
            self._send(COMMAND.COM_BINLOG_DUMP, struct.pack("<IHI", 4, 0, server_id))
        else:
            known = executed.encode()
            request = struct.pack("<HIIQI", _THROUGH_GTID, server_id, 0, 4, len(known)) + known
            self._send(_COM_BINLOG_DUMP_GTID, request)

    def _send(self, command: int, request: bytes) -> None:
        # pymysql has no public call for a raw command; these two are what its own commands are made of.
        self._connection._execute_command(command, request)  # type: ignore[attr-defined]

    def events(self) -> Iterator[bytes]:
        """Raises `Transient` when the connection breaks or falls silent, `Misconfigured` when the server says that
        what we ask for is gone."""
        while True:
            try:
                packet: Any = self._connection._read_packet()  # type: ignore[no-untyped-call]
            except pymysql.err.MySQLError as error:
                raise _classified(error) from error
            except (OSError, struct.error, AttributeError) as error:  # a socket closed under the read
                raise Transient(f"the binlog connection broke: {error}") from error
            data: bytes = packet.get_all_data()
            if data[0] == 0xFE and len(data) < 9:
                raise Transient("the server ended the binlog stream")
            yield without_checksum(data[1:])

    def close(self) -> None:
        """Ends the stream at once; a read that is under way in another thread raises."""
        if self._connection.open:
            self._connection._force_close()  # type: ignore[attr-defined]


def _classified(error: pymysql.err.MySQLError) -> Exception:
    code, message = (*error.args, "", "")[:2]
    if code == _FATAL_READING_BINLOG:
        return Misconfigured(
            f"the server no longer has the binlog that capture needs next ({message}): "
            "take a new snapshot with `tailrace epoch --resnapshot`, and raise `binlog_expire_logs_seconds`"
        )
    if code == ER.MASTER_FATAL_ERROR_READING_BINLOG or code in {CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR}:
        return Transient(f"the binlog connection broke: {message}")
    return Transient(f"the binlog stream failed: {code} {message}")
