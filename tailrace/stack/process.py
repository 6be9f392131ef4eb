"""Processes that outlive the program which started them, and are never mistaken for others.

A process is known by its number *and* the moment it started, for numbers are reused. Signals go through a
descriptor of the process (pidfd), checked after it was opened, so that none can reach a successor.
"""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.stack.host import account

PROC = Path("/proc")


@dataclass(frozen=True)
class Identity:
    """One process: ``started`` is the boot's id and the clock tick of its start since that boot."""

    pid: int
    started: str


@dataclass(frozen=True)
class Command:
    """How a server is started. ``files`` (path → text) are written before, readable by their owner only."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    user: str | None = None


def launch(command: Command, environ: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, so that a terminal's Ctrl-C ends its supervisor only.

    Everything it prints is appended to ``log``. Raises `OSError` where the program cannot be run.
    """
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env={**environ, **command.env},
            **account(command.user),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(handle)


def _fields(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` from the third (the state) on."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """Who has this number now, be it one that has ended and waits to be reaped; ``None`` for nobody."""
    fields = _fields(pid)
    return Identity(pid, f"{_boot()}/{fields[19]}") if fields else None


def _open(identity: Identity) -> int | None:
    """A descriptor of that very process, or ``None`` if it has ended, the last of its threads included."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if identify(identity.pid) == identity and not _ended(handle, 0):
        return handle
    os.close(handle)
    return None


def _ended(handle: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def alive(identity: Identity) -> bool:
    """Whether that very process runs (or is stopped by SIGSTOP)."""
    handle = _open(identity)
    if handle is None:
        return False
    os.close(handle)
    return True


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal that very process; ``False`` if it has ended."""
    handle = _open(identity)
    if handle is None:
        return False
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(identity: Identity, timeout_s: float) -> bool:
    """Wait for the end of that very process; ``False`` if it still runs after ``timeout_s`` seconds."""
    handle = _open(identity)
    if handle is None:
        return True
    try:
        return _ended(handle, timeout_s)
    finally:
        os.close(handle)


def session(leader: Identity) -> list[Identity]:
    """The processes of the session that ``leader`` opened, itself included; its children may outlive it."""
    holder = identify(leader.pid)
    if holder is not None and holder != leader:
        return []  # the number was given anew, which happens only once no session of that number is left
    members = []
    for entry in PROC.iterdir():
        fields = _fields(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and int(fields[3]) == leader.pid and (found := identify(int(entry.name))):
            members.append(found)
    return members


def kill_session(leader: Identity, timeout_s: float = 10.0) -> None:
    """Kill a server and whatever it left behind, and wait until all are gone."""
    members = session(leader)
    for member in members:
        send(member, signal.SIGKILL)
    for member in members:
        wait_gone(member, timeout_s)


def manner(code: int | None) -> str:
    """How a process ended, from its return code; ``None`` if it was not ours to know."""
    if code is None:
        return "ended"
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def tail(log: Path, lines: int = 3, limit: int = 8192) -> str:
    """The last complaints in a log, or its last lines if it has none of late; on one line."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - limit))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    recent = [line.strip() for line in text.splitlines() if line.strip()][-20:]
    complaints = [line for line in recent if any(word in line for word in ("ERROR", "FATAL", "PANIC", "Exception"))]
    return " | ".join((complaints or recent)[-lines:])


def to_json(identity: Identity) -> dict[str, Any]:
    """For the state file."""
    return {"pid": identity.pid, "started": identity.started}


def from_json(value: Mapping[str, Any]) -> Identity:
    """The inverse of `to_json`."""
    return Identity(int(value["pid"]), str(value["started"]))
