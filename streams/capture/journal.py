"""What capture writes: changes, checkpoint and positions, in one Kafka transaction at a time.

``transactional.id = <version>.capture`` is the fence: whoever opens a journal shuts out every earlier one, whose
next commit fails.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import ModuleType

import msgspec
from confluent_kafka import KafkaError, KafkaException

from changes.envelope import Headers
from changes.errors import Transient
from changes.position import to_text
from changes.progress import (
    Checkpoint,
    Offsets,
    Positions,
    PublishedSchema,
    SnapshotState,
    fold,
    internal_topic,
    unfold,
)
from changes.schema import TableSchema
from streams.capture.batch import Batch
from streams.capture.layouts import Layouts
from streams.capture.outlet import outlet_of
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic

log = logging.getLogger(__name__)

FULL_EVERY_MS = 1000
TAIL = 4000
"""How many of the last position records are read at start: more than are written between two full ones."""


class Journal:
    """One version's journal. Not safe for use from several threads."""

    def __init__(self, url: KafkaUrl, version: str, native: ModuleType | None = None) -> None:
        """``native``: the module whose producer is to write, where there is one; see `streams.capture.engine`."""
        self._url = url
        self._version = version
        self._positions = internal_topic(version, "positions")
        self._checkpoints = internal_topic(version, "checkpoint")
        self._schemas = internal_topic(version, "schemas")
        self._sums = internal_topic(version, "sums")
        self._sums_end = 0
        self._ends: Offsets = {}
        self._moved: Offsets = {}
        self._open = False
        self._full_at_ms = 0
        self._saved: object = None
        self._fills: object = None
        self._outlet = outlet_of(
            native,
            url.config(
                transactional_id=f"{version}.capture",
                transaction_timeout_ms=30_000,
                partitioner="murmur2_random",
                compression_type="lz4",
                linger_ms=20,  # a commit waits for none of it: flushing sends at once what is there
                batch_size=262_144,
                queue_buffering_max_kbytes=65_536,
                queue_buffering_max_messages=200_000,
                message_max_bytes=8 << 20,
            ),
        )

    def open(self) -> tuple[Checkpoint | None, dict[str, SnapshotState], dict[str, TableSchema]]:
        """Shut out every earlier writer; what they left: checkpoint, snapshots, and schemas by the names under which
        they are published."""
        try:
            self._outlet.init(OPERATION_SECONDS)
        except KafkaException as error:
            raise classified(error.args[0], "opening the journal") from error
        checkpoint: Checkpoint | None = None
        snapshots: dict[str, SnapshotState] = {}
        for message in read_topic(self._url, self._checkpoints):
            key, value = _text(message.key()), message.value()
            if value is None:
                snapshots.pop(key.partition(":")[2], None)
            elif key == "stream":
                checkpoint = msgspec.json.decode(value, type=Checkpoint)
            else:
                state = msgspec.json.decode(value, type=SnapshotState)
                snapshots[state.name] = state
        published = {
            _text(message.key()): msgspec.json.decode(message.value() or b"", type=PublishedSchema).schema
            for message in read_topic(self._url, self._schemas)
        }
        self._ends = read_ends(self._url, self._version)
        return checkpoint, snapshots, published

    def sums(self) -> Iterator[tuple[str, bytes]]:
        """Key and value of every record of the sums topic; to be read once, behind `open`."""
        for message in read_topic(self._url, self._sums):
            self._sums_end = (message.offset() or 0) + 1
            yield _text(message.key()), message.value() or b""

    @property
    def is_open(self) -> bool:
        """Whether a transaction is under way."""
        return self._open

    def begin(self) -> None:
        """Open a transaction where none is."""
        if not self._open:
            try:
                self._outlet.begin()
            except KafkaException as error:
                raise _fatal(error.args[0], self._version) from error
            self._open = True

    def write(self, topic: str, key: bytes, value: bytes | None, headers: Headers) -> None:
        """Add one record; opens a transaction where none is."""
        self._produce(topic, key, value, headers.to_kafka())

    def send(self, batch: Batch, layouts: Layouts, leave_out: Collection[int]) -> None:
        """Add a batch's records, but for those with these indexes; opens a transaction where none is."""
        self.begin()
        try:
            self._outlet.send(batch, layouts, leave_out)
        except KafkaException as error:
            raise _fatal(error.args[0], self._version) from error

    def park(self, topic: str, key: bytes, headers: Headers, reason: str) -> None:
        """Put a change that cannot be written among the dead letters, without its payload."""
        told = [
            *headers.to_kafka(),
            ("__connect.errors.topic", topic.encode()),
            ("__connect.errors.exception.message", reason.encode()),
            ("tr-version", self._version.encode()),
            ("tr-sink", b"capture"),
        ]
        self._produce(internal_topic(self._version, "dlq"), key, None, told)

    def publish_schema(self, name: str, schema: PublishedSchema) -> None:
        self._produce(self._schemas, name.encode(), msgspec.json.encode(schema), [])

    def save_snapshot(self, state: SnapshotState) -> None:
        """How far a fill is; of one that somebody asked for in part nothing stays once it is done."""
        if state.id and state.state == "done":
            self.forget_snapshot(state)
        else:
            self._produce(self._checkpoints, f"snapshot:{state.name}".encode(), msgspec.json.encode(state), [])

    def forget_snapshot(self, state: SnapshotState) -> None:
        self._produce(self._checkpoints, f"snapshot:{state.name}".encode(), None, [])

    def save_sums(self, records: Iterable[tuple[str, bytes]]) -> None:
        for key, value in records:
            self._produce(self._sums, key.encode(), value, [])

    def commit(
        self,
        checkpoint: Checkpoint,
        *,
        ordinal: int,
        rows: int,
        source_ms: int,
        now_ms: int,
        snapshots: Mapping[str, SnapshotState],
    ) -> None:
        """End the transaction with its checkpoint and positions. Raises `Transient` where it failed: the journal
        must then be closed, and what was written since the last commit comes again."""
        self.begin()
        self._flush()  # offsets of the changes must be known before the positions that tell them
        fills = {name: (one.state, one.absent) for name, one in snapshots.items()}
        full = now_ms - self._full_at_ms >= FULL_EVERY_MS or fills != self._fills
        self._ends.update(self._moved)
        record = Positions(
            position=checkpoint.position,
            ordinal=ordinal,
            at_ms=now_ms,
            source_ms=source_ms,
            full=full,
            offsets=unfold(self._ends if full else self._moved),
            rows=rows,
            snapshots=dict(snapshots) if full else {},
            partial=checkpoint.partial is not None,
            file=checkpoint.file,
            offset=checkpoint.offset,
            requests=checkpoint.requests,
            sums=self._sums_end,
        )
        self._produce(self._positions, b"positions", msgspec.json.encode(record), [])
        progress = (checkpoint.executed, checkpoint.epoch, checkpoint.partial, checkpoint.requests)
        if progress != self._saved:  # while nothing happens, only positions are published
            self._produce(self._checkpoints, b"stream", msgspec.json.encode(checkpoint), [])
            self._saved = progress
        try:
            self._outlet.commit(OPERATION_SECONDS)
        except KafkaException as error:
            raise _fatal(error.args[0], self._version) from error
        self._open = False
        self._moved = {}
        if full:
            self._full_at_ms, self._fills = now_ms, fills

    def close(self) -> None:
        """Give up what is not committed."""
        if self._open:
            try:
                self._outlet.abort(5.0)
            except KafkaException as error:  # fenced, or the broker is away: it aborts by itself then
                log.info("the open transaction was left to time out: %s", error)
        self._open = False
        self._outlet.close()

    def _produce(self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.begin()
        try:
            self._outlet.produce(topic, key, value, headers)
        except KafkaException as error:
            raise _fatal(error.args[0], self._version) from error

    def _flush(self) -> None:
        """Wait until what was written is in Kafka, and take in where."""
        try:
            done = self._outlet.flush(OPERATION_SECONDS)
        except KafkaException as error:
            raise _fatal(self._cause(error.args[0]), self._version) from error
        if not done:
            raise Transient(f"Kafka did not take the changes within {OPERATION_SECONDS:.0f} s")
        own = f"{self._version}.tailrace."
        ends = self._outlet.ends()
        self._sums_end = ends.get((self._sums, 0), self._sums_end)
        self._moved |= {at: end for at, end in ends.items() if not at[0].startswith(own)}

    def _cause(self, error: KafkaError) -> KafkaError:
        """Why a delivery failed: one that was thrown away with its transaction says no more than that, and an attempt
        to give the transaction up says what befell it."""
        if error.code() == KafkaError._PURGE_QUEUE:
            self._open = False
            try:
                self._outlet.abort(5.0)
            except KafkaException as cause:
                told: KafkaError = cause.args[0]
                return told
        return error


def _fatal(error: KafkaError, version: str) -> Exception:
    if error.code() in {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}:
        return Transient(f"another capture of version `{version}` has taken over: there is one writer a version")
    return classified(error, "writing changes")


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def read_ends(url: KafkaUrl, version: str) -> Offsets:
    """The end offsets as of the newest record of the positions topic."""
    ends: Offsets = {}
    topic = internal_topic(version, "positions")
    for message in read_topic(url, topic, start=lambda low, high: high - TAIL):
        value = message.value()
        if value is not None:
            ends = fold(ends, msgspec.json.decode(value, type=Positions))
    return ends


def start_of(executed: str, epoch: int, position: int, file: str, offset: int) -> Checkpoint:
    """The checkpoint of a version whose history begins with what the server has executed."""
    return Checkpoint(executed, epoch, to_text(position), file, offset)
