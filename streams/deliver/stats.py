"""What a lane says of itself."""

from dataclasses import dataclass, field
from typing import Literal

State = Literal["starting", "running", "waiting", "stopped"]

_SAMPLES, _KEPT = 20, 1000
"""Freshness samples taken of a batch, and kept in all."""


@dataclass
class LaneStats:
    """Counts since the lane started; ``reason`` says why it is not running.

    ``rewound`` is how often its store was found to have gone back. ``repeated`` is how many records came again, and
    ``skipped`` how many were passed and not delivered: both of a day at most, those of workers before this one too.
    ``newest_ms`` is when the newest change it applied was committed; ``freshness_ms`` are the last changes' times from
    commit to the store's answer. Of ``timed`` changes ``fresh`` were applied within the tier's objective. ``due_ms`` is
    when a lane that holds changes back is to write.
    """

    version: str
    sink: str
    tier: str
    state: State = "starting"
    reason: str = ""
    applied: int = 0
    stale: int = 0
    collapsed: int = 0
    filtered: int = 0
    parked: int = 0
    batches: int = 0
    rewound: int = 0
    repeated: int = 0
    skipped: int = 0
    newest_ms: float | None = None
    freshness_ms: list[float] = field(default_factory=list)
    timed: int = 0
    fresh: int = 0
    due_ms: float | None = None

    def time(self, committed_us: list[int], now: float, objective: float) -> None:
        """Take in changes that were committed then (microseconds since 1970) and applied ``now`` (seconds)."""
        if not committed_us:
            return
        self.newest_ms = max(committed_us) / 1000
        self.freshness_ms += [round(now * 1000 - us / 1000, 1) for us in committed_us[:_SAMPLES]]
        del self.freshness_ms[:-_KEPT]
        in_time = (now - objective) * 1_000_000
        self.timed += len(committed_us)
        self.fresh += sum(us >= in_time for us in committed_us)
