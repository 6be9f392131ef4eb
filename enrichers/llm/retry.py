"""How long to wait before asking again. Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def backoff(attempt: int, random: float, *, base: float = 0.5, most: float = 8.0) -> float:
    """Seconds before the try after ``attempt`` (from 0): exponential, with full jitter from ``random`` in 0..1."""
    return random * min(most, base * 2.0**attempt)


def retry_after(value: str | None, now: float) -> float | None:
    """The seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3: a number, or a date); ``None`` where it
    asks for nothing that can be understood. ``now`` is in seconds since 1970."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now)
