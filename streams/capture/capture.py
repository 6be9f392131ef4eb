"""The capture loop: one thread that decodes, decides and writes, in binlog order."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping

import msgspec
import xxhash

from changes import position
from changes.errors import Misconfigured
from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import Checkpoint, Partial, PublishedSchema, SnapshotState
from changes.topology import Topology
from streams.binlog import events
from streams.binlog.charsets import Collations
from streams.binlog.connection import BinlogConnection
from streams.binlog.table_map import TableMap, parse_table_map, peek_name
from streams.capture.chunks import Chunks, Standing
from streams.capture.emit import (
    LARGEST_MESSAGE,
    Message,
    Moment,
    TablePlan,
    change_messages,
)
from streams.capture.journal import Journal, start_of
from streams.capture.packets import PacketQueue
from streams.capture.requests import RequestReader
from streams.capture.seeding import Counting
from streams.capture.snapshot import executed
from streams.capture.standby import stand_by
from streams.capture.statements import Statement, classify
from streams.capture.sums import Told
from streams.describe import collations_of
from streams.kafka import KafkaUrl, ensure_topics
from streams.mysql import Connection, MysqlUrl, session
from streams.preflight import Flavour, preflight
from streams.topics import topic_specs

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.02
"""The longest that a change waits for others while the binlog keeps coming; with nothing more to read, none."""
FLUSH_BYTES = 4 << 20
HEARTBEAT_SECONDS = 0.1
"""How often positions are published while nothing happens."""


class Capture:
    """One version's capture, from its checkpoint on. `run` returns when ``stop`` is set and raises when it cannot go
    on: `Transient` (start again: nothing is lost) or `Misconfigured` (somebody must act)."""

    def __init__(
        self, topology: Topology, version: str, mysql: MysqlUrl, kafka: KafkaUrl, stop: threading.Event
    ) -> None:
        self._topology = topology
        self._version = version
        self._mysql = mysql
        self._kafka = kafka
        self._journal = Journal(kafka, version)
        self._stop = stop
        self._database = topology.database(version)
        self._plans: dict[bytes, TablePlan] = {}
        self._maps: dict[bytes, TableMap] = {}
        self._current: dict[int, tuple[TableMap, TablePlan]] = {}
        self._published: set[str] = set()
        self._rows_written = 0
        self._bytes = 0
        self._opened_at = 0.0
        self._committed_at = 0.0
        self._source_us = 0
        # the transaction that is being read
        self._gtid = ""
        self._ordinal = 0
        self._committed_us = 0
        self._server_id = 0
        self._inside = False
        self._alone = False
        self._rows_of: dict[str, int] = {}
        self._skip: dict[str, int] = {}
        self._order = 0

    def run(self) -> None:
        preflight(self._mysql, self._topology, self._version)
        ensure_topics(self._kafka, topic_specs(self._topology, self._version))
        stand_by(self._kafka, self._version, self._stop)
        if self._stop.is_set():
            return
        checkpoint, states, self._published = self._journal.open()
        try:
            told = Told()
            for key, value in self._journal.sums():
                told.take(key, value)
            self._counting = Counting(self._topology, self._version, self._mysql, told)
            self._start(checkpoint, states)
        finally:
            self._journal.close()

    def _start(self, checkpoint: Checkpoint | None, states: Mapping[str, SnapshotState]) -> None:
        with session(self._mysql) as connection:
            self._mariadb = Flavour.of(connection).mariadb
            self._collations: Collations = collations_of(connection)
            now = executed(connection, mariadb=self._mariadb)
            estimates = self._estimates(connection)
        if checkpoint is None:
            checkpoint = start_of(str(now), 0, position.snapshot(0, now.ordinal), "", 0)
        kind = MariadbGtids if self._mariadb else MysqlGtids
        self._executed: MysqlGtids | MariadbGtids = kind(checkpoint.executed)
        if not now.covers(self._executed):  # type: ignore[arg-type]
            raise Misconfigured(
                f"the server has executed `{now}` and not all of `{checkpoint.executed}` that capture has read: it was "
                "reset, restored or lost a fail-over. `tailrace epoch raise` begins a new epoch with a new snapshot"
            )
        self._epoch = checkpoint.epoch
        self._position = int(checkpoint.position)
        self._file, self._offset = checkpoint.file, checkpoint.offset
        self._partial = checkpoint.partial
        filling = {
            table: states.get(table) or SnapshotState(table, "running", estimate=estimates.get(table, 0))
            for table in self._topology.tables
        }
        for state in filling.values():
            self._counting.filling(state)
        inbox = RequestReader(self._kafka, self._version, checkpoint.requests)
        self._chunks = Chunks(self._topology, self._version, self._mysql, inbox, filling, checkpoint.requests)
        source = BinlogConnection(self._mysql, self._executed, server_id=replica_id(self._version))
        packets = PacketQueue()
        reader = packets.fill(source.events())
        log.info("capture of `%s` goes on at %s (%s)", self._version, position.to_text(self._position), self._file)
        try:
            self._loop(packets)
        finally:
            packets.close()
            source.close()
            inbox.close()
            self._counting.close()
            reader.join(timeout=5)

    def _estimates(self, connection: Connection) -> dict[str, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
                (self._database,),
            )
            return {str(name): int(rows or 0) for name, rows in cursor.fetchall()}

    def _loop(self, packets: PacketQueue) -> None:
        while not self._stop.is_set():
            packet = packets.get(0.0 if self._journal.is_open else self._patience())
            if packet is not None:
                self._read(packet)
            if not self._inside:
                self._snapshot_step()
            self._commit_if_due(idle=packet is None)
        if not self._inside and self._journal.is_open:
            self._commit()

    def _patience(self) -> float:
        if self._chunks.busy:
            return 0.002
        return max(0.0, min(0.05, self._committed_at + HEARTBEAT_SECONDS - time.monotonic()))

    def _commit_if_due(self, *, idle: bool) -> None:
        now = time.monotonic()
        if self._journal.is_open:
            if idle or now - self._opened_at >= FLUSH_SECONDS or self._bytes >= FLUSH_BYTES:
                self._commit()
        elif not self._inside and now - self._committed_at >= HEARTBEAT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        partial = self._partial
        if self._inside and (self._rows_of or self._skip):
            # while a half-written transaction is read again, the rows that are still to be skipped stay known
            tables = self._rows_of.keys() | self._skip.keys()
            partial = Partial(
                self._gtid, {name: max(self._rows_of.get(name, 0), self._skip.get(name, 0)) for name in tables}
            )
        checkpoint = Checkpoint(
            executed=str(self._executed),
            epoch=self._epoch,
            position=position.to_text(self._position),
            file=self._file,
            offset=self._offset,
            partial=partial,
            requests=self._chunks.requests,
        )
        self._journal.save_sums(self._counting.due())
        self._journal.commit(
            checkpoint,
            ordinal=self._executed.ordinal,
            rows=self._rows_written,
            source_ms=self._source_us // 1000,
            now_ms=time.time_ns() // 1_000_000,
            snapshots=self._chunks.states,
        )
        self._bytes = 0
        self._committed_at = time.monotonic()

    # -- events ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        try:
            self._take(data)
        except ValueError as error:
            raise Misconfigured(
                f"the binlog at `{self._file}` {self._offset} cannot be read ({error}): nothing is guessed, capture "
                "stops here; `tailrace epoch raise` goes on behind it with a new snapshot"
            ) from error

    def _take(self, data: bytes) -> None:
        head = events.header(data)
        handler = _HANDLERS.get(head.type)
        if handler is not None:
            handler(self, data, head)
        elif head.type in events.MARIADB_COMPRESSED:
            raise Misconfigured("the binlog holds MariaDB's compressed events: SET GLOBAL log_bin_compress = OFF")
        if head.end and head.type not in {events.HEARTBEAT, events.HEARTBEAT_V2}:
            self._offset = head.end

    def _on_rotate(self, data: bytes, _: events.Header) -> None:
        self._file, self._offset = events.rotate(data)
        self._current.clear()

    def _on_heartbeat(self, data: bytes, head: events.Header) -> None:
        if not self._inside:
            self._file, self._offset = events.heartbeat(data, head)

    def _on_gtid(self, data: bytes, head: events.Header) -> None:
        name, committed_us = events.gtid(data)
        self._begin(name, committed_us or head.timestamp * 1_000_000, head.server_id)

    def _on_mariadb_gtid(self, data: bytes, head: events.Header) -> None:
        name, alone = events.mariadb_gtid(data, head.server_id)
        self._begin(name, head.timestamp * 1_000_000, head.server_id)
        self._inside = not alone

    def _begin(self, gtid: str, committed_us: int, server_id: int) -> None:
        self._gtid, self._committed_us, self._server_id = gtid, committed_us, server_id
        self._ordinal = self._executed.ordinal + 1
        if self._mariadb:
            self._ordinal = MariadbGtids(gtid).ordinal
        self._rows_of, self._order, self._skip = {}, 0, {}
        if self._partial is not None:
            if self._partial.gtid == gtid:
                self._skip = dict(self._partial.rows)
            self._partial = None

    def _on_anonymous(self, _: bytes, __: events.Header) -> None:
        raise Misconfigured("the binlog holds a transaction without a GTID: SET PERSIST gtid_mode = ON")

    def _on_tagged(self, _: bytes, __: events.Header) -> None:
        raise Misconfigured("the binlog holds a tagged GTID, which this release cannot number: do not tag transactions")

    def _on_xa(self, _: bytes, __: events.Header) -> None:
        raise Misconfigured(
            f"transaction {self._gtid} is an XA transaction, whose rows are logged before it is decided: "
            "this release captures none; use ordinary transactions for captured tables"
        )

    def _on_query(self, data: bytes, _: events.Header) -> None:
        database, text = events.query(data)
        statement = classify(text, database, self._database, frozenset(self._topology.tables), inside=self._inside)
        if statement is Statement.BEGIN:
            self._inside = True
        elif statement is Statement.END:
            self._end()
        elif statement is Statement.DDL:
            self._maps.clear()
            self._plans.clear()
            self._counting.altered(text)
            self._end()

    def _on_xid(self, _: bytes, __: events.Header) -> None:
        self._end()

    def _end(self) -> None:
        self._executed.add(self._gtid)
        self._position = position.snapshot(self._epoch, self._ordinal)
        self._source_us = self._committed_us
        self._inside = False
        self._rows_of, self._skip = {}, {}

    def _on_payload(self, data: bytes, _: events.Header) -> None:
        for inner in events.payload(data):
            head = events.header(inner)
            handler = _HANDLERS.get(head.type)
            if handler is not None:
                handler(self, inner, head)

    def _on_table_map(self, data: bytes, _: events.Header) -> None:
        table_id, database, table = peek_name(data, events.HEADER)
        declared = self._topology.tables.get(table)
        if database != self._database or declared is None:
            self._current.pop(table_id, None)
            return
        layout = data[events.HEADER + 6 :]  # everything behind the table id, which changes without meaning anything
        found = self._maps.get(layout)
        if found is None:
            found = self._maps[layout] = parse_table_map(data, events.HEADER, self._collations)
            self._plans[layout] = TablePlan.of(
                self._version,
                self._topology.topic(self._version, table),
                found.schema,
                tuple(declared.key),
                frozenset(declared.columns.drop),
            )
        self._current[table_id] = found, self._plans[layout]

    def _on_partial_update(self, data: bytes, _: events.Header) -> None:
        if events.rows_table(data) in self._current:
            raise Misconfigured(
                "the binlog holds a partial JSON update, which this release cannot apply: "
                "SET PERSIST binlog_row_value_options = '', also for the sessions that are connected"
            )

    def _on_rows(self, data: bytes, head: events.Header) -> None:
        entry = self._current.get(events.rows_table(data))
        if entry is None:
            return
        table_map, plan = entry
        table = plan.schema.table
        now_ms = time.time_ns() // 1_000_000
        moment = self._moment()
        counted = self._counting.wants(plan)
        for change in events.rows(data, head.type, table_map):
            row = self._rows_of.get(table, 0)
            self._rows_of[table] = row + 1
            self._order += 1
            if row < self._skip.get(table, 0):
                continue
            messages = list(change_messages(plan, change, moment, row, (self._order, row + 1), now_ms))
            self._write(messages, plan)
            if counted:
                self._counting.changed(plan, change, messages)
            self._rows_written += 1
            if self._bytes >= FLUSH_BYTES:
                self._commit()

    def _moment(self) -> Moment:
        return Moment(
            self._epoch, self._ordinal, self._gtid, self._committed_us, self._server_id, self._file, self._offset
        )

    def _write(self, messages: Iterable[Message], plan: TablePlan) -> None:
        if not self._journal.is_open:
            self._opened_at = time.monotonic()
        name = f"{plan.schema.table}:{plan.fingerprint}"
        if name not in self._published:
            self._journal.publish_schema(name, PublishedSchema(plan.schema, plan.fingerprint))
            self._published.add(name)
        for message in messages:
            if len(message.value or b"") > LARGEST_MESSAGE:
                self._journal.park(message.topic, message.key, message.headers, "too large for Kafka")
                log.error(
                    "a change of `%s` %s is larger than %d bytes and was parked: stores keep the row's older state",
                    plan.schema.table,
                    message.key.decode(),
                    LARGEST_MESSAGE,
                )
                continue
            self._journal.write(message.topic, message.key, message.value, message.headers)
            self._bytes += len(message.value or b"") + 200
            self._chunks.saw(plan.schema.table, message.key, self._ordinal)

    # -- first fills and requests ---------------------------------------------------------------------------------

    def _snapshot_step(self) -> None:
        at = Standing(self._executed, self._epoch, self._file, self._offset)
        if self._partial is None and not self._skip:
            self._counting.step(at, self._chunks.states)
        joined = self._chunks.step(at)
        if joined is None:
            return
        if not self._journal.is_open:
            self._opened_at = time.monotonic()
            self._journal.begin()
        if joined.plan is not None:
            self._write(joined.messages, joined.plan)
            self._rows_written += joined.rows
        if joined.state is not None:
            self._journal.save_snapshot(joined.state)
            self._counting.filling(joined.state)


_HANDLERS = {
    events.QUERY: Capture._on_query,
    events.ROTATE: Capture._on_rotate,
    events.XID: Capture._on_xid,
    events.TABLE_MAP: Capture._on_table_map,
    events.HEARTBEAT: Capture._on_heartbeat,
    events.HEARTBEAT_V2: Capture._on_heartbeat,
    events.GTID: Capture._on_gtid,
    events.ANONYMOUS_GTID: Capture._on_anonymous,
    events.GTID_TAGGED: Capture._on_tagged,
    events.XA_PREPARE: Capture._on_xa,
    events.PARTIAL_UPDATE: Capture._on_partial_update,
    events.PAYLOAD: Capture._on_payload,
    events.MARIADB_GTID: Capture._on_mariadb_gtid,
    **dict.fromkeys(events.ROWS, Capture._on_rows),
}


def replica_id(version: str) -> int:
    """The server id that capture registers with: the same for a version always, so that a second capture of it ends
    the first one's dump instead of doubling the load. Above the numbers that people give their servers."""

    return 0x40000000 | xxhash.xxh32_intdigest(version.encode()) >> 2


def raised(checkpoint: Checkpoint, now: str, ordinal: int) -> Checkpoint:
    """The checkpoint that begins the next epoch at what the server has executed now."""
    epoch = checkpoint.epoch + 1
    return msgspec.structs.replace(
        checkpoint,
        executed=now,
        epoch=epoch,
        position=position.to_text(position.snapshot(epoch, ordinal)),
        partial=None,
    )
