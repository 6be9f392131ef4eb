"""What this machine's kernel tells of sockets, files and processes (Linux's ``/proc``)."""

import os
import socket
from collections.abc import Collection, Iterator
from pathlib import Path

from audit.isolation.container import Folder
from audit.isolation.network import Socket

_PROC = Path("/proc")
_LISTENS = "0A"
_LIMITING = (b"GOMEMLIMIT=",)
"""Variables that bound a server; the others may be secrets."""


def sockets() -> list[Socket]:
    """Everything that listens for TCP, and who holds it as far as this account is told."""
    holders = _holders()
    return [
        Socket(address, port, frozenset(holders.get(inode, ())))
        for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6))
        for address, port, inode in _listening(_PROC / "net" / name, family)
    ]


def _listening(table: Path, family: socket.AddressFamily) -> Iterator[tuple[str, int, str]]:
    try:
        lines = table.read_text().splitlines()[1:]
    except FileNotFoundError:  # a kernel without IPv6
        return
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTENS:
            address, _, port = fields[1].partition(":")
            # each 32-bit word stands in the machine's own order
            words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
            yield _plain(socket.inet_ntop(family, b"".join(words))), int(port, 16), fields[9]


def _plain(address: str) -> str:
    """An IPv4 address that is written as an IPv6 one, as the former."""
    return address.removeprefix("::ffff:") if "." in address else address


def _holders() -> dict[str, set[int]]:
    """Processes by the inode of a socket that they hold."""
    found: dict[str, set[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            for target in _links(int(entry.name)) or ():
                if target.startswith("socket:["):
                    found.setdefault(target[8:-1], set()).add(int(entry.name))
    return found


def opened(pids: Collection[int]) -> frozenset[Path] | None:
    """The files that these processes have open, and where they stand; None where this account is not told."""
    found: set[Path] = set()
    for pid in pids:
        links = _links(pid)
        if links is None:
            return None
        found |= {Path(target) for target in links if target.startswith("/")}
    return frozenset(found)


def _links(pid: int) -> list[str] | None:
    """Where the descriptors of a process lead; nothing for one that has ended."""
    found = []
    try:
        with os.scandir(_PROC / str(pid) / "fd") as entries:
            for entry in entries:
                try:
                    found.append(os.readlink(entry.path))
                except FileNotFoundError:  # closed since
                    continue
    except (FileNotFoundError, ProcessLookupError):
        return []
    except PermissionError:
        return None
    return found


def command(pid: int) -> tuple[str, ...] | None:
    """The words that a process was started with, and the variables among its own that bound it."""
    try:
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        words += [one for one in (_PROC / str(pid) / "environ").read_bytes().split(b"\0") if one.startswith(_LIMITING)]
    except OSError:
        return None
    return tuple(word.decode("utf-8", "replace") for word in words if word)


def environ(pid: int) -> dict[str, str] | None:
    """The variables that a process was started with; None where this account is not told, or it has ended."""
    try:
        pairs = (_PROC / str(pid) / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    return {name: value for name, separator, value in (pair.partition("=") for pair in pairs) if separator}


def account(pid: int) -> int | None:
    """The account that a process runs under."""
    try:
        return (_PROC / str(pid)).stat().st_uid
    except OSError:
        return None


def folder(version: str, what: str, path: Path, user: int | None) -> Folder:
    """What can be seen of a folder or file that should belong to ``user``, None where nobody knows to whom."""
    real = Path(os.path.realpath(path))
    try:
        about = real.stat()
    except OSError:
        return Folder(version, what, path, real, None, None, user)
    return Folder(version, what, path, real, about.st_mode, about.st_uid, user)


def resolved(hosts: Collection[str]) -> dict[str, frozenset[str]]:
    """The IP addresses of each name, as far as it has any."""
    found: dict[str, frozenset[str]] = {}
    for host in hosts:
        try:
            found[host] = frozenset(str(told[4][0]) for told in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except OSError:
            continue
    return found
