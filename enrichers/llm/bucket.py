"""A token bucket: so many calls a second, a few at once."""


class Bucket:
    """``rate`` calls a second on average, ``burst`` of them at once after a pause."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take one token, on credit where there is none: the seconds to wait before using it."""
        if self._at is not None:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        self._level -= 1
        return max(0.0, -self._level / self._rate)
