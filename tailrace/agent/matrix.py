"""What is said of a store, from its lanes, its last audit and its incidents: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.entry import Audit
from audit.incidents import UNACCOUNTED, Depth, Incident
from audit.report import Report, Verdict
from tailrace.agent.api import Capture, Lane, Store, StoreState
from tailrace.health import STANDING_BY

LEEWAY = 2.0
"""Seconds beyond its objective for which a lane is not called behind: lanes are looked at no more often."""


@dataclass(frozen=True)
class Checked:
    """What the last audit of a whole store said of it."""

    at_ms: int
    depth: Depth
    verdict: Verdict
    different: int
    undecided: int
    reason: str


def checked(audit: Audit, report: Report | None) -> dict[str, Checked]:
    """What an audit of all tables said, by sink."""
    at_ms = audit.began_ms + round(1000 * (audit.seconds or 0))
    found: dict[str, Checked] = {}
    for sink, verdict in audit.by_sink.items():
        results = [result for result in (report.results if report is not None else ()) if result.sink == sink]
        reasons = (f"{one.table}: {one.reason}" for one in results if one.reason)
        found[sink] = Checked(
            at_ms,
            audit.depth,
            verdict,
            sum(result.different for result in results),
            sum(result.undecided for result in results),
            next(reasons, audit.reason),
        )
    return found


def store(
    sink: str,
    capture: Capture,
    lanes: Sequence[Lane],
    last: Checked | None,
    open_: Iterable[Incident],
    letters: int | None,
    unaccounted: int | None = None,
) -> Store:
    """``lanes`` are the sink's, at least one. That records are unaccounted for says nothing of its rows: audits do."""
    mine = [one for one in open_ if one.sink == sink]
    latest = max(lanes, key=_lateness)
    state, reason = _state(capture, lanes, last, [one for one in mine if one.class_ != UNACCOUNTED])
    return Store(
        sink=sink,
        state=state,
        reason=reason,
        lag_s=latest.lag_s,
        objective_s=latest.objective_ms / 1000,
        checked_at_ms=last.at_ms if last is not None else None,
        depth=last.depth if last is not None else None,
        verdict=last.verdict if last is not None else None,
        different=last.different if last is not None else None,
        undecided=last.undecided if last is not None else None,
        open_incidents=len(mine),
        letters=letters,
        unaccounted=unaccounted,
    )


def _lateness(lane: Lane) -> float:
    """In multiples of its objective; what is not known counts most."""
    return float("inf") if lane.lag_s is None else lane.lag_s * 1000 / lane.objective_ms


def _state(
    capture: Capture, lanes: Sequence[Lane], last: Checked | None, open_: Sequence[Incident]
) -> tuple[StoreState, str]:
    if open_:
        rows = sum(one.rows for one in open_)
        differ = "1 row differs" if rows == 1 else f"{rows} rows differ"
        return "different", f"{differ} in {', '.join(sorted({one.table for one in open_}))}"
    chain: list[Capture | Lane] = [capture, *lanes]
    if unknown := next(filter(None, map(_unknown, chain)), ""):
        return "unknown", unknown
    objective = min(lane.objective_ms for lane in lanes) / 1000
    if late := next(filter(None, (_late(one, objective) for one in chain)), ""):
        return "behind", late
    if last is None:
        return "unknown", "it was not audited yet"
    if last.verdict == "undecided":
        return "unknown", last.reason or "its last audit could not decide"
    return "equal", ""  # what it found different has closed since


def _who(one: Capture | Lane) -> str:
    return "capture" if isinstance(one, Capture) else f"the lane {one.tier}"


def _unknown(one: Capture | Lane) -> str:
    """Why nobody knows how it stands, "" where it is known."""
    if one.state not in {"running", STANDING_BY}:
        return one.reason or f"{_who(one)} is {one.state}"
    return f"nobody knows how far {_who(one)} is" if one.lag_s is None else ""


def _late(one: Capture | Lane, objective: float) -> str:
    """How late it is, "" where it is not; capture is to be as quick as the quickest lane behind it, ``objective``."""
    allowed = (one.objective_ms / 1000 if isinstance(one, Lane) else objective) + LEEWAY
    return f"{_who(one)} is {one.lag_s:.0f} s behind" if one.lag_s is not None and one.lag_s > allowed else ""
