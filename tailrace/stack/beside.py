"""Servers of one kind at a time, for tests and measurements that need no whole stack."""

import shutil
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

from tailrace.stack.endpoints import VARIABLES, variable
from tailrace.stack.stack import Stack


def elsewhere(kinds: Collection[str]) -> dict[str, str]:
    """Variables by which all servers of ``future`` but those of ``kinds`` are given, so that only these are started."""
    return {variable("future", kind): "elsewhere" for kind in VARIABLES if kind not in kinds}


class Beside:
    """The servers of the profile ``full``, each started when it is first asked for; ``leaving`` stops them.

    Where ``TAILRACE_TEST_MONGODB_URL`` and its like name one, that one is taken: whoever asks may empty what it makes
    there.
    """

    def __init__(self, folder: Path, leaving: ExitStack, environ: Mapping[str, str]) -> None:
        # Variables that name somebody's servers would keep ours from being started.
        self._environ = {name: value for name, value in environ.items() if not name.startswith("FUTURE_")}
        self._folder, self._leaving = folder, leaving
        self._urls: dict[str, str] = {}

    def url(self, kind: str) -> str:
        """The endpoint of a kind of server of the version ``future``."""
        if kind not in self._urls:
            self._urls[kind] = self._environ.get(f"TAILRACE_TEST_{VARIABLES[kind]}") or self._started(kind)
        return self._urls[kind]

    def end(self) -> None:
        """Stop all that was started, and whatever else ``leaving`` holds; what is asked for again is started anew."""
        self._leaving.close()
        self._urls.clear()

    def _started(self, kind: str) -> str:
        environ = {**self._environ, **elsewhere({kind, "sqlite"})}
        servers = Stack(self._folder / kind, profile="full", environ=environ, report=lambda _: None)
        self._leaving.callback(shutil.rmtree, servers.folder)
        self._leaving.callback(servers.down)
        servers.up()
        return servers.endpoints()["future"][kind]
