"""Files: every byte of every file in folders, whatever its format; of SQLite's, free pages and logs too.

Nothing opens a file through SQLite here: to close a descriptor of a file would drop the locks that a connection of the
same process has on it.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from audit.search.found import Found
from audit.search.needle import LONGEST
from audit.search.needles import Needles
from changes.errors import Misconfigured

_PIECE = 1 << 20


async def find(url: str, needles: Needles) -> Found:
    """``url`` names a folder, with or without ``sqlite://``. Raises `Misconfigured` where it may not be read."""
    folder = Path(url.removeprefix("sqlite://"))
    return await asyncio.to_thread(look_through, "sqlite", [folder], needles)


def look_through(place: str, folders: Iterable[Path], needles: Needles) -> Found:
    """The files of some folders; one that is not there has none. A file that goes meanwhile is as one that never was.

    A value may stand across two pages of an SQLite file: it is then found by another stretch of it, or not.
    """
    found = Found(place, needles)
    for folder in folders:
        for path in _walk(folder):
            name = str(path.relative_to(folder))
            try:
                with path.open("rb") as file:
                    before = b""
                    while piece := file.read(_PIECE):
                        found.look(name, before + piece)
                        before = piece[-LONGEST:]
                    if not before:
                        found.look(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                found.leave(f"{name}: {error.strerror}")
    return found.end()


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise Misconfigured(f"`{error.filename}` cannot be read: {error.strerror}") from error

    for parent, _, names in os.walk(folder, onerror=refuse):
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and not path.is_symlink():
                yield path
