"""Watching over a stack until told to end: what dies is started again, ever more slowly if it keeps dying."""

import threading
import time
from collections.abc import Callable

from tailrace.stack.errors import StackError
from tailrace.stack.stack import Stack

WATCH_S = 0.5
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
STEADY_S = 60.0  # a server that ran for so long is forgiven its earlier deaths


class Delays:
    """How long to wait before a server is started again; doubles with each death in quick succession."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}  # name → time of death, delay then

    def after_death(self, name: str) -> float:
        """Seconds to wait after this death of ``name``."""
        now = self._clock()
        died, delay = self._last.get(name, (-STEADY_S, 0.0))
        steady = now - died > STEADY_S + delay
        delay = FIRST_DELAY_S if steady else min(max(2 * delay, FIRST_DELAY_S), LONGEST_DELAY_S)
        self._last[name] = (now, delay)
        return delay


def supervise(stack: Stack, report: Callable[[str], None], ended: threading.Event) -> None:
    """Restart the servers of a running stack as they die, until ``ended`` is set; the caller then calls `down`."""
    delays = Delays()
    due: dict[str, float] = {}
    while not ended.wait(WATCH_S):
        for name in stack.watch():
            due[name] = time.monotonic() + delays.after_death(name)
        for name in [name for name, when in due.items() if when <= time.monotonic()]:
            report(f"restarting {name}")
            del due[name]
            try:
                stack.restart(name)
            except StackError as error:
                report(str(error))
                due[name] = time.monotonic() + delays.after_death(name)
