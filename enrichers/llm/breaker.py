"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then tried with one call."""


class Breaker:
    """Opens after ``failures`` in a row, for ``cooldown`` seconds; then lets one call through in each such time until
    one succeeds. Times are of one clock that never goes back."""

    def __init__(self, failures: int, cooldown: float) -> None:
        self._limit = failures
        self._cooldown = cooldown
        self._failures = 0
        self._closed_until: float | None = None

    def allows(self, now: float) -> bool:
        """Whether a call may be made now; asking while it is open takes the one trial there is."""
        if self._closed_until is None:
            return True
        if now < self._closed_until:
            return False
        # The next trial comes a cooldown later even if this one is cancelled and never reports.
        self._closed_until = now + self._cooldown
        return True

    @property
    def is_closed(self) -> bool:
        """Whether the last call went well, or few enough have failed."""
        return self._closed_until is None

    def is_open(self, now: float) -> bool:
        """Whether the endpoint is left alone; takes no trial."""
        return self._closed_until is not None and now < self._closed_until

    def succeeded(self) -> None:
        self._failures, self._closed_until = 0, None

    def failed(self, now: float) -> None:
        self._failures += 1
        if self._failures >= self._limit:
            self.open(now, self._cooldown)

    def open(self, now: float, seconds: float) -> None:
        """Leave the endpoint alone for at least ``seconds``."""
        self._closed_until = max(self._closed_until or 0.0, now + seconds)
