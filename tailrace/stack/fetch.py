"""Downloads that happen once: whole or not at all, one at a time, whatever is killed in between."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tailrace.stack.errors import Unavailable
from tailrace.stack.files import locked
from tailrace.stack.host import Host


def fetched(
    host: Host, name: str, build: Callable[[Path], None], *, what: str, megabytes: int, root: Path | None = None
) -> Path:
    """The folder ``name`` in the cache (or in ``root``), built by ``build(folder)`` if it is not there yet.

    ``build`` fills a folder beside it, which is renamed once complete: a folder of that name is always whole.
    ``megabytes`` is the room needed, downloads included. Raises `Unavailable` where there is too little, and what
    ``build`` raises.
    """
    parent = root or host.cache
    target = parent / name
    if target.exists():
        return target
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot create `{parent}` ({error.strerror}): set TAILRACE_CACHE elsewhere") from error
    lock = parent / f".{name}.lock"
    with locked(lock, waiting=lambda: host.report(f"waiting for {what}, which another run is fetching…"),
                cancelled=host.cancelled) as held:  # fmt: skip
        host.check_cancelled()
        if held and not target.exists():
            _build(host, target, build, what=what, megabytes=megabytes)
    return target


def _build(host: Host, target: Path, build: Callable[[Path], None], *, what: str, megabytes: int) -> None:
    prefix = f".{target.name}.new."
    for left in target.parent.glob(f"{prefix}*"):  # the lock is ours, so whoever made it was killed
        shutil.rmtree(left, ignore_errors=True)
    free = shutil.disk_usage(target.parent).free // 1_000_000
    if free < megabytes:
        raise Unavailable(f"{what} needs {megabytes} MB in `{target.parent}`, which has {free} MB free: make room")
    host.report(f"fetching {what}…")
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=target.parent))
    try:
        build(folder)
        folder.chmod(0o755)
        os.rename(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    host.report(f"fetched {what} in {time.monotonic() - begun:.0f} s")
