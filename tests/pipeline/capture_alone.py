"""Capture in a process whose memory can be looked at: ``python capture_alone.py VERSION DATABASE MYSQL KAFKA``."""

import signal
import sys
import threading
import time
from typing import Any

from confluent_kafka import KafkaException

from changes.errors import Transient
from changes.topology import Topology, load
from streams.capture.capture import Capture
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl


def topology(version: str, database: str) -> Topology:
    """One table, `t`, whose key is `id`."""
    return load(
        f"versions:\n  {version}: {{database: {database}, env: LARGE_}}\n"
        "tables:\n  - table: t\n    key: [id]\n    partitions: 1\n"
        "    sinks: [{sink: redis, tier: realtime, place: 'x:{id}'}]\n",
        "topics.yaml",
        {"redis": lambda target: None},
    )


def main() -> None:
    version, database, mysql, kafka = sys.argv[1:]
    stop = threading.Event()

    def ended(*_: Any) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ended)
    while not stop.is_set():
        try:
            Capture(topology(version, database), version, MysqlUrl.parse(mysql), KafkaUrl.parse(kafka), stop).run()
        except (Transient, KafkaException) as error:  # whoever supervises it starts it again
            print(error, file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    main()
