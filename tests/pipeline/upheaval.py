"""What befalls a server while capture reads it: large transactions, new binlogs, DDL, and tables told anew."""

import threading
from collections import Counter
from contextlib import closing
from random import Random

import pymysql
from sources import VERSION, Source

from streams.capture.requests import send
from streams.kafka import KafkaUrl
from streams.mysql import connect

BULK = "tr_bulk"
PAUSE_SECONDS = (0.5, 4.0)
_RETRY = {1205, 1213}
"""Lock wait timeout, deadlock: nothing happened."""


def make_bulk(source: Source, rows: int) -> None:
    """The table that large transactions write, each row of it at ``n`` = 1."""
    with closing(connect(source.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {BULK} (id INT PRIMARY KEY, n INT NOT NULL, filler VARCHAR(100) NOT NULL)")
        for first in range(1, rows + 1, 1000):
            numbers = [(number, 1, f"row {number} " * 5) for number in range(first, min(first + 1000, rows + 1))]
            cursor.executemany(f"INSERT INTO {BULK} VALUES (%s, %s, %s)", numbers)


class Upheaval(threading.Thread):
    """One thing after the other, chosen at random, until `end`. ``done`` counts them."""

    def __init__(self, source: Source, kafka: KafkaUrl, seed: int) -> None:
        super().__init__(name="upheaval", daemon=True)
        self.done: Counter[str] = Counter()
        self._source, self._kafka = source, kafka
        self._rng = Random(seed)
        self._ended = threading.Event()
        self._altered = {"tr_ledger": 0, BULK: 0}
        self._failure: Exception | None = None

    def end(self) -> None:
        """Return once the last thing is done. Raises what went wrong."""
        self._ended.set()
        self.join()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        things = {"bulk": self._bulk, "rotate": self._rotate, "alter": self._alter, "read again": self._read_again}
        try:
            while not self._ended.wait(self._rng.uniform(*PAUSE_SECONDS)):
                name = self._rng.choice(sorted(things))
                things[name]()
                self.done[name] += 1
        except Exception as error:  # noqa: BLE001 - not swallowed: `end` raises it
            self._failure = error

    def _bulk(self) -> None:
        while True:
            try:
                self._source.run(f"UPDATE {BULK} SET n = n + 1")
                return
            except pymysql.err.OperationalError as error:
                if error.args[0] not in _RETRY:
                    raise

    def _rotate(self) -> None:
        self._source.run("FLUSH BINARY LOGS")

    def _alter(self) -> None:
        """A column more, or the last one that was added less."""
        table = self._rng.choice(sorted(self._altered))
        count = self._altered[table]
        if count and self._rng.random() < 0.5:
            self._source.run(f"ALTER TABLE {table} DROP COLUMN more{count}")
            self._altered[table] = count - 1
        else:
            self._source.run(f"ALTER TABLE {table} ADD COLUMN more{count + 1} VARCHAR(20) DEFAULT 'é {count}'")
            self._altered[table] = count + 1

    def _read_again(self) -> None:
        send(self._kafka, VERSION, self._rng.choice(sorted(self._altered)), None)
