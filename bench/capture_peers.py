"""The readers that the capture benchmark compares, each as one process that is measured from outside."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.capture_load import Load
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl

HERE = Path(__file__).parent
DEADLINE_SECONDS = 900.0


@dataclass(frozen=True)
class Run:
    """One reading. ``seconds`` from the first batch that was acknowledged to the last, the first one's rows left out;
    processor time and memory are those of the process's whole life."""

    reader: str
    shape: str
    rows: int
    seconds: float
    rows_per_s: int
    cpu_s: float
    cpu_s_per_100k: float
    peak_mb: int
    whole_s: float


def measured(words: list[str], environ: dict[str, str] | None = None) -> tuple[str, float, int, float]:
    """Run a program to its end: its last line, processor seconds, greatest memory in MB, seconds.

    Raises `RuntimeError` with its last words where it fails.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(words, stdout=out, stderr=err, env=os.environ | (environ or {}))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        for stream in (out, err):
            stream.seek(0)
        lines = out.read().strip().splitlines()
        if process.returncode or not lines:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}: {err.read()[-2000:]}")
    return lines[-1], usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, seconds


def _run(reader: str, load: Load, rows: int, seconds: float, words: tuple[str, float, int, float]) -> Run:
    _, cpu, peak, whole = words
    return Run(
        reader,
        load.shape,
        rows,
        round(seconds, 3),
        round(rows / seconds) if seconds else 0,
        round(cpu, 2),
        round(cpu * 100_000 / load.rows, 3),
        peak,
        round(whole, 1),
    )


def tailrace(engine: str, load: Load, version: str, mysql: MysqlUrl, kafka: KafkaUrl) -> Run:
    """This project's capture, read by ``native`` or ``python``."""
    task = {"load": asdict(load), "version": version, "mysql": asdict(mysql), "kafka": asdict(kafka)}
    found = measured([sys.executable, "-m", "bench.capture_worker", json.dumps(task)], {"TAILRACE_ENGINE": engine})
    told = json.loads(found[0])
    return _run(f"tailrace ({engine})", load, told["rows"], told["seconds"], found)


def mysql_replication(python: Path, load: Load, mysql: MysqlUrl, rows: int) -> Run:
    """The library, decoding only: no topic, no envelope. At most ``rows`` rows, for it is slow."""
    task = {"load": asdict(load), "mysql": asdict(mysql), "rows": min(rows, load.rows)}
    found = measured([str(python), str(HERE / "capture_plain.py"), json.dumps(task)])
    told = json.loads(found[0])
    run = _run("mysql-replication (decoding only)", load, told["rows"], told["seconds"], found)
    return Run(**asdict(run) | {"cpu_s_per_100k": round(found[1] * 100_000 / told["rows"], 3)})


class Debezium:
    """The embedded engine with its own JSON converter and a plain idempotent producer, `debezium/Peer.java`.

    ``path`` is where Java finds its classes.
    """

    def __init__(self, cache: Path, report: Callable[[str], None]) -> None:
        self._folder = cache / "bench-debezium"
        self._classes = self._folder / "classes"
        if not (self._classes / "Peer.class").exists():
            report("fetching Debezium with Maven…")
            jars = self._folder / "jars"
            shutil.rmtree(self._folder, ignore_errors=True)
            words = ["mvn", "-B", "-q", "-f", str(HERE / "debezium" / "pom.xml")]
            words += [f"-Dmaven.repo.local={cache / 'maven'}", "dependency:copy-dependencies"]
            subprocess.run([*words, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"], check=True)
            self._classes.mkdir(parents=True)
            shutil.copy(HERE / "debezium" / "log4j2.properties", self._classes)
            source = str(HERE / "debezium" / "Peer.java")
            subprocess.run(["javac", "-cp", f"{jars}/*", "-d", str(self._classes), source], check=True)
        self.path = f"{self._classes}:{self._folder / 'jars'}/*"

    def run(self, load: Load, topic: str, mysql: MysqlUrl, kafka: KafkaUrl) -> Run:
        settings = {
            "host": mysql.host,
            "port": mysql.port,
            "user": mysql.user,
            "password": mysql.password,
            "db": load.database,
            "table": load.table,
            "file": load.file,
            "gtids": load.executed,
            "rows": load.rows,
            "boot": kafka.servers,
            "topic": topic,
            "timeout": int(DEADLINE_SECONDS),
        }
        if kafka.user is not None:
            settings |= {"kafkauser": kafka.user, "kafkapassword": kafka.password, "mechanism": kafka.mechanism}
        words = ["java", "-Xms512m", "-Xmx1g", "-cp", self.path, "Peer"]
        found = measured([*words, *(f"{name}={value}" for name, value in settings.items())])
        told = json.loads(found[0])
        return _run("debezium", load, told["rows"], told["seconds"], found)
