"""Which audit is next: what was asked for, what was told anew as a whole, what is due."""

import time
from collections import deque
from collections.abc import Mapping, Sequence

from audit.entry import Audit
from audit.incidents import Depth, Incident, Scope, to_look_at_again
from audit.schedule import Choice, Pace, Past, Refilled, Rhythm, choice, due, filling, refilled
from changes.progress import SnapshotState
from changes.topology import Topology
from tailrace.agent.api import Lane, Next
from tailrace.agent.auditor import Job


class Turns:
    """``repair`` is the most rows that audits on schedule have told anew. Times are in seconds since 1970."""

    def __init__(self, topology: Topology, version: str, rhythm: Rhythm, repair: int) -> None:
        self._sinks = topology.sinks
        self._sources = {one.table: one.source for one in topology.every_target(version)}
        self._rhythm, self._repair = rhythm, repair
        self._jobs: deque[Job] = deque()
        self._pasts: dict[Depth, Past] = {}
        self._missed: set[str] = set()
        self._refilled: list[Refilled] = []
        self._rewound: dict[str, int] = {}
        self._filling: set[str] = set()
        self._waits_for = ""

    def remember(self, depth: Depth, last: Audit | None) -> None:
        """Go on from the last audit of a depth."""
        if last is not None:
            self._pasts[depth] = Past(last.began_ms / 1000, last.seconds or 0.0)

    def ask(self, job: Job) -> None:
        self._jobs.append(job)

    @property
    def waiting(self) -> list[Job]:
        """What was asked for and was not begun yet."""
        return list(self._jobs)

    def notice(self, lanes: Sequence[Lane], fills: Mapping[str, SnapshotState]) -> None:
        """Stores that were rewound and tables that were told anew since this was called last are to be audited."""
        rewound: dict[str, int] = {}
        for lane in lanes:
            if lane.rewound is not None:
                rewound[lane.sink] = rewound.get(lane.sink, 0) + lane.rewound
        self._refilled += refilled(self._rewound, rewound)
        self._rewound |= rewound
        self._refilled += [
            Refilled(tables=(fills[name].table,))
            for name in self._filling
            if name in fills and fills[name].state == "done" and fills[name].reason
        ]
        self._filling = {name for name, fill in fills.items() if fill.state != "done"}

    def next(
        self,
        now: float,
        paces: Sequence[Pace],
        fills: Mapping[str, SnapshotState],
        last: Mapping[str, float],
        *,
        capturing: bool,
    ) -> Job | None:
        """The job to begin now. ``last`` is when each store was audited last."""
        if self._jobs:
            return self._jobs.popleft()
        open_ = [fill.table for fill in fills.values() if not fill.id and fill.state != "done"]
        self._waits_for = filling(open_, capturing=capturing)
        if self._waits_for:
            return None
        deep = choice(paces, depth="deep", last=last, now=now)
        for one in self._refilled:
            if all(sink in deep.sinks for sink in one.sinks or self._sinks):
                self._refilled.remove(one)
                flush = [sink for sink in deep.flush if not one.sinks or sink in one.sinks]
                return Job("deep", "replay", tables=tuple(one.tables), sinks=tuple(one.sinks), flush=tuple(flush))
        for at, depth in due(self._rhythm, self._pasts, now):
            if at <= now:
                chosen = deep if depth == "deep" else choice(paces, depth=depth, last=last, now=now)
                if chosen.sinks:
                    return self._scheduled(depth, chosen)
                self._waits_for = next((reason for reason in chosen.left_out.values() if reason), "")
        ready = [sink for sink in deep.sinks if sink in self._missed]
        return (
            self._scheduled("deep", Choice(ready, [one for one in deep.flush if one in ready], {})) if ready else None
        )

    def _scheduled(self, depth: Depth, chosen: Choice) -> Job:
        if depth == "deep":  # a store that is late now has its turn as soon as it has caught up
            self._missed = (self._missed | set(chosen.left_out)) - set(chosen.sinks)
        sinks = () if set(chosen.sinks) == set(self._sinks) else tuple(chosen.sinks)
        return Job(depth, "schedule", sinks=sinks, flush=tuple(chosen.flush), cap=self._repair)

    def done(self, job: Job, began: float, open_: Sequence[Incident], sampled: set[Scope]) -> None:
        """``job``, begun then, is over; ``open_`` are the incidents behind it. What follows from it is asked for."""
        if job.why == "schedule" and job.depth != "keys":
            self._pasts[job.depth] = Past(began, time.time() - began)
            again = to_look_at_again(open_, sampled) if job.depth == "quick" else []
            spots = tuple(((one.sink, one.table), spot) for one in again for spot in one.spots)
            if spots:
                self.ask(Job("keys", "schedule", spots=spots))
        if job.why == "repair" and job.cap and not job.dry_run:
            mine = [one for one in open_ if (one.sink, one.table) == (job.sinks[0], job.only) and not one.whole]
            if mine:  # there were more than an incident remembers: only a whole look can close it
                depth: Depth = "quick" if all(one.depth == "quick" for one in mine) else "deep"
                source = self._sources[job.only]
                self.ask(Job(depth, "repair", tables=(source,), sinks=job.sinks, flush=job.flush))

    def coming(self, now: float) -> list[Next]:
        return [
            Next(depth, round(at * 1000), self._waits_for if at <= now else "")
            for at, depth in due(self._rhythm, self._pasts, now)
        ]
