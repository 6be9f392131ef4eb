"""Threads for audits' blocking work."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

_roomy = WeakSet[asyncio.AbstractEventLoop]()


def make_room(threads: int) -> None:
    """Give the running event loop so many threads for `asyncio.to_thread`, once for all audits in it; its own are a few
    more than there are processors, and an audit's threads mostly wait."""
    loop = asyncio.get_running_loop()
    if loop not in _roomy:
        loop.set_default_executor(ThreadPoolExecutor(threads, "audit"))
        _roomy.add(loop)
