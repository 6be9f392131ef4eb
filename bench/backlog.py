"""What a delivery process holds in memory while its store is down and changes pile up, and how fast it catches up.

    python -m bench.backlog [--changes 500000] [--sink postgres]

Starts servers of its own, stops one store, has MySQL change rows until so many changes wait in Kafka, starts the store
again and waits until the lane has passed them all. Prints JSON: the delivery process's resident memory in MB before,
while the store was down (the most, and at each tenth of the backlog), and while it caught up; changes per second then.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import GroupOffsets, LaneId, behind, lanes_of, wait
from tailrace.declared import read_topology
from tailrace.example.database import connect, run_script
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack

TOPICS = """
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tables:
  - table: tr_ledger
    key: [id]
    user: user_id
    partitions: 4
    sinks:
      - {{sink: {sink}, tier: realtime{place}}}
"""
PLACES = {"redis": ', place: "ledger:{id}", keep: mirror'}
PATIENCE = 7200.0
ROWS, TENTHS = 10_000, 10
EVERY = 0.2


def resident(pid: int) -> float:
    """The memory of a process, in MB; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


class Sampled:
    """The memory of a pipeline's delivery process, sampled in a thread; `most` since it was last asked."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline, self._most = pipeline, 0.0
        threading.Thread(target=self._sample, daemon=True).start()

    def now(self) -> float:
        found = [pid for name, pid in self._pipeline.pids().items() if ".deliver." in name]
        return resident(found[0]) if found else 0.0

    def most(self) -> float:
        most, self._most = max(self._most, self.now()), 0.0
        return most

    def _sample(self) -> None:
        while True:
            self._most = max(self._most, self.now())
            time.sleep(EVERY)


def change(url: str, changes: int) -> Iterator[int]:
    """So many changes of rows, a tenth at a time: how many were made by now."""
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            made = 0
            for tenth in range(1, TENTHS + 1):
                while made < changes * tenth // TENTHS:
                    count = min(1000, changes * tenth // TENTHS - made)
                    first = made % ROWS + 1
                    cursor.execute(
                        "UPDATE tr_ledger SET n = n + 1, payload = REPEAT('x', 200) WHERE id BETWEEN %s AND %s",
                        (first, first + count - 1),
                    )
                    connection.commit()
                    made += count
                yield made
    finally:
        connection.close()


@contextmanager
def servers() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", versions=("future",), report=lambda _: None)
        stack.up()
        try:
            yield stack
        finally:
            stack.down()


def filled(url: str) -> None:
    connection = connect(url)
    try:
        run_script(connection, "ledger.sql")
        with connection.cursor() as cursor:
            rows = [(number, number % 100 + 1) for number in range(1, ROWS + 1)]
            cursor.executemany("INSERT INTO tr_ledger VALUES (%s, 1, 'a', %s, NOW())", rows)
        connection.commit()
    finally:
        connection.close()


def measured(stack: Stack, sink: str, changes: int) -> dict[str, object]:
    endpoints = stack.endpoints()["future"]
    topics = Path(tempfile.mkdtemp()) / "topics.yaml"
    topics.write_text(TOPICS.format(sink=sink, place=PLACES.get(sink, "")))
    topology, kafka = read_topology(topics), KafkaUrl.parse(endpoints["kafka"])
    filled(endpoints["mysql"])
    log = topics.with_name("pipeline.log")
    pipeline = Pipeline(topology, {"future": endpoints}, topics=topics, roles=("capture", "deliver"), log_file=log)
    pipeline.start()
    try:
        (lane,) = lanes_of(topology, "future")

        def settled(*lanes: LaneId) -> None:
            mysql = MysqlUrl.parse(endpoints["mysql"])
            waited = wait(mysql, kafka, lanes, version="future", timeout=PATIENCE)
            if not waited.done:
                raise SystemExit(f"it did not get there in time: {waited}")

        settled(lane)
        memory = Sampled(pipeline)
        before = memory.now()
        stack.stop_server(f"future.{sink}")
        down = []
        for _ in change(endpoints["mysql"], changes):
            settled()
            down.append(memory.most())
        groups = GroupOffsets(kafka)
        ends = groups.ends_of(lane.topics)
        waiting = behind(lane, ends, groups.of(lane, ends))
        stack.start_server(f"future.{sink}")
        began = time.monotonic()
        settled(lane)
        seconds = time.monotonic() - began
        draining = memory.most()
    finally:
        pipeline.stop()
    return {
        "sink": sink,
        "changes": changes,
        "waiting_at_most": waiting,
        "before_mb": before,
        "down_mb": max(down),
        "down_by_tenth_mb": down,
        "draining_mb": draining,
        "drained_s": round(seconds, 1),
        "drained_per_s": round(changes / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=500_000)
    parser.add_argument("--sink", default="postgres", choices=["postgres", "redis"])
    options = parser.parse_args()
    with servers() as stack:
        print(json.dumps(measured(stack, options.sink, options.changes)))


if __name__ == "__main__":
    main()
