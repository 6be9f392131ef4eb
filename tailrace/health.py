"""How capture and lanes stand, made of what they publish and what their workers say of themselves: pure but for the
clock. What cannot be known is ``None``."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from changes.progress import Positions, SnapshotState
from streams.fills import fill_of
from streams.watch import LaneId
from tailrace.reports import STALE_SECONDS

WorkerReports = Mapping[str, Mapping[str, Any]]
"""What `tailrace.reports.Reports.fresh` gives."""

_SUMMED = ("applied", "stale", "parked", "collapsed", "filtered", "rewound", "repeated", "skipped", "timed", "fresh")
STANDING_BY = "standing by"
"""The state of a capture that another machine's has the better of: how far that one is, it knows as well."""

COUNTS = ("applied", "stale", "parked", "collapsed", "filtered", "rewound", "repeated", "skipped", "due_ms")
"""What a lane's worker says of itself that is told on as it is."""


def capture_of(
    last: Positions | None, fills: Mapping[str, SnapshotState], reports: WorkerReports, caught_up: bool | None
) -> dict[str, Any]:
    """``last`` is the newest record of positions; ``caught_up`` whether it holds all that MySQL has committed, ``None``
    where nobody knows."""
    report = reports.get("capture", {})
    lag = None
    if last is not None and caught_up is not None and time.time() * 1000 - last.at_ms <= STALE_SECONDS * 1000:
        lag = 0.0 if caught_up else round(max(0.0, time.time() - last.source_ms / 1000), 3)
    return {
        "position": last.position if last else None,
        "lag_s": lag,
        "state": report.get("state", "down"),
        "reason": report.get("reason", ""),
        "engine": report.get("engine", ""),
        "filling": {name: asdict(fill_of(one)) for name, one in fills.items() if one.state != "done"},
        "absent": [name for name, one in fills.items() if one.absent],
    }


def standing(lane: LaneId, waiting: int | None, reports: WorkerReports) -> dict[str, Any]:
    """One lane; ``waiting`` is how many records it has yet to pass."""
    own = own_report(lane.sink, lane.tier, reports)
    fresh = sorted(own["freshness_ms"]) if own else []
    return {
        "sink": lane.sink,
        "tier": lane.tier,
        "state": own["state"] if own else "down",
        "reason": own["reason"] if own else "",
        "lag_s": lag_of(waiting, own),
        "waiting": waiting,
        **{name: own[name] if own else None for name in COUNTS},
        "fresh_p50_ms": quantile(fresh, 0.5),
        "fresh_p99_ms": quantile(fresh, 0.99),
        "fresh_share": round(own["fresh"] / own["timed"], 4) if own and own["timed"] else None,
    }


def own_report(sink: str, tier: str, reports: WorkerReports) -> Mapping[str, Any] | None:
    """What the lane's workers of this machine say of it: their counts together, the worst of their states."""
    told = [
        one
        for report in reports.values()
        for one in report.get("lanes", ())
        if (one["sink"], one["tier"]) == (sink, tier)
    ]
    if len(told) < 2:
        return told[0] if told else None
    worst: Mapping[str, Any] = min(told, key=lambda one: (one["state"] == "running", not one["reason"]))
    return {
        **worst,
        **{name: sum(one[name] for one in told) for name in _SUMMED},
        "freshness_ms": [ms for one in told for ms in one["freshness_ms"]],
        "newest_ms": max((one["newest_ms"] for one in told if one["newest_ms"] is not None), default=None),
        "due_ms": min((one["due_ms"] for one in told if one["due_ms"] is not None), default=None),
    }


def lag_of(waiting: int | None, own: Mapping[str, Any] | None) -> float | None:
    """Seconds that the lane is behind: the age of the newest record it has applied, 0 with nothing waiting."""
    if waiting is None:
        return None
    if waiting == 0:
        return 0.0
    newest = own["newest_ms"] if own else None
    return round(max(0.0, time.time() - newest / 1000), 3) if newest else None


def quantile(ordered: list[float], share: float) -> float | None:
    """The value below which ``share`` of an ordered list lies; ``None`` of an empty one."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None
