"""How far everything is, looked at every two seconds: what the agent shows, plots and waits for.

A lane that had nothing to do and whose topics have got nothing since is not asked for again, so that watching a line
at rest costs next to nothing.
"""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from audit.schedule import Pace
from changes.errors import Misconfigured, Transient
from changes.progress import Offsets, SnapshotState
from changes.topology import Topology
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import BATCH, GroupOffsets, LaneId, PositionsTail, behind, committed_ordinal, lanes_of
from tailrace.agent.api import Capture, Lane, LaneTrend, Trend
from tailrace.health import WorkerReports, capture_of, own_report, standing
from tailrace.reports import STALE_SECONDS, Reports

EVERY = 2.0
"""Seconds from one look to the next."""
KEPT = 1800
"""Looks that are remembered: an hour of them."""
MYSQL_EVERY = 10.0
"""Seconds from one question to MySQL to the next."""

Point = tuple[float | None, float | None, int | None]
"""Of one lane at one time: lag in seconds, changes applied a second, records waiting."""


@dataclass
class _Known:
    """What is known of one lane: the ends that it was measured against, when it last had nothing to do, and what its
    worker had applied when that was asked last."""

    ends: Offsets = field(default_factory=dict)
    waiting: int | None = None
    idle_at: float | None = None
    applied: tuple[float, int] | None = None


class Pulse:
    """`look` blocks and is for one thread at a time; what it has found may be read by any."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str], reports: Reports) -> None:
        self._topology, self._reports = topology, reports
        self._mysql = MysqlUrl.parse(endpoints["mysql"])
        kafka = KafkaUrl.parse(endpoints["kafka"])
        self._tail, self._groups = PositionsTail(kafka, version), GroupOffsets(kafka)
        self._lanes = lanes_of(topology, version)
        self._known = {lane: _Known() for lane in self._lanes}
        self._committed: int | None = None
        self._asked_at = 0.0
        self._caught_up_at: float | None = None
        self._points: deque[tuple[int, list[Point]]] = deque(maxlen=KEPT)
        self.at_ms = 0
        self.capture = Capture(None, None, "unknown")
        self.lanes = [Lane(one.sink, one.tier, "unknown", self._objective(one) * 1000) for one in self._lanes]
        self.fills: Mapping[str, SnapshotState] = {}
        self.capturing = False

    def _objective(self, lane: LaneId) -> float:
        return self._topology.tiers[lane.tier].fresh

    def look(self) -> None:
        """Take in how everything stands now. Kafka or MySQL being away is no error: what they know is unknown then."""
        now, reports = time.time(), self._reports.fresh()
        try:
            while self._tail.poll(0.05) >= BATCH:
                pass
            away = ""
        except Transient as error:
            away = str(error)
        last = self._tail.last
        self.capturing = not away and last is not None and now - last.at_ms / 1000 <= STALE_SECONDS
        self.fills = dict(self._tail.snapshots)
        told = Capture(**capture_of(last, self.fills, reports, None if away else self._caught_up(now)))
        if told.lag_s == 0:
            self._caught_up_at = now
        lag = None if told.lag_s is None else _lag(told.lag_s, self._caught_up_at, now)
        self.capture = msgspec.structs.replace(told, lag_s=lag)
        lanes: list[Lane] = []
        points: list[Point] = []
        for lane in self._lanes:
            known = self._known[lane]
            waiting = None if away or last is None else self._waiting(lane, known, now)
            stand = standing(lane, waiting, reports)
            lag = None if waiting is None else _lag(stand["lag_s"], known.idle_at, now)
            lanes.append(self._told(lane, stand, lag))
            points.append((lag, _rate(known, lane, reports, now), waiting))
        self.lanes, self.at_ms = lanes, round(now * 1000)
        self._points.append((self.at_ms, points))

    def _caught_up(self, now: float) -> bool | None:
        """Whether capture has published what MySQL had committed when it was asked last."""
        if now - self._asked_at >= MYSQL_EVERY:
            self._asked_at = now
            try:
                self._committed = committed_ordinal(self._mysql)
            except (Transient, Misconfigured):
                self._committed = None
        last = self._tail.last
        return None if self._committed is None or last is None else last.ordinal >= self._committed

    def _waiting(self, lane: LaneId, known: _Known, now: float) -> int | None:
        ends = {part: end for part, end in self._tail.ends.items() if part[0] in lane.topics}
        if known.waiting != 0 or ends != known.ends:
            try:
                known.waiting = behind(lane, ends, self._groups.of(lane, ends))
            except (Transient, Misconfigured):
                known.waiting = None
            known.ends = ends
        if known.waiting == 0:
            known.idle_at = now
        return known.waiting

    def _told(self, lane: LaneId, stand: dict[str, Any], lag: float | None) -> Lane:
        told = {**stand, "lag_s": lag, "attained": stand["fresh_share"]}
        del told["fresh_share"]
        return Lane(objective_ms=self._objective(lane) * 1000, **told)

    def paces(self) -> list[Pace]:
        """The lanes, as a schedule looks at them."""
        tiers = self._topology.tiers
        return [
            Pace(
                lane.sink,
                lane.tier,
                tiers[lane.tier].flush,
                tiers[lane.tier].fresh,
                lane.state == "running",
                lane.reason or ("" if lane.state == "running" else f"its state is {lane.state}"),
                lane.lag_s,
                lane.waiting,
            )
            for lane in self.lanes
        ]

    def trend(self, since_ms: int) -> Trend:
        """The looks behind ``since_ms``."""
        chosen = [(at, points) for at, points in list(self._points) if at > since_ms]
        return Trend(
            [at for at, _ in chosen],
            {
                f"{lane.sink}.{lane.tier}": LaneTrend(
                    [points[number][0] for _, points in chosen],
                    [points[number][1] for _, points in chosen],
                    [points[number][2] for _, points in chosen],
                )
                for number, lane in enumerate(self._lanes)
            },
        )

    def close(self) -> None:
        self._tail.close()


def _lag(by_newest: float | None, idle_at: float | None, now: float) -> float | None:
    """Nobody is further behind than the age of what was done last, nor than the time since there was nothing to do: the
    first alone would be the length of a night's rest for the first change of the morning."""
    since = None if idle_at is None else round(now - idle_at, 3)
    return min((lag for lag in (by_newest, since) if lag is not None), default=None)


def _rate(known: _Known, lane: LaneId, reports: WorkerReports, now: float) -> float | None:
    """Changes applied a second since the last look; ``None`` where its worker was started anew, or says nothing."""
    own, before = own_report(lane.sink, lane.tier, reports), known.applied
    known.applied = None if own is None else (now, own["applied"])
    if own is None or before is None or own["applied"] < before[1]:
        return None
    applied: int = own["applied"] - before[1]
    return round(applied / max(0.001, now - before[0]), 1)
