"""A version's processes, started together and started again when they die."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from changes.topology import Topology
from streams.watch import lanes_of
from tailrace.endpoints import environment

log = logging.getLogger(__name__)

STOP_SECONDS = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
REFUSED = 78
ROLES = ("capture", "enrich", "deliver")
AUDIT = "audit"
EVERY_ROLE = (*ROLES, AUDIT)


@dataclass
class Worker:
    """One process; ``pause`` is how long to wait before it is started again, in seconds."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE
    deaths: int = 0


class Pipeline:
    """The workers of some versions. `start` returns at once; `stop` when all are gone."""

    def __init__(
        self,
        topology: Topology,
        endpoints: Mapping[str, Mapping[str, str]],
        *,
        topics: Path,
        roles: Sequence[str] = ROLES,
        sinks: Sequence[str] = (),
        log_file: Path | None = None,
    ) -> None:
        """``endpoints`` by version; ``log_file`` takes the workers' log lines instead of standard error.

        Delivery is a process for each sink: a store whose lane is busy costs the others nothing.
        """
        self._log = None if log_file is None else log_file.open("ab")
        self.workers = [
            Worker(
                f"{version}.{'.'.join(arguments)}",
                [arguments[0], version, *arguments[1:]],
                environment(topology, version, urls) | {"TAILRACE_TOPICS": str(topics.absolute())},
            )
            for version, urls in endpoints.items()
            for role in roles
            for arguments in _processes_of(topology, version, role, sinks)
        ]
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="pipeline", daemon=True)

    def start(self) -> None:
        for worker in self.workers:
            self._launch(worker)
        self._watcher.start()

    def pids(self) -> dict[str, int]:
        return {
            worker.name: worker.process.pid
            for worker in self.workers
            if worker.process is not None and worker.process.poll() is None
        }

    def _launch(self, worker: Worker) -> None:
        worker.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace.worker", *worker.arguments],
            stdin=subprocess.PIPE,
            stderr=self._log,
            stdout=subprocess.DEVNULL,
            env=worker.environment,
            start_new_session=True,
        )
        worker.started = time.monotonic()

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for worker in self.workers:
                self._tend(worker)

    def _tend(self, worker: Worker) -> None:
        now = time.monotonic()
        process = worker.process
        if process is None:
            if now >= worker.due:
                self._launch(worker)
            return
        if process.poll() is None:
            if now - worker.started > LONGEST_PAUSE:
                worker.pause = FIRST_PAUSE
            return
        worker.deaths += 1
        log.warning("%s %s; it is started again in %.1f s", worker.name, manner(process.returncode), worker.pause)
        _close(process)
        worker.process, worker.due = None, now + worker.pause
        worker.pause = LONGEST_PAUSE if process.returncode == REFUSED else min(worker.pause * 2, LONGEST_PAUSE)

    def stop(self) -> None:
        """Ask all to end, and end those that do not within `STOP_SECONDS`."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        running = [worker.process for worker in self.workers if worker.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process %d did not end in time and was killed", process.pid)
                process.kill()
                process.wait()
            _close(process)
        if self._log is not None:
            self._log.close()


def _processes_of(topology: Topology, version: str, role: str, sinks: Sequence[str]) -> list[list[str]]:
    """The arguments of each process that a role needs."""
    if role in {"capture", AUDIT}:
        return [[role]]
    if role == "enrich":
        return [[role]] if any(table.enrich for table in topology.declared.tables) else []
    return [[role, sink] for sink in dict.fromkeys(lane.sink for lane in lanes_of(topology, version, sinks))]


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def manner(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
