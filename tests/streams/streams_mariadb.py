"""A real MariaDB, where the host has one."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.mysql import MysqlUrl
from tailrace.stack.errors import NotReady
from tailrace.stack.host import Host
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.settings import Settings

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
MARIADB = pytest.mark.skipif(shutil.which("mariadbd", path=_PATH) is None, reason="no MariaDB here")
READY_SECONDS = 60


@contextmanager
def mariadb(folder: Path) -> Iterator[MysqlUrl]:
    """Its administrator's URL, for as long as the block lasts."""
    host = Host(folder / "cache", {**os.environ, "PATH": _PATH}, print)
    server = MariaDB(host, Settings(folder), folder, "future")
    server.create()
    server.choose_ports()
    process = server.start()
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(server):
            assert process.poll() is None, server.log.read_text()
            assert time.monotonic() < deadline, "MariaDB does not answer"
            time.sleep(0.2)
        yield MysqlUrl.parse(server.admin())
    finally:
        process.terminate()
        process.wait(30)


def _answers(server: MariaDB) -> bool:
    try:
        server.ping()
    except NotReady:
        return False
    return True
