"""One writer at a time in a class, among the sinks of one process."""

import asyncio
from weakref import WeakKeyDictionary

_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], asyncio.Lock]] = WeakKeyDictionary()


def turn(server: str, place: str) -> asyncio.Lock:
    """Whoever looks what is stored and writes by what it saw holds this until it has written."""
    return _TURNS.setdefault(asyncio.get_running_loop(), {}).setdefault((server, place), asyncio.Lock())
