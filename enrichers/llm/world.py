"""What the client needs of the world beside the network; tests give another one."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """``monotonic``: seconds that never go back. ``now``: seconds since 1970, UTC. ``random``: 0 ≤ x < 1."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random
