"""What runs now, for other processes and for the next supervisor: ``state.json``, mode 0600."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.stack.errors import StackError
from tailrace.stack.files import write_private
from tailrace.stack.process import Identity, from_json, to_json

FILE = "state.json"

Endpoints = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Running:
    """One server: ``fingerprint`` is of the command and settings it was started with, ``stop`` a signal's name."""

    identity: Identity
    port: int
    fingerprint: str
    stop: str = "SIGTERM"


@dataclass(frozen=True)
class State:
    """Everything that ``stack env``, ``status`` and ``down`` need to know in another process."""

    versions: tuple[str, ...] = ()
    supervisor: Identity | None = None
    servers: Mapping[str, Running] = field(default_factory=dict)
    endpoints: Endpoints = field(default_factory=dict)
    admin: Endpoints = field(default_factory=dict)
    docker: tuple[str, ...] = ()  # names of compose projects


def dump(state: State) -> str:
    """The file's text."""
    value: dict[str, Any] = {
        "versions": state.versions,
        "supervisor": to_json(state.supervisor) if state.supervisor else None,
        "servers": {
            name: {**to_json(one.identity), "port": one.port, "fingerprint": one.fingerprint, "stop": one.stop}
            for name, one in state.servers.items()
        },
        "endpoints": state.endpoints,
        "admin": state.admin,
        "docker": state.docker,
    }
    return json.dumps(value, indent=1)


def parse(text: str) -> State:
    """The inverse of `dump`."""
    value = json.loads(text)
    return State(
        versions=tuple(value["versions"]),
        supervisor=from_json(value["supervisor"]) if value["supervisor"] else None,
        servers={
            name: Running(from_json(one), one["port"], one["fingerprint"], one["stop"])
            for name, one in value["servers"].items()
        },
        endpoints=value["endpoints"],
        admin=value["admin"],
        docker=tuple(value["docker"]),
    )


def load(folder: Path) -> State | None:
    """What the file in ``folder`` says, or ``None`` without one; it may speak of processes long gone."""
    path = folder / FILE
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StackError(f"`{path}` cannot be understood: end the servers listed in it, then delete it") from error


def save(folder: Path, state: State) -> None:
    """Replace the file."""
    write_private(folder / FILE, dump(state))
