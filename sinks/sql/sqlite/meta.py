"""What lanes keep in the folder beside the users' files: ``_tailrace_meta``, a small file for each lane."""

import os
from pathlib import Path
from urllib.parse import quote

from sinks.sql.sqlite.files import make_folder, translated

FOLDER = "_tailrace_meta"


def keep(folder: Path, lane: str, stamp: str) -> str | None:
    """Replace a lane's stamp, durably, whole or not at all; the one that was there.

    Raises `Transient` or `Misconfigured`.
    """
    path = _path(folder, lane)
    with translated(path):
        before = kept(folder, lane)
        make_folder(path.parent)
        passing = path.with_name(f"{path.name}.new")
        with open(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(stamp)
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
        parent = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
    return before


def kept(folder: Path, lane: str) -> str | None:
    """A lane's stamp. Raises `Transient` or `Misconfigured`."""
    path = _path(folder, lane)
    with translated(path):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def _path(folder: Path, lane: str) -> Path:
    return folder / FOLDER / quote(lane, safe="")
