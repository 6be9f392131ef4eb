"""What all servers have in common: a name, a port, a data folder, and a way to be made, started and asked."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from pwd import getpwnam
from typing import ClassVar

from tailrace.stack.errors import StackError
from tailrace.stack.files import private_folder, write_private
from tailrace.stack.host import Host
from tailrace.stack.process import Command, launch
from tailrace.stack.settings import Settings

# A server sees none of the other variables, which may hold somebody's secrets.
INHERITED = ("PATH", "HOME", "TMPDIR", "TZ", "LANG")


class Server(ABC):
    """One server of one version, or the one that all versions share. Its methods block; none is called twice at once.

    Life: `fetch`, `create` (once in its life), `start`, `ping` until it does not raise, `provision`.
    """

    kind: str  # the name of its endpoint
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    user: str | None = None  # the account it runs under, if another than ours

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        self.host = host
        self.settings = settings
        self.version = version
        self.name = f"{version}.{self.kind}"
        self.folder = folder / self.name

    @property
    def data(self) -> Path:
        """Where its data are; the folder exists only once it is complete."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / "log"

    @property
    def port(self) -> int:
        """Where clients reach it, on 127.0.0.1."""
        return self.settings.port(self.name)

    def password(self, user: str) -> str:
        """The password of one of its accounts."""
        return self.settings.password(f"{self.name}.{user}")

    @abstractmethod
    def fetch(self) -> None:
        """Have its program; quick when it is there already. Raises `Unavailable`."""

    @abstractmethod
    def fill(self, data: Path) -> None:
        """Make a new server's data in the empty folder ``data``: accounts, databases, all it starts with."""

    @abstractmethod
    def command(self) -> Command:
        """How to start it; two equal commands mean that a running one need not be started anew."""

    @abstractmethod
    def ping(self) -> None:
        """Log in and ask something; raises `NotReady`."""

    def provision(self) -> None:  # noqa: B027 -- most servers need nothing more
        """Set what only a running server can be told; called after every start, so it must be repeatable."""

    @abstractmethod
    def endpoint(self, version: str) -> str:
        """The URL for the programs of a version."""

    @abstractmethod
    def admin(self) -> str:
        """The URL of its superuser."""

    def create(self) -> None:
        """Make its data, unless they are there. What a killed run left half made is thrown away first."""
        private_folder(self.folder)
        if self.data.exists():
            return
        prefix = f"{self.data.name}.new."
        for left in self.data.parent.glob(f"{prefix}*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own each time: what a killed run started may still be writing to the last one.
        new = Path(tempfile.mkdtemp(prefix=prefix, dir=self.data.parent))
        self.give(new)
        self.fill(new)
        new.rename(self.data)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it without waiting until it answers; raises `StackError` where its program cannot be run."""
        command = self.command()
        for path, text in command.files.items():
            write_private(path, text)
        try:
            environ = {name: self.host.environ[name] for name in INHERITED if name in self.host.environ}
            return launch(command, environ, self.log)
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(f"{self.name} cannot be started: {error}") from error

    def give(self, path: Path) -> None:
        """Make ``path`` belong to the account that the server runs under."""
        if self.user:
            account = getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)

    def answers(self) -> bool:
        """Whether anybody listens on its port."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def choose_ports(self) -> None:
        """Move to other ports where somebody else listens on ours; before a start, never while it runs."""
        self.settings.free_port(self.name)

    def temporary(self) -> Path:
        """A folder for its temporary files."""
        return private_folder(self.folder / "tmp")

    def fingerprint(self) -> str:
        """Changes whenever the server would be started otherwise than it was."""
        command = self.command()
        parts = [*command.argv, *(f"{path}\0{text}" for path, text in command.files.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
