"""Live traffic on the example schema, at a held rate, from worker threads with a connection each."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tailrace.example.database import Connection, connect, run_script
from tailrace.example.ledger import LEDGER_ROWS, READ_ALL, SEED, Entry
from tailrace.example.moves import Ids, Moves
from tailrace.example.pacing import Gate, Schedule
from tailrace.example.worker import Worker, highest_ids


@dataclass(frozen=True)
class Stats:
    """What traffic has done so far.

    `changes` are the row events of committed transactions (statements that found or changed nothing
    make none), without those of `tr_ledger_truth`. `rollbacks` count transactions that were undone:
    on purpose, by a conflict, or with their connection. `unknown` are commits that were cut off, of
    which only MySQL knows the outcome; they are in no other figure. `rate` is in changes a second over
    the time not paused. Latencies are of COMMIT, over the last commits, in milliseconds; None before
    the first.
    """

    transactions: int
    changes: int
    rollbacks: int
    unknown: int
    seconds: float
    rate: float
    commit_p50_ms: float | None
    commit_p99_ms: float | None


class Traffic:
    """A writer that can be started, paused, resumed and stopped, once.

    `rate` is in changes a second over all workers. With the same `seed`, one worker and the same data
    it makes the same transactions. With `ledger` it creates and keeps the ledger's tables too.
    Workers reconnect by themselves when MySQL goes away. Anything else that goes wrong ends a worker
    and is raised by the next `pause`, `stats` or `stop`. Not for use by several threads.
    """

    def __init__(
        self,
        url: str,
        *,
        rate: float,
        seed: int,
        share_embedded: float = 0.02,
        ledger: bool = False,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[str], random.Random] = random.Random,
    ) -> None:
        if rate <= 0:
            raise ValueError(f"`rate` must be above 0, not {rate}")
        if not 0 <= share_embedded <= 1:
            raise ValueError(f"`share_embedded` must be 0 to 1, not {share_embedded}")
        if not 1 <= workers <= LEDGER_ROWS // 2:
            raise ValueError(f"`workers` must be 1 to {LEDGER_ROWS // 2}, not {workers}")
        self._url = url
        self._rate = rate
        self._seed = seed
        self._share_embedded = share_embedded
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._gate = Gate()
        self._stopping = threading.Event()
        self._workers: list[Worker] = []
        self._schedules: list[Schedule] = []
        self._worker_count = workers
        self._ran = 0.0
        self._running_since: float | None = None

    def start(self) -> None:
        """Look at what MySQL holds, and begin. Raises `ValueError` if the example is not loaded there."""
        connection = connect(self._url)
        try:
            if self._ledger:
                run_script(connection, "ledger.sql")
                with connection.cursor() as cursor:
                    cursor.executemany(SEED, [(n, 0, 0, 0) for n in range(1, LEDGER_ROWS + 1)])
                connection.commit()
            loaded = highest_ids(connection)
        finally:
            connection.close()
        if not all(loaded[table] for table in ("users", "companies", "jobs", "resumes", "dao_proposals")):
            raise ValueError("traffic needs the example's rows: load it first")
        ids = Ids(loaded)
        for n in range(self._worker_count):
            rng = self._rng(f"{self._seed}:traffic:{n}")
            moves = Moves(
                rng,
                ids,
                loaded,
                share_embedded=self._share_embedded,
                ledger=self._ledger,
                worker=n,
                workers=self._worker_count,
            )
            schedule = Schedule(self._rate / self._worker_count, self._clock)
            self._schedules.append(schedule)
            self._workers.append(
                Worker(
                    self._url,
                    moves=moves,
                    schedule=schedule,
                    ids=ids,
                    users=loaded["users"],
                    rng=rng,
                    gate=self._gate,
                    stopping=self._stopping,
                    clock=self._clock,
                )
            )
        self._running_since = self._clock()
        for worker in self._workers:
            worker.start()

    def pause(self) -> None:
        """Begin no transaction any more; returns when those in flight have ended."""
        self._gate.shut()
        self._stop_watch()
        self._raise_failure()

    def resume(self) -> None:
        """Go on after `pause`."""
        if self._running_since is None:
            self._running_since = self._clock()
            for schedule in self._schedules:
                schedule.restart()
        self._gate.open()

    def stop(self) -> None:
        """End the workers after their transactions in flight, and close their connections."""
        self._stopping.set()
        self._gate.close()
        for worker in self._workers:
            worker.join()
        self._stop_watch()
        self._raise_failure()

    def stats(self) -> Stats:
        """Figures up to now."""
        self._raise_failure()
        seconds = self._ran
        if self._running_since is not None:
            seconds += self._clock() - self._running_since
        tallies = [worker.tally() for worker in self._workers]
        latencies = sorted(latency for tally in tallies for latency in tally.latencies_ms)
        changes = sum(tally.changes for tally in tallies)
        return Stats(
            transactions=sum(tally.transactions for tally in tallies),
            changes=changes,
            rollbacks=sum(tally.rollbacks for tally in tallies),
            unknown=sum(tally.unknown for tally in tallies),
            seconds=seconds,
            rate=changes / seconds if seconds > 0 else 0.0,
            commit_p50_ms=_percentile(latencies, 0.50),
            commit_p99_ms=_percentile(latencies, 0.99),
        )

    def _stop_watch(self) -> None:
        if self._running_since is not None:
            self._ran += self._clock() - self._running_since
            self._running_since = None

    def _raise_failure(self) -> None:
        for worker in self._workers:
            if worker.failure is not None:
                raise worker.failure


def read_truth(connection: Connection) -> Iterator[Entry]:
    """The truth of every ledger id that was ever touched, by id, as of one read view."""
    with connection.cursor() as cursor:
        cursor.execute(READ_ALL)
        for row_id, n, alive, changes in cursor.fetchall():
            yield Entry(row_id, n, bool(alive), changes)
    connection.rollback()


def _percentile(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
