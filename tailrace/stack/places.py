"""Where downloads and running data live."""

from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Downloads, shared by every stack of this user: ``$TAILRACE_CACHE``, else below the XDG cache."""
    if own := environ.get("TAILRACE_CACHE"):
        return Path(own).absolute()
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "tailrace"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Running data: ``$TAILRACE_HOME``, else below the XDG state folder."""
    if own := environ.get("TAILRACE_HOME"):
        return Path(own).absolute()
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state").absolute() / "tailrace"


def stack_folder(name: str, environ: Mapping[str, str]) -> Path:
    """The folder of the stack called ``name``; a name with a slash in it is a path of its own."""
    return Path(name).absolute() if "/" in name else state_folder(environ) / name
