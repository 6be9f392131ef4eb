"""When a lane writes: at once, after a moment's linger, or at its tier's time with nothing held in between. Pure.

Up to `HOLD_FROM` a batch lingers in memory until its tier's ``flush`` is over. A tier with a longer one is held: its
partitions are paused, so the broker keeps what comes, until it is due or somebody asks for it. Then all that was there
at that moment is written, in batches, and the time begins anew.
"""

from changes.progress import Offsets

LINGER_FROM = 0.05
"""Tiers that flush sooner than this (seconds) write what is there at once; slower ones wait for a portion."""
HOLD_FROM = 10.0
QUIET = 2.0
"""Seconds without a message behind which nothing more may be coming: what ends a topic may be no record."""


class Brake:
    """Keeps to ``rate`` messages a second. What was not used is not saved up for later."""

    def __init__(self, rate: float, ends: Offsets) -> None:
        self.rate, self.ends = rate, ends
        self._due = 0.0

    def saw(self, messages: int, now: float) -> None:
        self._due = max(self._due, now) + messages / self.rate

    def rest(self, now: float) -> float:
        return max(0.0, self._due - now)


class Pace:
    """Times are seconds since 1970."""

    def __init__(self, flush: float) -> None:
        self._flush = flush
        self.held = flush > HOLD_FROM
        self.due: float | None = None
        self._ends: Offsets | None = None
        self._last = 0.0
        self._brake: Brake | None = None

    @property
    def linger(self) -> float:
        """How long a batch may wait to become larger, in seconds."""
        return self._flush if LINGER_FROM <= self._flush <= HOLD_FROM else 0.0

    @property
    def holding(self) -> bool:
        return self.held and self._ends is None

    def begin(self, now: float, written: float | None) -> None:
        """The first time to be due, counted from when the store was last written, also by a worker before this one."""
        if self.due is None:
            self.due = (now if written is None else min(now, written)) + self._flush

    def is_due(self, now: float) -> bool:
        return self.due is not None and now >= self.due

    def drain(self, ends: Offsets, now: float) -> None:
        """Begin to write all that is below ``ends``."""
        self._ends, self._last = ends, now

    def saw(self, messages: int, written: Offsets, now: float) -> list[tuple[tuple[str, int], range]]:
        """After each fetch: how many messages it had, and what is written by now.

        Where nothing has come for a while, the offsets that are left: whoever asks looks whether any records stand
        there, and calls `done` where none do.
        """
        if self._brake is not None:
            self._brake.saw(messages, now)
            if all(written.get(part, end) >= end for part, end in self._brake.ends.items()):
                self._brake = None
        if self._ends is None:
            return []
        if messages:
            self._last = now
        left = [(part, range(written[part], end)) for part, end in self._ends.items() if written.get(part, end) < end]
        if not left:
            self.done(now)
        elif now - self._last >= QUIET:
            self._last = now
            return left
        return []

    def slow(self, rate: float, ends: Offsets) -> None:
        """From now on no more than ``rate`` messages a second, until all that is below ``ends`` is written."""
        self._brake = Brake(rate, ends)

    def rest(self, now: float) -> float:
        """How long to wait before the next batch, in seconds."""
        return 0.0 if self._brake is None else self._brake.rest(now)

    def portion(self, rows: int) -> int:
        """The most messages of a batch: no more than a second's, where there is a brake."""
        return rows if self._brake is None else max(1, min(rows, round(self._brake.rate)))

    def done(self, now: float) -> None:
        """All is written: the time begins anew."""
        self._ends, self.due = None, now + self._flush
