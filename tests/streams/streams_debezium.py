"""The real Debezium, reading a server's binlog beside our readers."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.capture_peers import Debezium
from streams.mysql import MysqlUrl
from tailrace.stack.places import cache_folder

DEBEZIUM = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("java", "javac", "mvn")),
    reason="Debezium is fetched by Maven and run by a JDK",
)
OPTIONS = {
    "topic.prefix": "future",
    "decimal.handling.mode": "string",
    "time.precision.mode": "isostring",
    "binary.handling.mode": "base64",
}
"""Those whose forms the envelope has; see docs/envelope.md."""
DEADLINE_SECONDS = 240
_SOURCE = Path(__file__).resolve().parents[2] / "bench" / "debezium" / "Tell.java"

Line = tuple[str, str, str]
"""Topic, key, value; the value is empty in a tombstone."""


class Peer:
    """One that is running; ``lines`` grows."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.lines: list[Line] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            topic, key, value = line.rstrip("\n").split("\t")
            self.lines.append((topic, key, value))

    def follows(self, step: Callable[[], None]) -> None:
        """Take ``step``, which changes a row, until a record tells of it: what comes now is streamed."""
        while not self.lines:
            assert self._process.poll() is None, "Debezium ended"
            step()
            time.sleep(0.3)

    def ended(self) -> int:
        """Waits for the end; how the process ended."""
        self._thread.join()
        return self._process.wait()


@contextmanager
def debezium(root: MysqlUrl, database: str, end: str, folder: Path) -> Iterator[Peer]:
    """Debezium on one database from now on, until a record holds ``end``; what it compiles is in ``folder``."""
    path = Debezium(cache_folder(os.environ), print).path
    subprocess.run(["javac", "-cp", path, "-d", str(folder), str(_SOURCE)], check=True)
    settings = {
        **OPTIONS,
        "database.hostname": root.host,
        "database.port": root.port,
        "database.user": root.user,
        "database.password": root.password,
        "database.include.list": database,
        "end": end,
        "seconds": DEADLINE_SECONDS,
    }
    words = ["java", "-Xmx512m", "-cp", f"{folder}:{path}", "Tell"]
    words += [f"{name}={value}" for name, value in settings.items()]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield Peer(process)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
