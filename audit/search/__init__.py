"""Looking for bytes in whatever holds data of a version: one file a kind of store. Nothing here changes anything."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from audit.search.found import Found
from audit.search.needles import Needles

Finder = Callable[[str, Needles], Awaitable[Found]]
"""Looks through all that the server at a URL holds for us. Raises `Transient` or `Misconfigured`."""

_FINDERS = {
    "redis": "redis",
    "postgres": "postgres",
    "ai_identity": "postgres",
    "dao": "mysql",
    "credit": "mysql",
    "sqlite": "files",
}
"""By sink; what is declared for the others is looked through row by row."""


def finder(sink: str) -> Finder | None:
    """What looks through a sink's store; its driver is loaded only where it is used."""
    name = _FINDERS.get(sink)
    return None if name is None else cast(Finder, import_module(f"audit.search.{name}").find)
