"""What isolation is told of this machine: the local stack's servers and folders, pipelines' processes, compose file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from audit.isolation import machine
from audit.isolation.composefile import Composed, read
from audit.isolation.container import Folder, Server, Worker
from audit.isolation.network import Running
from audit.isolation.places import Place, places
from audit.isolation.run import Grounds
from changes.errors import Misconfigured
from changes.topology import Topology
from tailrace.endpoints import configured, endpoints_of
from tailrace.reports import Reports
from tailrace.stack.endpoints import given
from tailrace.stack.host import Host
from tailrace.stack.places import cache_folder
from tailrace.stack.plan import plan
from tailrace.stack.process import session
from tailrace.stack.settings import Settings
from tailrace.stack.view import View

ENV_FILES = Path("deploy", "versions")
"""Beside a compose file: the variables of each version's project, a file each."""


def grounds(
    topology: Topology,
    environ: Mapping[str, str],
    *,
    running: View | None,
    home: Path,
    compose: Path | None = None,
) -> Grounds:
    """All that can be seen from here. Raises `Misconfigured` where some of a version's endpoints are known, not all."""
    endpoints = {version: endpoints_of(topology, version, environ) for version in configured(topology, environ)}
    found = places(endpoints)
    servers: list[tuple[Running, Server]] = []
    folders = _sqlite(found)
    if running is not None:
        servers, own = _stack(running, found, environ)
        folders += own
    return Grounds(
        topology,
        found,
        [one for one, _ in servers],
        [one for _, one in servers],
        folders,
        _workers(home, topology.versions),
        {} if compose is None else _composed(compose, topology.versions),
    )


def _sqlite(found: Sequence[Place]) -> list[Folder]:
    return [
        machine.folder(one.version, "the folder of SQLite files", Path(one.database), os.geteuid())
        for one in found
        if one.family == "sqlite"
    ]


def _stack(
    view: View, found: Sequence[Place], environ: Mapping[str, str]
) -> tuple[list[tuple[Running, Server]], list[Folder]]:
    """The servers that run and the folders of the stack; those that are given by the environment are none of its."""
    known = {(one.version, one.kind) for one in found if one.url == view.endpoints().get(one.version, {}).get(one.kind)}
    host = Host(cache_folder(environ), environ, lambda _: None)
    planned = plan(
        host,
        Settings(view.folder),
        view.folder,
        {version: given(environ, version) for version in view.state.versions},
        "full",
    )
    servers: list[tuple[Running, Server]] = []
    folders = [
        machine.folder("", "the stack's folder", view.folder, os.geteuid()),
        machine.folder("", "the file with the stack's passwords", view.folder / "settings.json", os.geteuid()),
        machine.folder("", "the file with the stack's endpoints", view.folder / "state.json", os.geteuid()),
    ]
    pids = view.pids()
    for server in planned:
        state = view.state.servers.get(server.name)
        version = server.version if server.version in view.state.versions else ""
        owners = {version} if version else set(view.state.versions)
        if state is None or not any((owner, server.kind) in known for owner in owners):
            continue
        members = frozenset(one.pid for one in session(state.identity)) if server.name in pids else frozenset[int]()
        pid = state.identity.pid
        servers.append(
            (
                Running(server.name, version, server.kind, members),
                Server(server.name, version, server.kind, machine.command(pid), machine.opened(members)),
            )
        )
        folders.append(
            machine.folder(version, f"the data folder of `{server.name}`", server.data, machine.account(pid))
        )
    return servers, folders


def _workers(home: Path, versions: Sequence[str]) -> list[Worker]:
    """The processes that report."""
    return [
        Worker(name, version, int(report["pid"]), machine.environ(int(report["pid"])))
        for version in versions
        for name, report in Reports(home, version).fresh().items()
    ]


def _composed(path: Path, versions: Sequence[str]) -> Composed:
    try:
        text = path.read_text(encoding="utf-8")
        environs = {version: _variables(path.parent / ENV_FILES / f"{version}.env") for version in versions}
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from error
    return read(text, versions, environs)


def _variables(path: Path) -> dict[str, str]:
    """``NAME=value``, a line each; nothing where there is no such file."""
    if not os.path.exists(path):
        return {}
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name.strip(): value.strip().strip("'\"") for name, separator, value in pairs if separator}
