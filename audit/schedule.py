"""When a version is audited, and what of it: pure. Times are seconds of any one clock.

Nothing is audited while capture fills tables. A store whose lanes are late is left out until they have caught up: it
could only be called undecided. Lanes that hold changes back for long are asked to write before their store is audited,
so that is done no more often than they would.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from audit.incidents import Depth
from changes.tier import seconds
from changes.topology.model import AuditDecl

QUICK_SHARE = 0.2
"""The greatest share of time that quick audits take: where one takes longer, the next one comes later."""
LATEST = 86_400.0
"""A deep audit comes at least so often, whatever share of time that takes."""
LATE = 10.0
"""Seconds that a lane may be late beyond its objective before an audit does without its store."""
COUNT_SHARE = 0.05
"""The greatest share of time for which records are counted."""
SLOW = 10.0
"""Lanes of tiers that hold changes back for longer than this are asked to write."""


@dataclass(frozen=True)
class Rhythm:
    """``quick`` and ``deep`` are the shortest times between two audits of that depth, in seconds. Deep audits are put
    further apart, up to `LATEST`, so that they take no more than ``share`` of the time."""

    quick: float = 60.0
    deep: float = 600.0
    share: float = 0.05

    @classmethod
    def of(cls, declared: AuditDecl) -> "Rhythm":
        return cls(seconds(declared.quick), seconds(declared.deep), declared.share)


@dataclass(frozen=True)
class Past:
    """An audit that is over."""

    began: float
    seconds: float


@dataclass(frozen=True)
class Pace:
    """How one lane stands. ``flush`` and ``fresh`` are its tier's, in seconds. ``lag`` and ``waiting`` are ``None``
    where they are not known, ``running`` is false where its worker says something else or nothing."""

    sink: str
    tier: str
    flush: float
    fresh: float
    running: bool
    reason: str
    lag: float | None
    waiting: int | None

    @property
    def held_up(self) -> str:
        """Why its store had better not be audited now, "" where nothing speaks against it."""
        if self.waiting == 0:
            return ""
        if not self.running:
            return f"{self.sink}.{self.tier} does not run{f': {self.reason}' if self.reason else ''}"
        if self.flush > SLOW:
            return ""
        if self.lag is None:
            return f"nobody knows how far {self.sink}.{self.tier} is"
        return f"{self.sink}.{self.tier} is {self.lag:.0f} s behind" if self.lag > self.fresh + LATE else ""


@dataclass(frozen=True)
class Choice:
    """The stores to audit, those among them whose lanes are asked to write first, and why others are left out."""

    sinks: list[str]
    flush: list[str]
    left_out: dict[str, str]


def due(rhythm: Rhythm, pasts: Mapping[Depth, Past], now: float) -> list[tuple[float, Depth]]:
    """When the next audit of either depth is due, the sooner first. A deep one is a quick one too."""
    quick, deep = pasts.get("quick"), pasts.get("deep")
    apart = max(rhythm.quick, quick.seconds / QUICK_SHARE) if quick is not None else rhythm.quick
    last = max((past.began + past.seconds for past in (quick, deep) if past is not None), default=None)
    begun = max((past.began for past in (quick, deep) if past is not None), default=now - apart)
    next_quick = now if last is None else max(last, begun + apart)
    next_deep = now
    if deep is not None:
        between = min(max(rhythm.deep, deep.seconds / max(rhythm.share, 0.0001)), max(LATEST, rhythm.deep))
        next_deep = deep.began + between
    both: list[tuple[float, Depth]] = [(next_quick, "quick"), (next_deep, "deep")]
    return sorted(both, key=lambda one: one[0])


def count_due(rhythm: Rhythm, past: Past | None, now: float) -> float:
    """When records are to be counted: as often as quick audits are due at the soonest, beside whatever audit runs."""
    return now if past is None else past.began + max(rhythm.quick, past.seconds / COUNT_SHARE)


def choice(paces: Iterable[Pace], *, depth: Depth, last: Mapping[str, float], now: float) -> Choice:
    """What an audit on schedule looks at. ``last`` is when each store was audited last, quick or deep."""
    lanes: dict[str, list[Pace]] = {}
    for pace in paces:
        lanes.setdefault(pace.sink, []).append(pace)
    sinks: list[str] = []
    flush: list[str] = []
    left_out: dict[str, str] = {}
    for sink, mine in lanes.items():
        held_up = next((reason for pace in mine if (reason := pace.held_up)), "")
        slowest = max(pace.flush for pace in mine)
        if held_up:
            left_out[sink] = held_up
        elif slowest > SLOW and depth == "quick" and sink in last and now < last[sink] + slowest:
            left_out[sink] = ""  # nothing is wrong with it: it is not its turn
        else:
            sinks.append(sink)
            if slowest > SLOW:
                flush.append(sink)
    return Choice(sinks, flush, left_out)


def filling(names: Collection[str], *, capturing: bool) -> str:
    """Why nothing is audited now, "" where something can be. ``names`` are of tables being filled."""
    if not capturing:
        return "capture has not said lately how far it is"
    return f"capture is filling {', '.join(sorted(names))}" if names else ""


@dataclass(frozen=True)
class Refilled:
    """Something that was told anew as a whole: its audit is due as soon as it can be. Empty: all."""

    sinks: Sequence[str] = ()
    tables: Sequence[str] = ()


def refilled(before: Mapping[str, int], rewound: Mapping[str, int]) -> list[Refilled]:
    """The stores whose lanes were rewound since ``before``, by sink; one that was not known then is no news."""
    return [Refilled(sinks=(sink,)) for sink, times in rewound.items() if times > before.get(sink, times)]
