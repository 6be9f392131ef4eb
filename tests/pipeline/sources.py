"""Database servers that a test starts one by one, to kill them, to replicate between them, or to set them up otherwise;
and a Kafka for what is captured of them."""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.mysql import MysqlUrl, connect
from streams.native import MODULE
from tailrace.stack import Stack
from tailrace.stack.errors import NotReady
from tailrace.stack.host import Host
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL
from tailrace.stack.places import cache_folder
from tailrace.stack.process import Identity, identify, kill_session
from tailrace.stack.settings import Settings
from tailrace.stack.state import Running
from tailrace.stack.stopping import stop_all

NATIVE = pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None, reason="no native reader here: it is built where `cargo` is"
)
MARIADB = pytest.mark.skipif(
    not shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"), reason="no MariaDB is installed here"
)
SERVERS = [pytest.param(MySQL, id="mysql"), pytest.param(MariaDB, id="mariadb", marks=MARIADB)]
MYSQL_FIRST = [SERVERS[0], pytest.param(MariaDB, id="mariadb", marks=[MARIADB, pytest.mark.long])]
"""For what does not differ between the two: every day on MySQL alone."""

READY_SECONDS = 90.0
VERSION = "future"


def environ() -> dict[str, str]:
    """Ours, without variables that name somebody's servers."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FUTURE_")}


def cached(name: str) -> Path:
    """Where a program is that servers are started from."""
    return cache_folder(environ()) / name


class Source:
    """One server. It is created by the first `start` and keeps its data."""

    def __init__(self, kind: type[MySQL], folder: Path, name: str, options: Sequence[str], cache: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        host = Host(cache, environ(), print)
        self.server = kind(host, Settings(folder), folder, VERSION, name=name, options=options)
        self._identity: Identity | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return self.server.endpoint(VERSION)

    @property
    def url(self) -> MysqlUrl:
        return MysqlUrl.parse(self.endpoint)

    @property
    def root(self) -> MysqlUrl:
        """Its superuser's, in the version's database."""
        return replace(MysqlUrl.parse(self.server.admin()), database=self.url.database)

    def start(self) -> None:
        """Return once it answers."""
        self.server.fetch()
        self.server.create()
        if self._identity is None:
            self.server.choose_ports()
        self._process = process = self.server.start()
        self._identity = identify(process.pid)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.server.ping()
                return
            except NotReady:
                assert process.poll() is None, f"{self.server.name} ended: {self.server.log.read_text()[-2000:]}"
                assert time.monotonic() < deadline, f"{self.server.name} does not answer"
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        if self._identity is not None:
            kill_session(self._identity)
            self._reap()

    def stop(self) -> None:
        if self._identity is not None:
            stop_all({self.server.name: Running(self._identity, self.server.port, "")})
            self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()

    def run(self, *statements: str, arguments: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Statements as its superuser, each a transaction of its own; the rows of the last one."""
        with closing(connect(self.root)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, arguments or None)
            return list(cursor.fetchall())


@contextmanager
def source(
    kind: type[MySQL],
    folder: Path,
    name: str = "future.mysql",
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> Iterator[Source]:
    """A server that runs until the block ends; ``cache`` is where its program is, where that is not the usual place."""
    one = Source(kind, folder, name, options, cache or cache_folder(environ()))
    one.start()
    try:
        yield one
    finally:
        one.stop()


@contextmanager
def kafka_for(folder: Path) -> Iterator[str]:
    """The URL of a Kafka that the version shares with nobody."""
    nobody = {"MYSQL_URL": "mysql://nobody@127.0.0.1:1/none", "POSTGRES_URL": "postgresql://127.0.0.1:1/none"}
    given: Mapping[str, str] = {f"FUTURE_{name}": url for name, url in nobody.items()}
    stack = Stack(folder, environ=environ() | given | {"FUTURE_REDIS_URL": "redis://127.0.0.1:1/0"}, report=print)
    stack.up()
    try:
        yield stack.endpoints()[VERSION]["kafka"]
    finally:
        stack.down()
