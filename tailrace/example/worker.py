"""One connection's share of the traffic: runs transactions, waits, and outlives a restart of MySQL."""

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pymysql
from pymysql.err import IntegrityError, InterfaceError, OperationalError

from tailrace.example.database import Connection, connect
from tailrace.example.generate import TABLES
from tailrace.example.ledger import READ_PAIR, Entry, next_step
from tailrace.example.moves import Ids, LedgerTouch, Moves, Transaction
from tailrace.example.pacing import Gate, Schedule
from tailrace.example.statement import Statement

_DUPLICATE = 1062
# The transaction failed but MySQL is well: duplicate key, lock wait timeout, deadlock.
_CONFLICT = frozenset({_DUPLICATE, 1205, 1213})
# The connection is gone: server shutting down, session killed, or the network, as server and client
# name it (0 is pymysql's for a connection that it has closed itself).
_LOST = frozenset({0, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2003, 2006, 2013, 2055, 3169, 4031})
# Connecting again will not help: access denied (two ways), unknown database.
_HOPELESS = frozenset({1044, 1045, 1049})

_RECONNECT_SECONDS = 0.2
_LATENCIES_KEPT = 10_000


@dataclass(frozen=True)
class Tally:
    """One worker's figures, as `traffic.Stats` explains them."""

    transactions: int
    changes: int
    rollbacks: int
    unknown: int
    latencies_ms: tuple[float, ...]


class Worker(threading.Thread):
    """A thread that makes `moves` at the pace of `schedule`, while `gate` lets it.

    Ledger rows belong to the users 1 … `users`.
    """

    def __init__(
        self,
        url: str,
        *,
        moves: Moves,
        schedule: Schedule,
        ids: Ids,
        users: int,
        rng: random.Random,
        gate: Gate,
        stopping: threading.Event,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(name="example-traffic", daemon=True)
        self.failure: Exception | None = None
        self._url = url
        self._moves = moves
        self._schedule = schedule
        self._ids = ids
        self._users = users
        self._rng = rng
        self._gate = gate
        self._stopping = stopping
        self._clock = clock
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._transactions = 0
        self._changes = 0
        self._rollbacks = 0
        self._unknown = 0
        self._latencies_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)

    def tally(self) -> Tally:
        """Figures up to now; from any thread."""
        with self._lock:
            return Tally(self._transactions, self._changes, self._rollbacks, self._unknown, tuple(self._latencies_ms))

    def run(self) -> None:
        """Until the gate closes: a transaction, then as long a wait as the schedule says."""
        try:
            while self._gate.enter():
                try:
                    delay = self._turn()
                finally:
                    self._gate.leave()
                if delay > 0:
                    self._stopping.wait(delay)
        except pymysql.err.MySQLError as error:
            self.failure = error
        finally:
            self._disconnect()

    def _turn(self) -> float:
        """One transaction; the seconds to wait after it."""
        try:
            if self._connection is None:
                self._connection = connect(self._url)
        except OperationalError as error:
            if error.args[0] in _HOPELESS:
                raise
            return _RECONNECT_SECONDS
        self._schedule.spend(self._transact(self._connection, self._moves.next()))
        return self._schedule.delay()

    def _transact(self, connection: Connection, transaction: Transaction) -> int:
        """Run one transaction to its end, whatever that is; the number of changes committed."""
        try:
            changes = sum(self._apply(connection, step) for step in transaction.steps)
            if transaction.rollback:
                connection.rollback()
                self._count(rollbacks=1)
                return 0
        except (OperationalError, InterfaceError, IntegrityError) as error:
            # Not committed, so MySQL undoes it, with the connection or without.
            self._count(rollbacks=1)
            self._recover(connection, error)
            return 0
        return self._commit(connection, changes)

    def _commit(self, connection: Connection, changes: int) -> int:
        began = self._clock()
        try:
            connection.commit()
        except (OperationalError, InterfaceError) as error:
            # If the connection is gone, the commit may have taken place or not. The ledger needs no
            # answer: it reads its truth from MySQL before each step.
            lost = error.args[0] in _LOST
            self._count(unknown=int(lost), rollbacks=int(not lost))
            self._recover(connection, error)
            return 0
        with self._lock:
            self._transactions += 1
            self._changes += changes
            self._latencies_ms.append((self._clock() - began) * 1000)
        return changes

    def _apply(self, connection: Connection, step: Statement | LedgerTouch) -> int:
        with connection.cursor() as cursor:
            if isinstance(step, Statement):
                return cursor.execute(step.text, step.values)
            cursor.execute(READ_PAIR, (step.id, step.other))
            truth = {row[0]: Entry(row[0], row[1], bool(row[2]), row[3]) for row in cursor.fetchall()}
            made = next_step(self._rng, truth[step.id], truth[step.other], self._users)
            changed = 0
            for statement in made.statements:
                rows = cursor.execute(statement.text, statement.values)
                changed += 0 if statement.bookkeeping else rows
            return changed

    def _recover(self, connection: Connection, error: pymysql.err.MySQLError) -> None:
        """Make ready for the next transaction, or raise `error` if it is none that traffic expects."""
        code = error.args[0]
        if code in _LOST:
            self._disconnect()
        elif code in _CONFLICT:
            connection.rollback()
            if code == _DUPLICATE:
                self._ids.raise_to(highest_ids(connection))
        else:
            raise error

    def _count(self, *, rollbacks: int = 0, unknown: int = 0) -> None:
        with self._lock:
            self._rollbacks += rollbacks
            self._unknown += unknown

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            connection.close()


def highest_ids(connection: Connection) -> dict[str, int]:
    """The highest id of each table that has an `id`, 0 if it is empty; for the others their rows' number."""
    highest = {}
    with connection.cursor() as cursor:
        for table in TABLES.values():
            expression = "COALESCE(MAX(`id`), 0)" if table.key == ("id",) else "COUNT(*)"
            cursor.execute(f"SELECT {expression} FROM `{table.name}`")  # noqa: S608 - names from this package
            row = cursor.fetchone()
            highest[table.name] = int(row[0]) if row else 0
    connection.rollback()
    return highest
