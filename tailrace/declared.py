"""Reading the declaration that the command line was given."""

import os
from collections.abc import Mapping
from pathlib import Path

from changes.errors import Misconfigured
from changes.topology import Topology, load
from sinks.registry import SPECS
from tailrace.endpoints import served


def read_topology(path: Path, environ: Mapping[str, str] = os.environ) -> Topology:
    """What is declared in a file, of the stores that are served here (`endpoints.served`). Raises `Misconfigured`."""
    return served(read_whole(path), environ)


def read_whole(path: Path) -> Topology:
    """All that is declared in a file. Raises `Misconfigured` with file and line for every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"`{path}` is not UTF-8 text: {error.reason}") from error
    return load(text, str(path), {name: spec.check for name, spec in SPECS.items()})
