"""What tests of several folders share: hypothesis without deadlines, and one real stack for those that need servers."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import settings

from tailrace.stack import Stack
from tailrace.stack.postgres import discard_orphans

settings.register_profile("tailrace", deadline=None)  # a busy machine is no failure
settings.load_profile("tailrace")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=200, help="how often the long tests kill capture")


@dataclass(frozen=True)
class Running:
    """A stack that is up. ``endpoints`` and ``admin`` hold URLs by version and kind, ``admin`` the superusers'."""

    servers: Stack
    endpoints: dict[str, dict[str, str]]
    admin: dict[str, dict[str, str]]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Real servers of the version ``future``, for as long as the session lasts."""
    # Variables that name somebody's servers would keep ours from being started.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FUTURE_")}
    report: list[str] = []
    servers = Stack(
        tmp_path_factory.mktemp("servers") / "stack", versions=("future",), environ=environ, report=report.append
    )
    servers.up()
    try:
        yield Running(servers, servers.endpoints(), servers.admin())
    finally:
        servers.down()
        shutil.rmtree(servers.folder)
        discard_orphans(report.append)
