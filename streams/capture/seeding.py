"""Where capture's sums come from: every change, and one read of each table. See `streams.capture.sums`."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from changes.canonical import Value, compiled
from changes.errors import TailraceError, Transient
from changes.gtid import MariadbGtids, MysqlGtids
from changes.progress import SnapshotState, binlog_order
from changes.schema import TableSchema
from changes.topology import Topology
from streams.capture.batch import Batch
from streams.capture.chunks import Standing
from streams.capture.layouts import Layouts
from streams.capture.snapshot import CATCH_UP_SECONDS, executed
from streams.capture.sums import Counts, Ledger, Told
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour
from streams.view import View, view_of

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""How often a table to begin with is looked for."""
AGAIN_SECONDS = 5.0
"""The pause before a table is read again that could not be."""
PORTION = 500
"""Rows that are summed at a stretch."""
REST = 2.0
"""How long the reader rests behind each portion, times what that took: the stream comes first."""

Opening = Callable[[], AbstractContextManager[View]]


def key_hash(schema: TableSchema) -> Callable[[Mapping[str, Value]], int]:
    """A row's key as a number: the xxh64 of its canonical bytes."""
    return compiled([schema.column(name) for name in schema.key])


def summed(view: View, leave_out: Collection[int], rest: Callable[[float], None]) -> Counts:
    """The rows of a view but for those with these keys; ``rest`` waits that many seconds."""
    counts = Counts()
    key_of, row_of = key_hash(view.schema), compiled(view.schema.columns)
    began = time.monotonic()
    for number, row in enumerate(view.rows(), 1):
        key = key_of(row)
        if key not in leave_out:
            counts.add(key, row_of(row))
        if number % PORTION == 0:
            rest(REST * (time.monotonic() - began))
            began = time.monotonic()
    return counts


@dataclass
class Reading:
    """One table, read in a thread of its own: its view is opened, and summed once it is known which keys to leave out.

    ``opened`` is a place in the binlog before which all was logged that the view can have seen.
    """

    table: str
    opened: tuple[str, int] | None = None
    closed: bool = False
    found: tuple[Counts, str] | None = None
    failed: Exception | None = None
    _keys: "SimpleQueue[Collection[int] | None]" = field(default_factory=SimpleQueue)
    _given_up: threading.Event = field(default_factory=threading.Event)

    def start(self, opening: Opening) -> None:
        threading.Thread(target=self._run, args=(opening,), name="sums", daemon=True).start()

    def leave_out(self, keys: Collection[int]) -> None:
        """Go on without these keys."""
        self.closed = True
        self._keys.put(keys)

    def give_up(self) -> None:
        self._given_up.set()
        self._keys.put(None)

    def _run(self, opening: Opening) -> None:
        try:
            with opening() as view:
                self.opened = view.file, view.offset
                keys = self._keys.get()
                if keys is not None:
                    self.found = summed(view, keys, self._rest), view.schema.fingerprint
        except Exception as error:  # noqa: BLE001 - not swallowed: `Counting` raises it in the thread that can act
            self.failed = error

    def _rest(self, seconds: float) -> None:
        if self._given_up.wait(seconds):
            raise Transient("the reading was given up")


class Counting:
    """One version's sums, kept beside the stream: for the capture loop alone."""

    def __init__(self, topology: Topology, version: str, mysql: MysqlUrl, told: Told) -> None:
        self._topology, self._version, self._mysql = topology, version, mysql
        tables = topology.tables
        self._ledger = Ledger(Told({table: sums for table, sums in told.tables.items() if table in tables}))
        self._reading: Reading | None = None
        self._look_at = 0.0
        self._not_before: dict[str, float] = {}

    def take(self, batch: Batch, layouts: Layouts) -> None:
        """The changes of a batch."""
        for number in batch.layouts:
            plan = layouts[number]
            self._ledger.take(plan.schema.table, plan.fingerprint, batch, number)

    def filling(self, state: SnapshotState) -> None:
        """A table that is filled anew is counted anew too."""
        if state.state == "running" and not state.id:
            self._ledger.forget(state.table)

    def due(self) -> list[tuple[str, bytes]]:
        """The records to be written in the Kafka transaction that ends now."""
        return self._ledger.due()

    def step(self, at: Standing, states: Mapping[str, SnapshotState]) -> None:
        """Go on with the table that is read, or begin with the next one, without waiting.

        The stream stands at ``at``, between two transactions, and is not reading one again of which a part was
        taken in before. Raises what reading raised, but for what will pass.
        """
        reading = self._reading
        if reading is None:
            self._begin(at, states)
        elif reading.failed is not None:
            self._reading = None
            self._ledger.forget(reading.table)
            self._not_before[reading.table] = time.monotonic() + AGAIN_SECONDS
            if not isinstance(reading.failed, TailraceError):
                raise reading.failed
            log.warning("`%s` could not be counted and will be again: %s", reading.table, reading.failed)
        elif reading.found is not None:
            self._reading = None
            if self._ledger.join(reading.table, *reading.found):
                log.info("`%s` is counted", reading.table)
            else:  # it was altered meanwhile
                self._not_before[reading.table] = time.monotonic() + AGAIN_SECONDS
        elif reading.opened is not None and not reading.closed and _reached(at, reading.opened):
            keys = self._ledger.close_window(reading.table)
            if keys is None:
                reading.give_up()
                self._reading = None
            else:
                reading.leave_out(keys)

    def _begin(self, at: Standing, states: Mapping[str, SnapshotState]) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        for table, state in states.items():
            if (
                not state.absent
                and state.state == "done"
                and not self._ledger.knows(table)
                and now >= self._not_before.get(table, 0.0)
            ):
                self._ledger.open_window(table)
                self._reading = Reading(table)
                self._reading.start(partial(self._opened, table, at.executed.copy()))
                return

    @contextmanager
    def _opened(self, table: str, seen: MysqlGtids | MariadbGtids) -> Iterator[View]:
        """A view that holds all of ``seen``. Events are sent before their transactions can be read."""
        with session(self._mysql) as connection:
            mariadb = Flavour.of(connection).mariadb
            deadline = time.monotonic() + CATCH_UP_SECONDS
            while not executed(connection, mariadb=mariadb).covers(seen):  # type: ignore[arg-type]
                if time.monotonic() >= deadline:
                    raise Transient("the server has not executed what its own binlog says")
                time.sleep(0.01)
        declared = self._topology.tables[table]
        with view_of(
            self._mysql,
            self._topology.database(self._version),
            table,
            seen.ordinal,
            key=tuple(declared.key),
            dropped=frozenset(declared.columns.drop),
        ) as view:
            yield view

    def close(self) -> None:
        """Let go of the table that is read."""
        if self._reading is not None:
            self._reading.give_up()


def _reached(at: Standing, place: tuple[str, int]) -> bool:
    return binlog_order(at.file, at.offset) >= binlog_order(*place)
