"""One store beside another, with everything that happens to a store: what the fault matrix is made of."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from capturing import until
from line import Line, prepared
from proxy import Proxy

from audit.deep import Terms, check
from sinks.registry import SPECS
from tailrace.declared import read_topology
from tailrace.example.traffic import Traffic
from tailrace.pipeline import Pipeline
from tailrace.stack import Stack
from tailrace.stack.beside import elsewhere
from tailrace.stack.server import Server

ROWS, RATE = 300, 100.0
LITTLE_ROOM = 96 << 20
"""Bytes that a store has left on a small disk."""
NOTICED = 240.0
"""Seconds for a lane to see that its store holds less than it did: that it is there again, most of them."""
LOG = "line.log"
BESIDE = "redis"
"""The store that nothing happens to; PostgreSQL where Redis is what it happens to."""

PLACES = {
    "postgres": "{sink: postgres, tier: quick}",
    "ai_identity": "{sink: ai_identity, tier: quick}",
    "dao": "{sink: dao, tier: quick}",
    "credit": "{sink: credit, tier: quick}",
    "sqlite": "{sink: sqlite, tier: quick}",
    "redis": '{sink: redis, tier: quick, place: "resume:{id}"}',
    "mongodb": "{sink: mongodb, tier: quick}",
    "elasticsearch": "{sink: elasticsearch, tier: quick}",
    "neo4j": "{sink: neo4j, tier: quick, place: Resume, edges: [{type: HAS_RESUME, from: AIUser, from_key: user_id}]}",
    "weaviate": "{sink: weaviate, tier: quick, place: Resume}",
}
TOPICS = """\
versions:
  future: {{database: jobfirst_future, env: FUTURE_}}
tiers:
  quick: {{flush: 20ms, rows: 500, fresh: 1s}}
tables:
  - table: resumes
    key: [id]
    user: user_id
    sinks:
      - {store}
      - {beside}
"""


@dataclass(frozen=True)
class Mended:
    """What was left of a fault. ``seconds``: from its end until the store had everything that was committed by then."""

    seconds: float
    verdict: str
    lost: int
    doubled: int
    stale: int


class Patient:
    """A running line into one store, and the ways to harm that store. ``proxies`` stand before its ports."""

    def __init__(
        self, name: str, running: Line, servers: Stack, proxies: list[Proxy], folder: Path, leaving: ExitStack
    ) -> None:
        self.name, self.running, self.proxies = name, running, proxies
        self._servers, self._folder, self._leaving = servers, folder, leaving

    @property
    def server(self) -> Server:
        return self._servers._server(f"future.{SPECS[self.name].endpoint}")

    @contextmanager
    def going_back(self) -> Iterator[None]:
        """Behind the block the line knows what was done in it: that the store holds less than it did.

        Until then everything counts as delivered, and an audit rightly finds what is missing."""
        before = self._noticed()
        yield
        until(lambda: self._noticed() != before, "a lane notices that its store went back", NOTICED)

    def _noticed(self) -> int:
        return (self._folder / LOG).read_text(encoding="utf-8").count("the store went back")

    def stop(self) -> None:
        self._servers.stop_server(self.server.name)

    def start(self) -> None:
        self._servers.start_server(self.server.name)

    def kill(self) -> None:
        """SIGKILL, while it is written to."""
        os.kill(self._servers.pids()[self.server.name], signal.SIGKILL)
        self._servers.restart(self.server.name)

    def empty(self) -> None:
        """It begins anew with nothing."""
        if self.name == "sqlite":
            _emptied(Path(self.running.endpoints["sqlite"]))
            return
        self.stop()
        shutil.rmtree(self.server.data)
        self.server.create()
        self.start()

    def keep(self) -> Path:
        """A copy of what it holds now."""
        kept = self._folder / f"{self.name}.kept"
        shutil.rmtree(kept, ignore_errors=True)
        if self.name == "sqlite":
            shutil.copytree(self.running.endpoints["sqlite"], kept)
            return kept
        self.stop()
        shutil.copytree(self.server.data, kept, symlinks=True)
        self.start()
        return kept

    def restore(self, kept: Path) -> None:
        """It holds again what it held then."""
        if self.name == "sqlite":
            folder = Path(self.running.endpoints["sqlite"])
            _emptied(folder)
            shutil.copytree(kept, folder, dirs_exist_ok=True)
            return
        self.stop()
        for path in self.server.data.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _copied(kept, self.server.data)
        self.start()

    def cramp(self) -> Path:
        """Give it a file system of its own that has little room, with all that it holds; where that is."""
        data = self.server.data
        if not data.is_mount():
            self.stop()
            kept, owner = self._folder / f"{self.name}.moved", data.stat()
            shutil.move(data, kept)
            data.mkdir()
            used = sum(path.lstat().st_size for path in kept.rglob("*"))
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + LITTLE_ROOM}", "tmpfs", str(data)], check=True)
            self._leaving.callback(subprocess.run, ["umount", "-l", str(data)], check=True)
            os.chown(data, owner.st_uid, owner.st_gid)
            data.chmod(owner.st_mode & 0o777)
            _copied(kept, data)
            self.start()
        return data

    def revive(self) -> None:
        """Start it again if it died, or as its operator must: Weaviate stays read-only, and the stand-in of MongoDB
        closes its files for good where a mongod ends."""
        pid = self._servers.pids().get(self.server.name)
        if self.name in {"mongodb", "weaviate"} and pid is not None:
            self.kill()
        elif pid is None or not Path(f"/proc/{pid}/cmdline").read_bytes():
            self._servers.restart(self.server.name)

    def mended(self, since: float) -> Mended:
        """Waits until the store has everything, and looks at every row of it."""
        self.running.settle(timeout=240.0)
        seconds = round(time.monotonic() - since, 1)
        terms = Terms(timeout=120.0)
        done = asyncio.run(
            check(
                self.running.topology, "future", self.running.endpoints, sinks=[self.name], derived=False, terms=terms
            )
        )
        found = [one.class_ for result in done.report.results for one in result.differences]
        lost, doubled = found.count("missing"), found.count("extra") + found.count("resurrected")
        return Mended(seconds, done.report.verdict, lost, doubled, len(found) - lost - doubled)


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _copied(kept: Path, data: Path) -> None:
    """``kept`` to ``data``, for whom that belongs to."""
    owner = data.stat()
    shutil.copytree(kept, data, symlinks=True, dirs_exist_ok=True)
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextmanager
def patient(name: str, folder: Path) -> Iterator[Patient]:
    """Servers of its own, rows in them, and changes going on."""
    beside = BESIDE if name != BESIDE else "postgres"
    kinds = {"mysql", "kafka", "sqlite", SPECS[name].endpoint, SPECS[beside].endpoint}
    servers = Stack(
        folder / "stack",
        profile="full",
        environ={"HOME": str(Path.home()), **_cache(), **elsewhere(kinds)},
        report=print,
    )
    with ExitStack() as leaving:
        leaving.callback(servers.down)
        servers.up()
        whole = servers.endpoints()["future"]
        endpoints = {kind: url for kind, url in whole.items() if kind in kinds}
        proxies: list[Proxy] = []
        if name != "sqlite":
            kind = SPECS[name].endpoint
            endpoints[kind] = re.sub(
                r"(?<=:|=)\d{4,5}\b", lambda port: _behind(port[0], proxies, leaving), endpoints[kind]
            )
        topics = folder / "topics.yaml"
        topics.write_text(TOPICS.format(store=PLACES[name], beside=PLACES[beside]))
        topology = read_topology(topics)
        prepared(endpoints, ROWS)
        pipeline = Pipeline(
            topology, {"future": endpoints}, topics=topics, roles=("capture", "deliver"), log_file=folder / LOG
        )
        pipeline.start()
        leaving.callback(pipeline.stop)
        running = Line(topology, endpoints, pipeline)
        running.settle()
        traffic = Traffic(endpoints["mysql"], rate=RATE, seed=5)
        traffic.start()
        leaving.callback(traffic.stop)
        yield Patient(name, running, servers, proxies, folder, leaving)


def _cache() -> dict[str, str]:
    return {name: os.environ[name] for name in ("TAILRACE_CACHE", "PATH") if name in os.environ}


def _behind(port: str, proxies: list[Proxy], leaving: ExitStack) -> str:
    """A proxy before the port; its own port."""
    proxies.append(leaving.enter_context(Proxy(int(port))))
    return str(proxies[-1].port)


def stopped(one: Patient, seconds: float) -> float:
    one.stop()
    time.sleep(seconds)
    one.start()
    return time.monotonic()


def killed(one: Patient, seconds: float) -> float:
    for _ in range(3):
        time.sleep(seconds / 10)
        one.kill()
    return time.monotonic()


def slow(one: Patient, seconds: float) -> float:
    for proxy in one.proxies:
        proxy.slow_down(100_000)
    time.sleep(seconds)
    for proxy in one.proxies:
        proxy.slow_down(0)
    return time.monotonic()


def silent(one: Patient, seconds: float) -> float:
    """The connections that are open answer no more, and nobody closes them."""
    assert sum(proxy.fall_silent() for proxy in one.proxies)
    time.sleep(seconds)
    return time.monotonic()


def emptied(one: Patient, seconds: float) -> float:
    time.sleep(seconds / 10)
    with one.going_back():
        one.empty()
        return time.monotonic()


def restored(one: Patient, seconds: float) -> float:
    kept = one.keep()
    one.running.settle(timeout=240.0)
    time.sleep(seconds)
    with one.going_back():
        one.restore(kept)
        return time.monotonic()


def full(one: Patient, seconds: float) -> float:
    """Nothing can be written where it keeps its data."""
    ballast = one.cramp() / "ballast"
    one.running.settle(timeout=240.0)
    end = time.monotonic() + seconds
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < end:
            with suppress(OSError):  # there is no room, which is what it is for
                while True:
                    file.write(bytes(4096))
            time.sleep(0.1)
    ballast.unlink()
    one.revive()
    return time.monotonic()


FAULTS: dict[str, Callable[[Patient, float], float]] = {
    "stopped": stopped,
    "killed": killed,
    "slow": slow,
    "silent": silent,
    "emptied": emptied,
    "restored": restored,
    "full": full,
}
"""What is done for so many seconds; each returns when it was over, by the clock that does not go back."""

SERVERS_ONLY = {"stopped", "killed", "slow", "silent", "full"}
"""What cannot happen to SQLite's files, which no server keeps; a full disk under them has a test of its own."""
