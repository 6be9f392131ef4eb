"""One reading of one shape by this project's capture, in a process of its own: ``python -m bench.capture_worker TASK``.

Prints ``{"rows", "seconds"}``: from the first transaction of Kafka that held rows to the one that held the last.
"""

import json
import logging
import sys
import threading
import time

import msgspec
from confluent_kafka import Consumer, TopicPartition

from bench.capture_load import Load
from changes.progress import Positions, internal_topic
from changes.topology import Topology, load
from streams.capture.capture import Capture
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl

POLL_SECONDS = 0.2


def topology(version: str, database: str, table: str) -> Topology:
    return load(
        f"versions:\n  {version}: {{database: {database}, env: BENCH_}}\n"
        f"tables:\n  - table: {table}\n    key: [id]\n    partitions: 8\n"
        f"    sinks: [{{sink: redis, tier: realtime, place: 'x:{{id}}'}}]\n",
        "bench",
        {"redis": lambda target: None},
    )


def watch(kafka: KafkaUrl, version: str, rows: int, stop: threading.Event, told: list[Positions]) -> None:
    """Follow the positions until ``rows`` are told, then stop capture."""
    consumer = Consumer(kafka.config(group_id=f"{version}.tailrace.bench", isolation_level="read_committed"))
    consumer.assign([TopicPartition(internal_topic(version, "positions"), 0, 0)])
    while not stop.is_set():
        for message in consumer.consume(1000, POLL_SECONDS):
            value = message.value()
            if message.error() is None and value is not None:
                record = msgspec.json.decode(value, type=Positions)
                if record.rows and (not told or record.rows > told[-1].rows):
                    told.append(record)
        if told and told[-1].rows >= rows:
            stop.set()
    consumer.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    task = json.loads(sys.argv[1])
    shape, version = Load(**task["load"]), task["version"]
    mysql, kafka = MysqlUrl(**task["mysql"]), KafkaUrl(**task["kafka"])
    stop, told = threading.Event(), list[Positions]()
    watcher = threading.Thread(target=watch, args=(kafka, version, shape.rows, stop, told), daemon=True)
    watcher.start()
    began = time.monotonic()
    Capture(topology(version, shape.database, shape.table), version, mysql, kafka, stop).run()
    watcher.join()
    first, last = told[0], told[-1]
    rows, seconds = last.rows - first.rows, (last.at_ms - first.at_ms) / 1000
    print(json.dumps({"rows": rows, "seconds": seconds, "whole": time.monotonic() - began}))


if __name__ == "__main__":
    main()
