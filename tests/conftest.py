"""What tests of several folders share: hypothesis without deadlines, and one real stack for those that need servers."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from running import Running, own_environ

from streams.mysql import MysqlUrl
from tailrace.stack import Stack
from tailrace.stack.beside import Beside
from tailrace.stack.errors import NotReady, Unavailable
from tailrace.stack.host import Host
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.postgres import discard_orphans
from tailrace.stack.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MATRIX = pytest.StashKey[dict[tuple[str, str], Any]]()
"""What the fault matrix found, by fault and store."""

BESIDE = pytest.StashKey[Beside]()
"""The stores beside the profile ``core``, once a test has asked for any."""

settings.register_profile("tailrace", deadline=None)  # a busy machine is no failure
settings.load_profile("tailrace")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=200, help="how often the long tests kill capture")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Real servers of the version ``future``, for as long as the session lasts."""
    report: list[str] = []
    servers = Stack(
        tmp_path_factory.mktemp("servers") / "stack", versions=("future",), environ=own_environ(), report=report.append
    )
    servers.up()
    try:
        yield Running(servers, servers.endpoints(), servers.admin())
    finally:
        servers.down()
        shutil.rmtree(servers.folder)
        discard_orphans(report.append)


@pytest.fixture(scope="module", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs here reports to a folder of its own: `status` shows nothing of what else runs on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAILRACE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that no other module's tests write to."""
    found = Stack(tmp_path_factory.mktemp("own") / "stack", environ=own_environ(), report=print)
    found.up()
    try:
        yield found
    finally:
        found.down()


class WhatThereIs(Beside):
    """A test of a store whose server cannot be had on this machine is skipped."""

    def url(self, kind: str) -> str:
        try:
            return super().url(kind)
        except Unavailable as reason:
            pytest.skip(str(reason))


@pytest.fixture(scope="session")
def beside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """The stores that the profile ``core`` has not, from when they are asked for to a module that does not."""
    with ExitStack() as leaving:
        found = WhatThereIs(tmp_path_factory.mktemp("beside"), leaving, os.environ)
        request.config.stash[BESIDE] = found
        yield found


@pytest.fixture(scope="module", autouse=True)
def _beside_ended(request: pytest.FixtureRequest) -> None:
    """Stores that a module's tests do not ask for take nothing from them: seven servers that idle take half a core."""
    found = request.config.stash.get(BESIDE, None)
    if found is not None and not any(
        "beside" in getattr(item, "fixturenames", ()) for item in request.session.items if item.path == request.path
    ):
        found.end()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDB]:
    """A MariaDB of the version ``future``, for as long as the session lasts; skips where there is none to start."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    if shutil.which("mariadbd", path=path) is None:
        pytest.skip("no MariaDB here")
    folder = tmp_path_factory.mktemp("mariadb")
    server = MariaDB(Host(folder / "cache", {**os.environ, "PATH": path}, print), Settings(folder), folder, "future")
    server.create()
    server.choose_ports()
    process = server.start()
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                server.ping()
                break
            except NotReady:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module", params=["mysql", "mariadb"])
def either(request: pytest.FixtureRequest) -> MysqlUrl:
    """The superuser of a MySQL, then of a MariaDB; neither is started for the other's sake."""
    if request.param == "mysql":
        stack: Running = request.getfixturevalue("stack")
        return MysqlUrl.parse(stack.admin["future"]["mysql"])
    maria: MariaDB = request.getfixturevalue("mariadb")
    return MysqlUrl.parse(maria.admin())


@pytest.fixture(scope="session")
def matrix(request: pytest.FixtureRequest) -> dict[tuple[str, str], Any]:
    """By (fault, store), what was left of it."""
    return request.config.stash.setdefault(MATRIX, {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(MATRIX, {})
    if not found:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'fault':10} {'store':14} {'recovered':>10} {'lost':>5} {'doubled':>8} {'stale':>6}")
    for (fault, store), one in sorted(found.items()):
        terminalreporter.write_line(
            f"{fault:10} {store:14} {one.seconds:8.1f} s {one.lost:5} {one.doubled:8} {one.stale:6}"
        )


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for as long as a module lasts; skips where there is none."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started_:
        browser = started_.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
