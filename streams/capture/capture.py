"""The capture loop: one thread that writes what a reader decoded, in binlog order."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec
import xxhash

from changes import position
from changes.envelope import Headers
from changes.errors import Misconfigured
from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import Checkpoint, Partial, PublishedSchema, SnapshotState
from changes.schema import TableSchema
from changes.topology import Topology
from streams.binlog.charsets import Collations
from streams.binlog.connection import BinlogConnection
from streams.capture.batch import Batch, Beginning, Read
from streams.capture.chunks import Chunks, Standing, tell_absent
from streams.capture.emit import LARGEST_MESSAGE, Message, TablePlan
from streams.capture.engine import engine_of, native_module, reader_of
from streams.capture.filling import begun
from streams.capture.journal import Journal, start_of
from streams.capture.layouts import Layouts
from streams.capture.queue import BatchQueue
from streams.capture.requests import RequestReader
from streams.capture.seeding import Counting
from streams.capture.snapshot import executed
from streams.capture.standby import stand_by
from streams.capture.statements import Effect, Meaning
from streams.capture.sums import Told
from streams.capture.tables import refuse_other_keys
from streams.describe import collations_of
from streams.kafka import KafkaUrl, ensure_topics
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour, examine, followers_of
from streams.replication import require_history
from streams.topics import topic_specs

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.2
"""The longest that a Kafka transaction gathers while the binlog keeps coming; with nothing more to read it ends."""
FLUSH_BYTES = 8 << 20
HEARTBEAT_SECONDS = 0.1
"""How often positions are published while nothing happens."""


class Capture:
    """One version's capture, from its checkpoint on. `run` returns when ``stop`` is set and raises when it cannot go
    on: `Transient` (start again: nothing is lost) or `Misconfigured` (somebody must act)."""

    def __init__(
        self,
        topology: Topology,
        version: str,
        mysql: MysqlUrl,
        kafka: KafkaUrl,
        stop: threading.Event,
        *,
        standing_by: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """``standing_by`` is told when another capture is seen at work, and when that is over."""
        self._topology = topology
        self._version = version
        self._mysql = mysql
        self._kafka = kafka
        self._stop = stop
        self._standing_by = standing_by
        self._native = native_module()
        self._journal = Journal(kafka, version, self._native)
        self._published: dict[str, TableSchema] = {}
        self._rows_written = 0
        self._bytes = 0
        self._opened_at = 0.0
        self._committed_at = 0.0
        self._source_us = 0
        self._inside = False
        self._partial: Partial | None = None

    @property
    def engine(self) -> str:
        """Which reader decodes: ``native`` or ``python``."""
        return engine_of(self._native)

    def run(self) -> None:
        found = examine(self._mysql, self._topology, self._version)
        found.refuse()
        ensure_topics(self._kafka, topic_specs(self._topology, self._version))
        stood_by = stand_by(self._kafka, self._version, self._stop, lambda: self._standing_by(True))
        if self._stop.is_set():
            return
        if stood_by:  # for however long: MySQL may be another by now
            self._standing_by(False)
            found = examine(self._mysql, self._topology, self._version)
            found.refuse()
        checkpoint, states, self._published = self._journal.open()
        try:
            found.refuse(states)
            self._followers = found.followers
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
            collations: Collations = collations_of(connection)
            now = executed(connection, mariadb=self._mariadb)
            if checkpoint is None:
                checkpoint = start_of(str(now), 0, position.snapshot(0, now.ordinal), "", 0)
            kind = MariadbGtids if self._mariadb else MysqlGtids
            self._executed: MysqlGtids | MariadbGtids = kind(checkpoint.executed)
            require_history(connection, now, self._executed)
        self._epoch = checkpoint.epoch
        self._position = int(checkpoint.position)
        # the checkpoint's may be another server's: the stream will say where it stands
        self._file, self._offset = "", 0
        self._partial = checkpoint.partial
        filling, undeclared = begun(states, self._topology.tables)
        for state in undeclared:
            self._journal.forget_snapshot(state)
        for state in filling.values():
            self._counting.filling(state)
            if state.absent:
                tell_absent(state.table)
        inbox = RequestReader(self._kafka, self._version, checkpoint.requests)
        self._chunks = Chunks(
            self._topology, self._version, self._mysql, self._kafka, inbox, filling, checkpoint.requests
        )
        self._layouts = Layouts(self._topology, self._version, collations)
        beginning = Beginning(
            self._executed.copy(), self._epoch, self._position, checkpoint.file, checkpoint.offset, checkpoint.partial
        )
        reader = reader_of(self._native, self._layouts, beginning)
        source = BinlogConnection(self._mysql, self._executed, server_id=replica_id(self._version))
        queue = BatchQueue()
        thread = queue.fill(reader.read(source.chunks()))
        log.info(
            "capture of `%s` goes on at %s (%s), its reader is %s",
            self._version,
            position.to_text(self._position),
            checkpoint.file,
            self.engine,
        )
        try:
            self._loop(queue)
        finally:
            queue.close()
            source.close()
            self._chunks.close()
            inbox.close()
            self._counting.close()
            thread.join(timeout=5)

    def _loop(self, queue: BatchQueue) -> None:
        while not self._stop.is_set():
            read = queue.get(0.0 if self._journal.is_open else self._patience())
            if read is not None:
                self._take(read)
            if not self._inside:
                self._snapshot_step()
            self._commit_if_due(idle=read is None)
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
        checkpoint = Checkpoint(
            executed=str(self._executed),
            epoch=self._epoch,
            position=position.to_text(self._position),
            file=self._file,
            offset=self._offset,
            partial=self._partial,
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
        self._chunks.settled()
        self._bytes = 0
        self._committed_at = time.monotonic()

    # -- changes --------------------------------------------------------------------------------------------------

    def _take(self, read: Read) -> None:
        batch = read.batch
        if len(batch):
            self._tell(batch)
            self._counting.take(batch, self._layouts)
            self._emulate(batch)
        if read.altered is not None:
            self._follow(read.altered)
        for origin, first, last in batch.finished:
            self._executed.extend(origin, first, last)
        if batch.finished and self._executed.ordinal != batch.ordinal:
            raise Misconfigured(
                f"the server sent a transaction again that it had sent before, up to `{batch.gtid}`: "
                "its positions cannot be told; `tailrace epoch raise` begins a new epoch with a new snapshot"
            )
        self._position = batch.position
        self._source_us = batch.source_us
        self._file, self._offset = batch.file, batch.offset
        self._inside = batch.inside
        if batch.inside and batch.done:
            self._partial = Partial(batch.gtid, batch.done)
        elif not batch.awaited:
            self._partial = None

    def _follow(self, altered: Meaning) -> None:
        """Have the tables filled anew whose rows a statement changed without telling them.

        Their states are saved in the Kafka transaction that holds the stream up to the statement. Where that is cut
        off before the end of a transaction, the statement is met again, and nothing is lost by filling twice.
        """
        for table, effect in altered.tables.items():
            state = (
                self._chunks.created(table)
                if effect is Effect.CREATED
                else self._chunks.refill(table, effect.name.lower())
            )
            if state is not None:
                log.info("table `%s` %s and is read anew: `%s`", table, effect.value, altered.text.strip()[:200])
                self._begun(state)
        if altered.tables or "REFERENCES" in altered.text.upper():
            self._followers = followers_of(self._mysql, self._topology, self._version)

    def _emulate(self, batch: Batch) -> None:
        """Have the tables filled anew that foreign keys may have changed with the rows that the batch tells."""
        parents = {
            number: found
            for number in batch.layouts
            if (found := self._followers.get(self._layouts[number].schema.table)) is not None
        }
        due: set[str] = set()
        for number, before, _, after, _ in batch.changes() if parents else ():
            if number in parents:
                due |= parents[number].of(before, after)
        for table in sorted(due):
            state = self._chunks.again(table)
            if state is not None:
                self._begun(state)

    def _begun(self, state: SnapshotState) -> None:
        """Save the state of a fill that something in the stream makes necessary."""
        self._open()
        self._journal.save_snapshot(state)
        self._counting.filling(state)

    def _tell(self, batch: Batch) -> None:
        self._open()
        for number in batch.layouts:
            self._publish(self._layouts[number])
        large = batch.oversized(LARGEST_MESSAGE)
        self._journal.send(batch, self._layouts, frozenset(large))
        for index in large:
            layout, key, _, at, hash_ = batch.messages(index, index + 1)[0]
            plan = self._layouts[layout]
            self._park(plan, plan.topic, key, Headers(at, hash_, plan.fingerprint))
        self._bytes += batch.size
        self._rows_written += batch.rows
        watched = self._chunks.watched
        if watched is not None:
            for key, at in batch.keys(watched):
                self._chunks.saw(watched, key, position.unpack(at)[1])

    def _open(self) -> None:
        if not self._journal.is_open:
            self._opened_at = time.monotonic()
            self._journal.begin()

    def _publish(self, plan: TablePlan) -> None:
        name = f"{plan.schema.table}:{plan.fingerprint}"
        if name not in self._published:
            for before in self._published.values():
                if before.table == plan.schema.table:
                    refuse_other_keys(before, plan.schema)
            self._journal.publish_schema(name, PublishedSchema(plan.schema, plan.fingerprint))
            self._published[name] = plan.schema

    def _park(self, plan: TablePlan, topic: str, key: bytes, headers: Headers) -> None:
        self._journal.park(topic, key, headers, "too large for Kafka")
        log.error(
            "a change of `%s` %s is larger than %d bytes and was parked: stores keep the row's older state",
            plan.schema.table,
            key.decode(),
            LARGEST_MESSAGE,
        )

    # -- first fills and requests ---------------------------------------------------------------------------------

    def _write(self, messages: Iterable[Message], plan: TablePlan) -> None:
        self._publish(plan)
        for message in messages:
            if len(message.value or b"") > LARGEST_MESSAGE:
                self._park(plan, message.topic, message.key, message.headers)
            else:
                self._journal.write(message.topic, message.key, message.value, message.headers)
                self._bytes += len(message.value or b"") + 200

    def _snapshot_step(self) -> None:
        at = Standing(self._executed, self._epoch, self._file, self._offset)
        if self._partial is None:
            self._counting.step(at, self._chunks.states)
        joined = self._chunks.step(at)
        if joined is None:
            return
        self._open()
        if joined.plan is not None:
            self._write(joined.messages, joined.plan)
            self._rows_written += joined.rows
        for state in joined.states:
            self._journal.save_snapshot(state)
            self._counting.filling(state)


def replica_id(version: str) -> int:
    """The server id that capture registers with: the same for a version always, so that a capture which takes over
    ends the dump of one that hangs. One that stands by reads no binlog, and so ends nobody's. Above the numbers that
    people give their servers."""

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
