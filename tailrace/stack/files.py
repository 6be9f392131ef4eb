"""Private files and locks between processes."""

import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_POLL_S = 0.2


def private_folder(path: Path) -> Path:
    """Create ``path`` and its parents if need be; it is entered by its owner only."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` whole, or not at all; mode 0600 from its first byte."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(name, path)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def try_lock(path: Path) -> int | None:
    """Take the lock on ``path``: a descriptor that holds it until closed, or ``None`` if another holds it.

    The kernel lets go of the lock when the holder dies, however it dies. Servers do not inherit the descriptor.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None], cancelled: threading.Event) -> Iterator[bool]:
    """Hold the lock on ``path``; calls ``waiting`` once if another holds it. Yields ``False`` if cancelled first."""
    handle = try_lock(path)
    if handle is None:
        waiting()
    while handle is None and not cancelled.wait(LOCK_POLL_S):
        handle = try_lock(path)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)
