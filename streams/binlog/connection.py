"""The dump connection: a server's binlog as a stream of raw events."""

import select
import struct
import time
from collections.abc import Iterator

import pymysql
from pymysql.constants import COMMAND, ER

from changes.errors import Misconfigured, Transient
from changes.gtid import MariadbGtids, MysqlGtids
from streams.binlog.events import without_checksum
from streams.binlog.packets import Packets
from streams.mysql import MysqlUrl, classified, connect

_COM_BINLOG_DUMP_GTID = 0x1E
_THROUGH_GTID = 0x04

_CHUNK = 1 << 20
_WRITTEN = 16 << 10
"""The server writes so much at a time while it has more to send."""
_GATHER_SECONDS = 0.001
"""What more is given to arrive then: a few large reads cost both sides less than many small ones."""
READING_SECONDS = 900
"""How long the server waits for us while we read what it sent: a row of 64 MB may take more than its usual minute."""
HEARTBEAT_SECONDS = 0.25
SILENCE_SECONDS = 15
"""A server that sends neither event nor heartbeat for so long is taken for dead: half-dead TCP looks like calm."""


class BinlogConnection:
    """Asks for every transaction that ``executed`` lacks, and yields raw events, checksums taken off.

    ``server_id`` must be no other replica's: the server ends the older of two connections with the same one.
    """

    def __init__(self, url: MysqlUrl, executed: MysqlGtids | MariadbGtids, *, server_id: int) -> None:
        self._connection = connect(url, read_timeout=SILENCE_SECONDS)
        try:
            self._ask(executed, server_id)
        except pymysql.err.MySQLError as error:
            self.close()
            raise classified(error, url) from error
        except BaseException:
            self.close()
            raise

    def _ask(self, executed: MysqlGtids | MariadbGtids, server_id: int) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("SET SESSION net_write_timeout = %s", (READING_SECONDS,))
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

    def chunks(self) -> Iterator[memoryview]:
        """The bytes that the server sends, as they come; each is good until the next is asked for.

        Raises `Transient` when the connection breaks or falls silent.
        """
        buffer = memoryview(bytearray(_CHUNK))
        try:
            # pymysql reads a packet at a time; nothing but packets of events comes from here on
            self._connection._sock.settimeout(SILENCE_SECONDS)  # type: ignore[attr-defined]
            source = self._connection._rfile  # type: ignore[attr-defined]
            more_is_there = select.poll()
            more_is_there.register(source, select.POLLIN)
            while size := source.readinto1(buffer):
                while size < _CHUNK and more_is_there.poll(0):  # TLS gives a little at a time
                    more = source.readinto1(buffer[size:])
                    if not more:
                        break
                    size += more
                yield buffer[:size]
                if size >= _WRITTEN:
                    time.sleep(_GATHER_SECONDS)
        except TimeoutError as error:
            raise Transient(
                f"the server sent nothing for {SILENCE_SECONDS} s, not even a heartbeat: the connection counts as dead"
            ) from error
        except (OSError, ValueError, AttributeError) as error:  # a socket closed under the read
            raise Transient(f"the binlog connection broke: {error}") from error
        raise Transient("the server closed the binlog connection")

    def events(self) -> Iterator[bytes]:
        """Raw events. Raises `Transient` when the connection breaks or falls silent, `Misconfigured` when the server
        says that what we ask for is gone."""
        packets = Packets()
        for chunk in self.chunks():
            for packet in packets.feed(chunk):
                if packet[:1] != b"\0":
                    raise refusal(packet)
                yield without_checksum(packet[1:])

    def close(self) -> None:
        """Ends the stream at once; a read that is under way in another thread raises."""
        if self._connection.open:
            self._connection._force_close()  # type: ignore[attr-defined]


def refusal(packet: bytes) -> Exception:
    """What a packet that holds no event says."""
    try:
        if packet[:1] == b"\xff":
            pymysql.err.raise_mysql_exception(packet)
    except pymysql.err.MySQLError as error:
        return _classified(error)
    except struct.error:
        return Transient("the server ended the binlog stream with a broken packet")
    return Transient("the server ended the binlog stream")


NEW_EPOCH = "`tailrace epoch raise` begins a new epoch with a new snapshot"


def _classified(error: pymysql.err.MySQLError) -> Exception:
    code, message = (*error.args, "", "")[:2]
    if code == ER.MASTER_FATAL_ERROR_READING_BINLOG:
        return _fatal(str(message))
    if code == ER.SPECIFIC_ACCESS_DENIED_ERROR:
        return Misconfigured(f"the server gives its binlog to nobody without REPLICATION SLAVE: {message}")
    return Transient(f"the binlog stream failed: {code} {message}")


def _fatal(message: str) -> Exception:
    """The server has one number for all that keeps it from sending its binlog; only the text tells them apart."""
    said = message.lower()
    if "purged" in said:
        return Misconfigured(
            f"the server no longer has the binlog that capture needs next ({message}): {NEW_EPOCH}; then raise "
            "`binlog_expire_logs_seconds`, so that it is kept for longer than capture may be down"
        )
    if "more gtids than" in said or "not in the master's binlog" in said:
        return Misconfigured(f"the server lacks transactions that capture has read ({message}): {NEW_EPOCH}")
    if "max_allowed_packet" in said:
        return Misconfigured(
            f"an event is too large to be sent ({message}): SET PERSIST max_allowed_packet = 1073741824"
        )
    if "same server_uuid/server_id" in said:
        return Transient(f"another capture of this version reads the binlog now, and ended this one's: {message}")
    return Misconfigured(f"the server cannot read its binlog ({message}): where that does not pass, {NEW_EPOCH}")
