"""How soon a change is due in a store, and in what portions it goes there."""

import re

import msgspec

from changes.errors import Misconfigured

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    """``5ms``, ``1.5s``, ``10m``, ``1h``, ``7d`` in seconds; raises `Misconfigured` on anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", text)
    if match is None:
        raise Misconfigured(f"`{text}` is no duration: write a number and one of ms, s, m, h, d")
    return float(match[1]) * _UNITS[match[2]]


class Tier(msgspec.Struct, frozen=True, gc=False):
    """``flush``: the longest wait in seconds before a portion is written; ``rows``: its largest size;
    ``fresh``: the freshness objective in seconds from commit to visible."""

    name: str
    flush: float
    rows: int
    fresh: float


DEFAULT_TIERS = {
    tier.name: tier
    for tier in (
        Tier("realtime", flush=0.005, rows=500, fresh=0.1),
        Tier("local", flush=0.02, rows=1000, fresh=0.5),
        Tier("batch", flush=1.0, rows=5000, fresh=5.0),
        Tier("async", flush=2.0, rows=2000, fresh=30.0),
        Tier("hourly", flush=3600.0, rows=5000, fresh=3660.0),
    )
}
