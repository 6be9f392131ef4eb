"""Reading the declaration that the command line was given."""

from pathlib import Path

from changes.errors import Misconfigured
from changes.topology import Topology, load
from sinks.registry import SPECS


def read_topology(path: Path) -> Topology:
    """Raises `Misconfigured` with file and line for every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"`{path}` cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"`{path}` is not UTF-8 text: {error.reason}") from error
    return load(text, str(path), {name: spec.check for name, spec in SPECS.items()})
