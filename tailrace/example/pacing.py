"""Holding a rate, and holding still."""

import threading
from collections.abc import Callable


class Schedule:
    """When the next piece of work is due, for a rate of `rate` units a second.

    Time runs on while work is done, so a slow commit is made up for; what falls more than `patience`
    seconds behind is forgiven, so an outage is not followed by a flood.
    """

    def __init__(self, rate: float, clock: Callable[[], float], patience: float = 1.0) -> None:
        if rate <= 0:
            raise ValueError(f"`rate` must be above 0, not {rate}")
        self._interval = 1.0 / rate
        self._clock = clock
        self._patience = patience
        self._due = clock()

    def restart(self) -> None:
        """Begin afresh, with the next piece of work due now: nothing is owed for a pause."""
        self._due = self._clock()

    def spend(self, units: int) -> None:
        """Note that `units` were done: the next is due that much later."""
        self._due = max(self._due, self._clock() - self._patience) + units * self._interval

    def delay(self) -> float:
        """Seconds until the next piece of work is due; 0 when it is due or late."""
        return max(0.0, self._due - self._clock())


class Gate:
    """Lets workers through one piece of work at a time, until it is shut."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shut = False
        self._closed = False
        self._inside = 0

    def enter(self) -> bool:
        """Wait while the gate is shut. False once it is closed for good; else call `leave` later."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._shut)
            if self._closed:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """The work that `enter` let in has ended."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def shut(self) -> None:
        """Let nobody in any more; returns when nobody is inside."""
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: self._inside == 0)

    def open(self) -> None:
        """Let workers in again."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def close(self) -> None:
        """Send everyone away, for good; does not wait for those inside."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
