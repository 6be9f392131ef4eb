"""Rows that a driver reads in threads, handed to the event loop a page at a time."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from itertools import islice
from typing import Generic, TypeVar

PAGE = 500
"""Rows that are read before they are handed over."""

Result = TypeVar("Result")


class Pages(Generic[Result]):
    """What a generator gives that waits for a disk or a server, to be drawn a page at a time by one thread or
    another."""

    def __init__(self, source: Generator[Result]) -> None:
        self._source = source
        self._lock = threading.Lock()  # whoever gives up waiting for a page closes behind it

    def next(self) -> list[Result]:
        """The next page, empty at the end."""
        with self._lock:
            return list(islice(self._source, PAGE))

    def close(self) -> None:
        with self._lock:
            self._source.close()


async def drawn(
    source: Generator[Result], in_thread: Callable[[Callable[[], list[Result]]], Awaitable[list[Result]]]
) -> AsyncGenerator[Result, None]:
    """What ``source`` gives, drawn by ``in_thread``."""
    pages = Pages(source)
    try:
        while page := await in_thread(pages.next):
            for one in page:
                yield one
    finally:
        await asyncio.to_thread(pages.close)
