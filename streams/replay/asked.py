"""What a replay is of: which targets, from where on. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

from changes.errors import Misconfigured
from changes.progress import Offsets, folded
from changes.target import Target
from changes.topology import Topology

Way = Literal["beside", "through", "shadow"]
"""``beside`` the live lane, with a consumer group of its own; ``through`` it, which goes back for that. A ``shadow``
goes to places of its own, and goes on when it is filled."""

State = Literal["running", "done", "dropped", "switched"]
"""``switched``: a shadow is where the live place was, and that is kept under another name."""


def way_of(guarded: bool, *, by_lane: bool) -> Way:
    """A store that is not its own guard has one writer of each row, its live lane; whoever asks otherwise."""
    return "through" if by_lane or not guarded else "beside"


@dataclass(frozen=True)
class Since:
    """Where a replay begins: an ``offset`` of each partition, a time (``ms`` since 1970), else the beginning."""

    offset: int | None = None
    ms: int | None = None

    def __str__(self) -> str:
        if self.offset is not None:
            return f"offset {self.offset}"
        if self.ms is not None:
            return datetime.fromtimestamp(self.ms / 1000, UTC).isoformat(timespec="seconds")
        return "the beginning"


def since_of(text: str) -> Since:
    """``beginning``, an offset, or a time as in ``2026-11-22T06:00``, of UTC where it names no zone.

    Raises `ValueError` for anything else.
    """
    if text == "beginning":
        return Since()
    if re.fullmatch(r"\d{1,18}", text):
        return Since(offset=int(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no place to begin: say `beginning`, an offset, or 2026-11-22T06:00") from None
    return Since(ms=round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000))


class Replay(msgspec.Struct, frozen=True):
    """A replay to one sink as ``<version>.tailrace.replays`` keeps it.

    ``starts`` and ``ends`` are topic → partition → offset, what lies between is delivered again; ``since`` is where it
    was to begin, in words. ``records`` and ``bytes`` are about how many that is. ``rate`` is the most records in a
    second, 0 for no limit. ``done`` is which part of it was delivered when this was written, and ``speed`` how many
    records a second since the process began that is at it: the ``run`` of this name, ``pid`` of ``host``.
    ``followed``: the lanes have gone back for it.
    """

    id: str
    sink: str
    way: Way
    since: str
    targets: list[str]
    starts: dict[str, dict[str, int]]
    ends: dict[str, dict[str, int]]
    records: int
    bytes: int
    rate: float
    begun_ms: int
    at_ms: int
    state: State = "running"
    done: float = 0.0
    speed: float = 0.0
    followed: bool = False
    host: str = ""
    pid: int = 0
    run: str = ""

    @property
    def start_offsets(self) -> Offsets:
        return folded(self.starts)

    @property
    def end_offsets(self) -> Offsets:
        return folded(self.ends)

    @property
    def lane(self) -> str:
        """What stands for a tier in the name of its own consumer group."""
        return f"{'shadow' if self.way == 'shadow' else 'replay'}-{self.id}"

    def rivals(self, other: "Replay") -> bool:
        """Whether both would write to the same places."""
        if self.sink != other.sink or (self.way == "shadow") != (other.way == "shadow"):
            return False
        return self.way != "shadow" or not set(self.targets).isdisjoint(other.targets)

    def asks(self, other: "Replay") -> bool:
        """Whether it is of the same records as another."""
        return (self.way, self.since, self.targets) == (other.way, other.since, other.targets)


def chosen(
    topology: Topology, version: str, *, sinks: Sequence[str], topics: Sequence[str], tables: Sequence[str]
) -> dict[str, list[Target]]:
    """The targets to be filled, by sink: those of ``topics``, of ``tables`` and what is made of them, else all.

    Raises `ValueError` that says in words what is not there.
    """
    every = topology.every_target(version)
    receiving = list(dict.fromkeys(target.sink for target in every))
    for sink in sinks:
        _known(sink, receiving, "nothing goes to sink")
    known = list(dict.fromkeys(topology.topic_of(target) for target in every))
    for topic in topics:
        _known(topic, known, "there is no topic")
    for table in tables:
        _known(table, topology.tables, "there is no table")
    found: dict[str, list[Target]] = {}
    for target in every:
        wanted = not (topics or tables) or topology.topic_of(target) in topics or target.source in tables
        if wanted and (not sinks or target.sink in sinks):
            found.setdefault(target.sink, []).append(target)
    for sink in sinks:
        if sink not in found:
            raise ValueError(f"nothing of {', '.join([*topics, *tables])} goes to sink `{sink}`")
    return found


def _known(name: str, known: Collection[str], what: str) -> None:
    if name not in known:
        raise ValueError(f"{what} `{name}`: there are {', '.join(known)}")


def seconds_for(records: int, rate: float, speed: float | None) -> float | None:
    """How long so many records take, at a limit (0 for none) and a speed that was measured; ``None``: nobody knows."""
    speeds = [one for one in (rate, speed) if one]
    return records / min(speeds) if speeds else None


def refuse_slow(records: int, rate: float, longest: float) -> None:
    """Raises `Misconfigured` where a replay at ``rate`` would last longer than ``longest`` seconds.

    A topic forgets a deleted row after that time; of one whose row had been brought back by then nobody would know.
    """
    if rate and records / rate > longest:
        raise Misconfigured(
            f"about {records} records at {rate:g} a second take {records / rate / 86400:.1f} days, and after"
            f" {longest / 86400:g} days a topic forgets deletes: rows would stay that are no more. Take a higher"
            " `--rate`"
        )


def refuse_old(replay: Replay, now_ms: int, longest: float) -> None:
    """Raises `Misconfigured` where deletes may have been forgotten that a replay has not come to: where it began too
    long ago, or, of a shadow that was filled, where nobody has followed for too long."""
    if replay.way == "shadow" and replay.done >= 1.0:
        if now_ms - replay.at_ms > longest * 1000:
            raise Misconfigured(
                f"the shadow of {', '.join(replay.targets)} in `{replay.sink}` was not followed for more than"
                f" {longest / 86400:g} days: its topics may have forgotten deletes since. Drop it with `--drop-shadow`,"
                " and begin another"
            )
    elif now_ms - replay.begun_ms > longest * 1000:
        raise Misconfigured(
            f"the replay of `{replay.sink}` was begun more than {longest / 86400:g} days ago: its topics may have"
            " forgotten deletes since. Begin another with `--anew`, and let `tailrace check --repair` find what this"
            " one brought back"
        )


def measured(replays: Mapping[str, Replay], sink: str) -> float | None:
    """The speed of the last replay to a sink that ended and was not held back; ``None`` where there was none."""
    ended = [
        one
        for one in replays.values()
        if one.sink == sink and one.way != "shadow" and one.state == "done" and one.speed and not one.rate
    ]
    return max(ended, key=lambda one: one.at_ms).speed if ended else None
