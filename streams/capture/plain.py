"""The reference reader, in Python: it runs everywhere, and says what the native one must give."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from changes import position
from changes.errors import TailraceError
from changes.gtid import MariadbGtids
from streams.binlog import events
from streams.binlog.connection import refusal
from streams.binlog.packets import Packets
from streams.binlog.table_map import TableMap, peek_name
from streams.capture.batch import LARGEST_XA, LIMITS, MESSAGE_BYTES, Beginning, Limits, PlainBatch, Read
from streams.capture.emit import Moment, TablePlan, change_messages
from streams.capture.layouts import Layouts, out_of_order, refuse, too_large, unreadable
from streams.capture.statements import Meaning, Statement

MOST_MESSAGES = 20_000
"""Records with which a batch ends between two transactions, or at twice as many inside one."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class _Transaction:
    """The one that is being read. ``rows`` so far and ``skip``, in Kafka already, by table.

    ``prepared``: XA PREPARE will end it.
    """

    gtid: str = ""
    origin: str = ""
    number: int = 0
    ordinal: int = 0
    committed_us: int = 0
    server_id: int = 0
    ended: bool = True
    rows: dict[str, int] = field(default_factory=dict)
    skip: dict[str, int] = field(default_factory=dict)
    order: int = 0
    prepared: bool = False


_Current = tuple[int, TableMap, TablePlan]


class PlainReader:
    """See `streams.capture.batch.Reader`."""

    name = "python"

    def __init__(
        self, layouts: Layouts, beginning: Beginning, limits: Limits = LIMITS, clock: Callable[[], int] = now_ms
    ) -> None:
        self._layouts, self._limits, self._clock = layouts, limits, clock
        self._mariadb = isinstance(beginning.executed, MariadbGtids)
        self._executed = beginning.executed.ordinal
        self._epoch, self._position = beginning.epoch, beginning.position
        self._file, self._offset = beginning.file, beginning.offset
        self._partial = beginning.partial
        self._source_us = 0
        self._inside = False
        self._now = _Transaction()
        self._known: dict[bytes, _Current] = {}
        self._current: dict[int, _Current] = {}
        self._batch = PlainBatch()
        self._moved = False
        self._altered: Meaning | None = None
        self._xa = False
        self._held = False

    def read(self, chunks: Iterator[memoryview]) -> Iterator[Read]:
        packets = Packets()
        for chunk in chunks:
            try:
                for packet in packets.feed(chunk):
                    if not packet:
                        raise ValueError("the server sent an empty packet")
                    if packet[:1] != b"\0":
                        raise refusal(packet)
                    yield from self._take_in(events.without_checksum(packet[1:]))
            except (ValueError, TailraceError) as error:
                yield from self._taken()  # what was read before is told before what is wrong
                if isinstance(error, ValueError):
                    raise unreadable(self._file, self._offset, error) from error
                raise
            yield from self._taken()

    def _take_in(self, event: bytes) -> Iterator[Read]:
        """Go on by one event; what is full. Raises `ValueError` for one that cannot be read."""
        head = events.header(event)
        if head.type == events.PAYLOAD:
            for inner in events.payload(event):
                self._handle(inner, events.header(inner))
                yield from self._full()
        else:
            self._handle(event, head)
        if head.end and head.type not in {events.HEARTBEAT, events.HEARTBEAT_V2}:
            self._offset = head.end
            self._moved = True
        yield from self._full()

    def _full(self) -> Iterator[Read]:
        if self._held and self._batch.size > LARGEST_XA:
            raise too_large(self._now.gtid)
        times = 2 if self._inside else 1
        size, count = self._limits.full * times, MOST_MESSAGES * times
        if self._batch.size >= size or len(self._batch) >= count or self._altered or self._xa != self._held:
            yield from self._taken()
            self._held = self._xa

    def _taken(self) -> Iterator[Read]:
        """Nothing of an XA transaction before it is known what becomes of it."""
        batch, now = self._batch, self._now
        if (self._held and self._xa) or not (batch.told or self._moved):
            return
        batch.ordinal, batch.position, batch.source_us = self._executed, self._position, self._source_us
        batch.file, batch.offset, batch.inside = self._file, self._offset, self._inside
        batch.gtid, batch.awaited = now.gtid, self._partial is not None
        if self._inside:
            names = [name for name in self._layouts.tables if name in now.rows or name in now.skip]
            batch.done = {name: max(now.rows.get(name, 0), now.skip.get(name, 0)) for name in names}
        read = Read(batch, self._altered)
        self._batch, self._moved, self._altered = PlainBatch(), False, None
        yield read

    def _handle(self, data: bytes, head: events.Header) -> None:
        handler = _HANDLERS.get(head.type)
        if handler is not None:
            handler(self, data, head)
        elif head.type in events.MARIADB_COMPRESSED:
            refuse(head.type, self._now.gtid)

    def _on_rotate(self, data: bytes, _: events.Header) -> None:
        self._file, self._offset = events.rotate(data)
        self._current.clear()
        self._moved = True

    def _on_heartbeat(self, data: bytes, head: events.Header) -> None:
        if not self._inside:
            self._file, self._offset = events.heartbeat(data, head)
            self._moved = True

    def _on_gtid(self, data: bytes, head: events.Header) -> None:
        name, committed_us = events.gtid(data)
        self._begin(name, ":", committed_us or head.timestamp * 1_000_000, head.server_id)

    def _on_tagged_gtid(self, data: bytes, head: events.Header) -> None:
        name, committed_us = events.tagged_gtid(data)
        self._begin(name, ":", committed_us or head.timestamp * 1_000_000, head.server_id)

    def _on_mariadb_gtid(self, data: bytes, head: events.Header) -> None:
        name, alone = events.mariadb_gtid(data, head.server_id)
        self._begin(name, "-", head.timestamp * 1_000_000, head.server_id)
        self._inside = not alone
        self._now.prepared = events.mariadb_prepared(data)

    def _begin(self, gtid: str, sign: str, committed_us: int, server_id: int) -> None:
        if self._xa:
            raise ValueError("a transaction begins inside an XA transaction")
        origin, _, number = gtid.rpartition(sign)
        ordinal = int(number) if self._mariadb else self._executed + 1
        position.pack(self._epoch, ordinal, 0)  # raises where there is no position for it
        self._now = _Transaction(gtid, origin, int(number), ordinal, committed_us, server_id, ended=False)
        if self._partial is not None:
            if self._partial.gtid != gtid:
                out_of_order(self._partial.gtid, gtid)
            self._now.skip = dict(self._partial.rows)
            self._partial = None

    def _on_refused(self, _: bytes, head: events.Header) -> None:
        refuse(head.type, self._now.gtid)

    def _on_query(self, data: bytes, _: events.Header) -> None:
        meaning = self._layouts.classify(data, inside=self._inside)
        if meaning.statement in {Statement.BEGIN, Statement.XA}:
            self._inside = True
            self._xa = self._xa or meaning.statement is Statement.XA
        elif meaning.statement is Statement.END:
            self._end()
        elif meaning.statement is Statement.DDL:
            self._known.clear()
            self._current.clear()
            self._end()
        if meaning.statement is Statement.DDL or meaning.tables:
            self._altered = meaning

    def _on_xa_prepare(self, data: bytes, _: events.Header) -> None:
        self._layouts.prepared(data, touched=bool(self._now.rows), gtid=self._now.gtid)
        self._end()

    def _on_xid(self, _: bytes, __: events.Header) -> None:
        self._end()

    def _end(self) -> None:
        now = self._now
        if not now.gtid:
            raise ValueError("a transaction ends that had no GTID")
        if not now.ended:
            now.ended = True
            self._executed = now.ordinal
            finished = self._batch.finished
            if finished and finished[-1][0] == now.origin and finished[-1][2] + 1 == now.number:
                finished[-1] = (now.origin, finished[-1][1], now.number)
            else:
                finished.append((now.origin, now.number, now.number))
        self._position = position.snapshot(self._epoch, now.ordinal)
        self._source_us = now.committed_us
        self._inside = self._xa = False
        now.rows, now.skip, now.order = {}, {}, 0

    def _on_table_map(self, data: bytes, _: events.Header) -> None:
        table_id, database, table = peek_name(data, events.HEADER)
        if database != self._layouts.database or table not in self._layouts.tables:
            self._current.pop(table_id, None)
            return
        layout = data[events.HEADER + 6 :]  # everything behind the table id, which changes without meaning anything
        found = self._known.get(layout)
        if found is None:
            found = self._known[layout] = self._layouts.add(data)
        self._current[table_id] = found

    def _on_rows(self, data: bytes, head: events.Header) -> None:
        entry = self._current.get(events.rows_table(data))
        if entry is None:
            return
        if self._now.prepared:
            refuse(events.XA_PREPARE, self._now.gtid)
        number, table_map, plan = entry
        table, now, batch = plan.schema.table, self._now, self._batch
        told = _Told(plan, self._clock(), self._moment(), self._limits)
        records, changed, rows = len(batch.told), len(batch.changed), batch.rows
        before = dict(now.rows), now.order
        try:
            for change in events.rows(data, head.type, table_map):
                row = now.rows.get(table, 0)
                now.rows[table] = row + 1
                now.order += 1
                if row >= now.skip.get(table, 0):
                    told.add(batch, number, change, row, now.order)
        except ValueError:
            del batch.told[records:], batch.changed[changed:]
            batch.rows = rows
            now.rows, now.order = before
            raise
        if number not in batch.layouts:
            batch.layouts.append(number)

    def _moment(self) -> Moment:
        now = self._now
        return Moment(self._epoch, now.ordinal, now.gtid, now.committed_us, now.server_id, self._file, self._offset)


@dataclass(frozen=True)
class _Told:
    """What all rows of one event have in common."""

    plan: TablePlan
    now_ms: int
    moment: Moment
    limits: Limits

    def add(self, batch: PlainBatch, number: int, change: events.RowChange, row: int, order: int) -> None:
        table = self.plan.schema.table
        messages = change_messages(
            self.plan, change, self.moment, row, (order, row + 1), self.now_ms, self.limits.largest_message
        )
        for message in messages:
            batch.told.append((number, table, message))
            batch.size += len(message.key) + len(message.value or b"") + MESSAGE_BYTES
        batch.rows += 1
        before, after = change
        old = None if before is None else self.plan.hash_key(before)
        new = None if after is None else self.plan.hash_key(after)
        gone = None if before is None else self.plan.hash_row(before)
        come = None if after is None else message.headers.hash  # the last record tells the row that is there
        batch.changed.append((number, old, gone, new, come))


_HANDLERS: dict[int, Callable[[PlainReader, bytes, events.Header], None]] = {
    events.QUERY: PlainReader._on_query,
    events.ROTATE: PlainReader._on_rotate,
    events.XID: PlainReader._on_xid,
    events.TABLE_MAP: PlainReader._on_table_map,
    events.HEARTBEAT: PlainReader._on_heartbeat,
    events.HEARTBEAT_V2: PlainReader._on_heartbeat,
    events.GTID: PlainReader._on_gtid,
    events.ANONYMOUS_GTID: PlainReader._on_refused,
    events.GTID_TAGGED: PlainReader._on_tagged_gtid,
    events.XA_PREPARE: PlainReader._on_xa_prepare,
    events.MARIADB_GTID: PlainReader._on_mariadb_gtid,
    **dict.fromkeys(events.ROWS, PlainReader._on_rows),
}
