"""One table of the example, filled and followed: what benchmarks of audits begin with."""

import itertools
import sys
import time

from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.sumstail import SumsTail
from streams.watch import lanes_of, wait
from tailrace.example import generate
from tailrace.example.database import connect, run_script
from tailrace.example.statement import insert_text

PATIENCE = 7200.0
A_TRANSACTION = 1000


def fill(url: str, table: str, rows: int) -> None:
    """The rows of one table, as the example makes them."""
    counts = {**generate.plan(10_000), table: rows}
    spec = generate.TABLES[table]
    connection = connect(url)
    try:
        run_script(connection, "schema.sql")
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION foreign_key_checks = 0")
            source = generate.rows(table, counts, 1)
            while batch := list(itertools.islice(source, A_TRANSACTION)):
                cursor.executemany(insert_text(table, spec.columns), batch)
                connection.commit()
    finally:
        connection.close()


def ready(topology: Topology, endpoints: dict[str, str], table: str) -> dict[str, float]:
    """Wait until the stores have all and capture has counted it; how long either took, in seconds."""
    kafka, began = KafkaUrl.parse(endpoints["kafka"]), time.monotonic()
    mysql = MysqlUrl.parse(endpoints["mysql"])
    waited = wait(mysql, kafka, lanes_of(topology, "future"), version="future", timeout=PATIENCE)
    filled = time.monotonic()
    marks, sums = Marks(kafka, "future"), SumsTail(kafka, "future")
    try:
        while waited.done and time.monotonic() - began < PATIENCE:
            mark = marks.between(time.monotonic() + 60)
            if mark is not None and sums.at(mark.sums, table) is not None:
                return {"fill_s": round(filled - began, 1), "count_s": round(time.monotonic() - filled, 1)}
            time.sleep(0.2)
    finally:
        marks.close()
        sums.close()
    sys.exit(f"not ready within {PATIENCE:.0f} s: {waited}")
