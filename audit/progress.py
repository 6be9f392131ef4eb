"""How far a first look is, for people."""

import time
from collections.abc import Callable

TELL_EVERY = 2.0
"""Seconds."""


class Progress:
    """Of reading ``what``, which has ``total`` rows or about so many, of which ``done`` were read before."""

    def __init__(
        self,
        what: str,
        total: int,
        tell: Callable[[str], None],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._tell, self._clock = what, total, tell, clock
        self._before = self._done = done
        self._began = self._told = clock()

    def add(self, rows: int) -> None:
        """So many more were read."""
        self._done += rows
        now = self._clock()
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._tell(self.text(now - self._began))

    def text(self, seconds: float) -> str:
        """As of ``seconds`` after the beginning."""
        rate = (self._done - self._before) / seconds
        text = f"{self._what}: {self._done} rows, {rate:.0f}/s"
        left = self._total - self._done
        if left <= 0 or not rate:  # the total is a guess
            return text
        return f"{text}, {self._done / self._total:.0%} of about {self._total}, {left / rate:.0f} s to go"
