#!/usr/bin/env python3
"""How fast changes come from the binlog into Kafka, beside others that do the same; ``python -m bench.capture``.

One MySQL and one Kafka of our own, three shapes of changes, the same binlog and broker for all, readers in turn. Every
run's figures and the ratios to Debezium by shape go to ``bench/capture.json``.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench.capture_load import Load, fill
from bench.capture_peers import Debezium, Run, mysql_replication, tailrace
from bench.capture_worker import topology
from changes import position
from changes.gtid import MysqlGtids
from changes.progress import SnapshotState
from streams.capture.journal import Journal, start_of
from streams.kafka import KafkaUrl, TopicSpec, ensure_topics
from streams.mysql import MysqlUrl
from streams.topics import topic_specs
from tailrace.stack import Stack
from tailrace.stack.places import cache_folder

LEADERS_SECONDS = 2.0
"""What a broker is given to lead the topics that were just made."""
OUT = Path(__file__).with_suffix(".json")
READERS = ("tailrace-native", "tailrace-python", "debezium", "mysql-replication")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def servers(endpoints: Path | None) -> Iterator[tuple[MysqlUrl, KafkaUrl]]:
    """MySQL's and Kafka's administrators: of a stack made for this, or those named in a file."""
    if endpoints is not None:
        told = json.loads(endpoints.read_text())
        yield MysqlUrl.parse(told["mysql"]), KafkaUrl.parse(told["kafka"])
        return
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", versions=("future",), environ={}, report=say)
        stack.up()
        try:
            admin = stack.admin()["future"]
            yield MysqlUrl.parse(admin["mysql"]), KafkaUrl.parse(admin["kafka"])
        finally:
            stack.down()


def begun(version: str, load: Load, kafka: KafkaUrl) -> None:
    """A version whose capture goes on where the shape begins, its table filled."""
    ensure_topics(kafka, topic_specs(topology(version, load.database, load.table), version))
    time.sleep(LEADERS_SECONDS)
    journal = Journal(kafka, version)
    journal.open()
    journal.save_snapshot(SnapshotState(load.table, "done"))
    executed = MysqlGtids(load.executed)
    start = start_of(str(executed), 0, position.snapshot(0, executed.ordinal), load.file, 4)
    journal.commit(start, ordinal=executed.ordinal, rows=0, source_ms=0, now_ms=0, snapshots={})
    journal.close()


def with_mysql_replication(folder: Path) -> Path:
    """The Python of an environment that has the library."""
    python = folder / "bin" / "python"
    if not python.exists():
        say("installing mysql-replication…")
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "mysql-replication==1.0.17", "cryptography"], check=True)
    return python


def readers(
    names: list[str], mysql: MysqlUrl, kafka: KafkaUrl, slow_rows: int
) -> dict[str, Callable[[Load, str], Run]]:
    """By name, what reads a shape into topics of a name of its own."""
    made: dict[str, Callable[[Load, str], Run]] = {}
    for engine in ("native", "python"):

        def read(load: Load, name: str, engine: str = engine) -> Run:
            begun(name, load, kafka)
            return tailrace(engine, load, name, mysql, kafka)

        made[f"tailrace-{engine}"] = read
    if "debezium" in names:
        peer = Debezium(cache_folder(os.environ), say)

        def debezium(load: Load, name: str) -> Run:
            ensure_topics(kafka, [TopicSpec(f"{name}.peer", 8, {"max.message.bytes": str(8 << 20)})])
            time.sleep(LEADERS_SECONDS)
            return peer.run(load, f"{name}.peer", mysql, kafka)

        made["debezium"] = debezium
    if "mysql-replication" in names:
        python = with_mysql_replication(cache_folder(os.environ) / "bench-mysql-replication")
        made["mysql-replication"] = lambda load, _: mysql_replication(python, load, mysql, slow_rows)
    return {name: made[name] for name in names}


def ratios(runs: list[Run]) -> dict[str, dict[str, dict[str, float]]]:
    """By shape and reader: rows/s, processor time per row and peak memory over Debezium's, of the medians."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for shape in dict.fromkeys(run.shape for run in runs):
        middle = {
            reader: {
                name: median(float(getattr(run, name)) for run in runs if (run.shape, run.reader) == (shape, reader))
                for name in ("rows_per_s", "cpu_s_per_100k", "peak_mb")
            }
            for reader in dict.fromkeys(run.reader for run in runs if run.shape == shape)
        }
        base = middle.get("debezium")
        if base:
            found[shape] = {
                reader: {name: round(value / base[name], 3) for name, value in values.items()}
                for reader, values in middle.items()
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="changes in the bulk and single shapes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slow-rows", type=int, default=40_000, help="rows at which mysql-replication stops")
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--shapes", default="bulk,single,large")
    parser.add_argument("--endpoints", type=Path, help='a file {"mysql", "kafka"} of servers to use')
    parser.add_argument("--loads", type=Path, help="a file to keep what was filled in, and to take it from")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with servers(options.endpoints) as (mysql, kafka):
        if options.loads and options.loads.exists():
            loads = [Load(**told) for told in json.loads(options.loads.read_text())]
        else:
            loads = fill(mysql, options.rows, say)
            if options.loads:
                options.loads.write_text(json.dumps([asdict(load) for load in loads]))
        names = options.readers.split(",")
        made = readers(names, mysql, kafka, options.slow_rows)
        runs: list[Run] = []
        stamp = format(int(time.time()) % 1_000_000, "x")
        for number in range(options.rounds):
            for load in loads:
                if load.shape not in options.shapes.split(","):
                    continue
                for name in names if number % 2 == 0 else reversed(names):
                    run = made[name](load, f"b{stamp}x{number}{load.shape[0]}{names.index(name)}")
                    say(json.dumps(asdict(run)))
                    runs.append(run)
    told = {
        "machine": f"{os.cpu_count()} cores, {platform.platform()}",
        "loads": [asdict(load) | {"executed": ""} for load in loads],
        "runs": [asdict(run) for run in runs],
        "ratio_to_debezium": ratios(runs),
    }
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told["ratio_to_debezium"], indent=1))


if __name__ == "__main__":
    main()
