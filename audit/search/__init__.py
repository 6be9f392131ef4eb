"""Looking for bytes in whatever holds data of a version: one file a kind of store. Nothing here changes anything."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from typing import cast

from audit.search.found import Found
from audit.search.needles import Needles

Finder = Callable[[str, Needles], Awaitable[Found]]
"""Looks through all that the server at a URL holds for us. Raises `Transient` or `Misconfigured`."""

_FINDERS = {
    "postgres": "postgres",
    "ai_identity": "postgres",
    "dao": "mysql",
    "credit": "mysql",
    "sqlite": "files",
}
_WALKED = ("redis", "mongodb", "elasticsearch", "neo4j", "weaviate")


def finder(sink: str) -> Finder | None:
    """What looks through a sink's store, if anything does; its driver is loaded only where it is used."""
    if sink in _WALKED:
        from audit.search import walked  # noqa: PLC0415

        return partial(walked.find, sink)
    name = _FINDERS.get(sink)
    return None if name is None else cast(Finder, import_module(f"audit.search.{name}").find)
