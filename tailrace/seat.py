"""The name of a delivery worker: the same whenever it is started again, and nobody else's.

Kafka knows a worker by its name (a static member of its lanes' groups): who comes back under it takes up its work at
once, where a new name waits for ten seconds until the old one is given up. Two under one name shut each other out.
"""

import fcntl
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

VARIABLE = "TAILRACE_WORKER"
"""Names this machine among those that deliver together, where its host name changes at every start."""
MOST = 64
"""Characters of a machine's name that are kept."""


class Seat:
    """The lowest number that no other process of this machine holds, for one kind of work of a version.

    The file system gives a number back when its process is gone, however it ended.
    """

    def __init__(self, folder: Path, kind: str, environ: Mapping[str, str] = os.environ) -> None:
        """``kind`` says which work: processes of different kinds do not mind each other."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.number = 0
        while (held := _held(folder / f"{kind}.{self.number}.seat")) is None:
            self.number += 1
        self._file = held
        machine = environ.get(VARIABLE) or socket.gethostname()
        self.name = f"{re.sub(r'[^a-zA-Z0-9_-]', '-', machine)[:MOST]}.{self.number}"

    def leave(self) -> None:
        """Give the number back."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.leave()


def _held(path: Path) -> int | None:
    """The open file, locked by us; ``None`` where another process has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
