"""Redis, MongoDB, Elasticsearch, Neo4j and Weaviate: all they hold, as the search for canaries walks through it."""

import asyncio
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import cast

from audit.isolation.stores.answers import Seeing
from audit.search.found import Found
from audit.search.needles import Needles

Walk = Callable[[str, Seeing], None]


class Shown:
    """Looks through what a walk shows."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def see(self, where: str, *seen: object) -> None:
        self._found.look(where, *flat(seen))

    def leave(self, what: str) -> None:
        self._found.leave(what)


async def find(kind: str, url: str, needles: Needles) -> Found:
    """``kind`` is the module's name. Raises `Transient` or `Misconfigured`."""
    walk = cast(Walk, import_module(f"audit.isolation.stores.{kind}").walk)
    found = Found(kind, needles)
    await asyncio.to_thread(walk, url, Shown(found))
    return found.end()


def flat(seen: object) -> Iterable[bytes]:
    """The bytes of texts and bytes, and of containers of these; numbers tell nothing."""
    if isinstance(seen, bytes | bytearray | memoryview):
        yield bytes(seen)
    elif isinstance(seen, str):
        yield seen.encode("utf-8", "replace")
    elif isinstance(seen, dict):
        for name, held in seen.items():
            yield from (*flat(name), *flat(held))
    elif isinstance(seen, list | tuple | set | frozenset):
        for held in seen:
            yield from flat(held)
    elif not (seen is None or isinstance(seen, int | float)):
        yield str(seen).encode("utf-8", "replace")
