"""What ``tailrace erase`` and ``tailrace receipt`` share: the key, the folders, and the receipts that are kept."""

import os
from collections.abc import Callable
from pathlib import Path

from audit.erasure.run import Erasing
from audit.erasure.secret import kept
from audit.receipt import Receipt, written
from changes.errors import Misconfigured
from changes.topology import Topology
from enrichers.settings import settings_from
from tailrace.endpoints import endpoints_of
from tailrace.places import home
from tailrace.stack.places import cache_folder


def folder() -> Path:
    """Of the versions' keys and receipts."""
    return home() / "erasures"


def erasing(topology: Topology, version: str, *, timeout: float, derived: bool, tell: Callable[[str], None]) -> Erasing:
    """Raises `Misconfigured`."""
    folders = [home() / "reports" / version, folder() / version, cache_folder(os.environ) / "audit" / version]
    return Erasing(
        topology,
        version,
        endpoints_of(topology, version),
        settings_from(version, topology.prefix(version), os.environ),
        kept(folder(), version),
        folders,
        timeout,
        derived,
        tell=tell,
    )


def path_of(version: str, who: str) -> Path:
    """Where a person's last receipt is kept, unless it is wanted elsewhere."""
    return folder() / version / f"{who}.json"


def save(receipt: Receipt, path: Path) -> None:
    """Durably, whole or not at all. Raises `Misconfigured` where that cannot be."""
    passing = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(written(receipt))
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
    except OSError as error:
        raise Misconfigured(f"the receipt cannot be written to `{path}`: {error.strerror}") from error
