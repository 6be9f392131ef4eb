"""The keys that a table's topic still holds and that a fill of the table did not tell again.

They are found in the topic itself, in flat memory: one pass notes which keys were last told below the fill's mark, in a
file without a name that goes with its process. A second pass, where there are any, takes their last records a page
after the other. Before each page what the stream told since the first pass is read too, to the last record that was
written when the page was asked for, committed or not yet: what it told is no more to be told. Whoever asked then reads
MySQL by the keys that are left, for the truth about each.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock, Thread

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from changes.canonical import Value
from changes.envelope import decode_key
from changes.errors import Transient
from changes.progress import KeyValue, PublishedSchema, internal_topic
from changes.schema import TableSchema
from streams.capture.emit import Message as Told
from streams.capture.emit import TablePlan, asked_key, asked_messages
from streams.capture.snapshot import Chunk
from streams.follow import Follower
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic

log = logging.getLogger(__name__)

PAGE_ROWS = 1000
PAGE_BYTES = 4 << 20
PORTION = 1000
"""Records that are noted at a stretch."""
REST = 1.0
"""How long the first pass rests behind each portion, times what that took: the stream comes first."""
_COMMIT_SECONDS = 0.02
"""How often it is looked for whether a transaction is committed."""
_CACHE_KB = 8192
_AHEAD = {"queued_max_messages_kbytes": 8192, "fetch_max_bytes": 4 << 20, "fetch_message_max_bytes": 512 << 10}
"""How much of the topic is read ahead."""


class TopicEnds:
    """Where a topic's partitions end that hold anything, whoever wrote it and committed or not; over one connection
    that stays. For one thread. Raises `Transient` where Kafka cannot be reached.
    """

    def __init__(self, kafka: KafkaUrl, version: str) -> None:
        self._settings = kafka.config(group_id=f"{version}.tailrace.reader", isolation_level="read_uncommitted")
        self._consumer: Consumer | None = None

    def __call__(self, topic: str) -> dict[int, int]:
        consumer = self._consumer = self._consumer or Consumer(self._settings)
        try:
            partitions = consumer.list_topics(topic, timeout=OPERATION_SECONDS).topics[topic].partitions
            marks = {}
            for number in sorted(partitions):
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=OPERATION_SECONDS)
                if high > low:
                    marks[number] = high
            return marks
        except KafkaException as error:
            raise classified(error.args[0], f"asking where topic `{topic}` ends") from error


def last_published(kafka: KafkaUrl, version: str, table: str) -> TableSchema | None:
    """The column list of a table that capture published last. Raises `Transient` where Kafka cannot be reached."""
    found = None
    for message in read_topic(kafka, internal_topic(version, "schemas")):
        key, value = message.key(), message.value()
        if key is not None and value is not None and key.rpartition(b":")[0] == table.encode():
            found = msgspec.json.decode(value, type=PublishedSchema).schema
    return found


@dataclass(frozen=True)
class Left:
    """One key that was left: its Kafka key, and the row that the topic told last."""

    key: bytes
    values: tuple[Value, ...]
    row: Mapping[str, Value]
    part: int
    offset: int


class _Value(msgspec.Struct):
    after: dict[str, KeyValue] | None = None


_value = msgspec.json.Decoder(_Value).decode


class Notes:
    """Which keys were last told below the mark, and where: in a file, with a few megabytes of it in memory."""

    def __init__(self, mark: Mapping[int, int]) -> None:
        self._mark = mark
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute('CREATE TABLE n (key BLOB PRIMARY KEY, part INT, "offset" INT) WITHOUT ROWID')

    def take(self, portion: Iterable[tuple[bytes, int, int, bool]]) -> None:
        """Records in the order of their partitions: key, partition, offset, and whether it is no tombstone."""
        last = {key: (part, offset, alive) for key, part, offset, alive in portion}
        told, noted = [], []
        for key, (part, offset, alive) in last.items():
            if alive and offset < self._mark.get(part, 0):
                noted.append((key, part, offset))
            else:
                told.append((key,))
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR REPLACE INTO n VALUES (?, ?, ?)", noted)
        self._file.executemany("DELETE FROM n WHERE key = ?", told)
        self._file.execute("COMMIT")

    def firsts(self) -> dict[int, int]:
        """The first offset noted of each partition that has any."""
        return dict(self._file.execute('SELECT part, MIN("offset") FROM n GROUP BY part').fetchall())

    def __len__(self) -> int:
        return int(self._file.execute("SELECT COUNT(*) FROM n").fetchone()[0])

    def holds(self, key: bytes, part: int, offset: int) -> bool:
        """Whether exactly this record was noted."""
        found: object = self._file.execute('SELECT part, "offset" FROM n WHERE key = ?', (key,)).fetchone()
        return found == (part, offset)

    def close(self) -> None:
        self._file.close()


@dataclass
class Sweep:
    """One table's, for the fill of that ``name``. `start` first; `keys` once it is `ready`, `go_on` behind each page.

    The methods are for one thread at a time, but for `close`, which may come while another reads `keys`.
    """

    kafka: KafkaUrl
    version: str
    topic: str
    name: str
    mark: Mapping[int, int]
    ends: TopicEnds
    rest: Callable[[float], None] = time.sleep
    page: list[Left] = field(default_factory=list)
    _found: bool = False
    _failed: Exception | None = None
    _given_up: bool = False
    _last: bool = False
    _records: Iterator[Left] | None = None
    _stream: Follower | None = None
    _follower: Follower | None = None
    _used: Lock = field(default_factory=Lock)

    def start(self) -> None:
        self._notes = Notes(self.mark)
        self._thread = Thread(target=self._run, name="sweep", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the first pass has ended. Raises what failed in it."""
        if self._failed is not None:
            raise self._failed
        return self._found

    @property
    def ended(self) -> bool:
        """Whether the page under way is the last, and empty."""
        return self._last and not self.page

    def keys(self, plan: TablePlan) -> Sequence[tuple[Value, ...]]:
        """The page's keys as far as the table can have them; the page stays until `go_on`.

        What the stream told meanwhile leaves the page. Raises `Transient` where Kafka cannot be reached.
        """
        try:
            with self._used:
                return [] if self._given_up else self._keys(plan)
        finally:
            if self._given_up:
                self.close()

    def _keys(self, plan: TablePlan) -> Sequence[tuple[Value, ...]]:
        self._catch_up()
        self.page = [left for left in self.page if self._notes.holds(left.key, left.part, left.offset)]
        if not self.page and not self._last:
            if self._records is None:
                self._records = self._left(plan)
            size = 0
            for left in self._records:
                self.page.append(left)
                size += len(left.row) * 16 + sum(len(value) for value in left.row.values() if isinstance(value, str))
                if len(self.page) >= PAGE_ROWS or size >= PAGE_BYTES:
                    break
            else:
                self._last = True
        return [key for left in self.page if (key := _asked(plan, left)) is not None]

    def told(self, chunk: Chunk, plan: TablePlan, untouched: Callable[[bytes], bool]) -> Iterator[Told]:
        """The records of the page's keys that are ``untouched``: deletes, but for rows that MySQL has after all."""
        for left in self.page:
            if untouched(left.key):
                row = chunk.rows.get(left.key)
                now_ms = chunk.moment.committed_us // 1000
                for message in asked_messages(plan, left.values, left.row, row, chunk.moment, now_ms):
                    yield msgspec.structs.replace(message, key=left.key)  # whatever the key's columns are now

    def go_on(self) -> None:
        """The page's keys were told."""
        self.page = []

    def close(self) -> None:
        """Give it up, without waiting: a pass under way ends by itself, and who reads keys lets go of what is read."""
        self._given_up = True
        if not self._used.acquire(blocking=False):
            return
        try:
            for follower in (self._stream, self._follower):
                if follower is not None:
                    follower.close()
            self._stream = self._follower = self._records = None
            if not self._thread.is_alive():
                self._notes.close()
        finally:
            self._used.release()

    def _run(self) -> None:
        try:
            if self.mark:
                self._note()
            self._found = True
        except sqlite3.Error as error:
            self._failed = Transient(f"the keys of a sweep cannot be noted in the folder for temporary files: {error}")
        except Exception as error:  # noqa: BLE001 - not swallowed: `ready` raises it in the thread that can act
            self._failed = error

    def _note(self) -> None:
        stream = Follower(self.kafka, self.version, self.topic, **_AHEAD)
        with ExitStack() as leaving:
            leaving.callback(stream.close)
            stream.start({})
            self._drain(stream)
            if not self._given_up:
                self._stream = stream
                leaving.pop_all()

    def _drain(self, stream: Follower) -> None:
        portion: list[tuple[bytes, int, int, bool]] = []
        began = time.monotonic()
        for message in stream.drain():
            portion.append(_noted(message))
            if len(portion) >= PORTION:
                self._notes.take(portion)
                if self._given_up:
                    return
                self.rest(REST * (time.monotonic() - began))
                portion, began = [], time.monotonic()
        self._notes.take(portion)

    def _catch_up(self) -> None:
        """Take in what was written to the topic by now; what is not committed yet is waited for."""
        stream = self._stream
        if stream is None:
            return
        written = self.ends(self.topic)
        while not self._given_up:
            self._drain(stream)
            if all(stream.span.ends.get(part, 0) >= end for part, end in written.items()):
                return
            time.sleep(_COMMIT_SECONDS)

    def _left(self, plan: TablePlan) -> Iterator[Left]:
        """The second pass."""
        count = len(self._notes)
        if not count:
            return
        log.info("%d keys of `%s` were not told again and are asked for", count, self.topic)
        self._follower = Follower(self.kafka, self.version, self.topic, **_AHEAD)
        self._follower.start({(self.topic, part): first for part, first in self._notes.firsts().items()})
        for message in self._follower.drain():
            key, part, offset, alive = _noted(message)
            if alive and self._notes.holds(key, part, offset):
                left = _left_of(plan, message.value() or b"", key, part, offset)
                if left is not None:
                    yield left
                count -= 1
                if not count:
                    return


def _noted(message: Message) -> tuple[bytes, int, int, bool]:
    key = message.key()
    return (
        key.encode() if isinstance(key, str) else key or b"",
        message.partition() or 0,
        message.offset() or 0,
        message.value() is not None,
    )


def _left_of(plan: TablePlan, value: bytes, key: bytes, part: int, offset: int) -> Left | None:
    named, row = decode_key(key), _value(value).after or {}
    if named.keys() != set(plan.schema.key):
        log.error("`%s` holds the key %s, which is none of (%s): it stays", plan.topic, key, ", ".join(plan.schema.key))
        return None
    return Left(key, tuple(named[name] for name in plan.schema.key), row, part, offset)


def _asked(plan: TablePlan, left: Left) -> tuple[Value, ...] | None:
    try:
        return asked_key(plan, left.values)
    except ValueError:  # the key's type is another one now: no row can have it
        return None
