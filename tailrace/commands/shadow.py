"""What ``tailrace replay`` does with shadows: places beside the live ones, which are exchanged with them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import click
import msgspec

from audit.deep import check as deep_check
from audit.report import Report
from changes.target import Target
from changes.topology import Topology
from streams.replay.asked import Replay
from streams.replay.names import swaps_of
from streams.replay.replaying import Progress
from streams.replay.shadow import Shadowing
from tailrace.commands.common import INCONSISTENT, OK, UNDECIDED, say

Verb = Literal["shadow", "switch", "drop"]


@dataclass
class Done:
    """What came of it; ``code`` is the exit code, ``report`` that of an audit, if there was one."""

    replays: list[Replay]
    code: int = OK
    words: list[str] = field(default_factory=list)
    report: Report | None = None


class Shadows:
    """Of some targets of one sink."""

    def __init__(
        self,
        topology: Topology,
        version: str,
        endpoints: Mapping[str, str],
        targets: Sequence[Target],
        *,
        rate: float,
        dry_run: bool,
    ) -> None:
        self._topology, self._version, self._endpoints = topology, version, endpoints
        self._targets, self._rate, self._dry_run = targets, rate, dry_run
        self._sink = targets[0].sink
        self._shadowing = Shadowing(topology, version, endpoints, self._sink)

    async def do(self, verb: Verb, stop: asyncio.Event, show: Callable[[Progress], None]) -> Done:
        if verb == "drop":
            return await self._dropped()
        running = [one for one in self._known() if one.state == "running"]
        if verb == "switch" and not running:
            raise click.UsageError(f"there is no shadow of {self._names()} in `{self._sink}`: make one with --shadow")
        planned = await asyncio.to_thread(self._shadowing.planned, self._targets, self._rate)
        if verb == "shadow" and self._dry_run:
            return Done([planned])
        shadow = await asyncio.to_thread(self._shadowing.claimed, planned)
        if verb == "shadow":
            return await self._followed(shadow, stop, show)
        return await self._switched(shadow, stop, show)

    async def _followed(self, shadow: Replay, stop: asyncio.Event, show: Callable[[Progress], None]) -> Done:
        told = False

        def tell(progress: Progress) -> None:
            nonlocal told
            show(progress)
            if progress.standing.done >= 1.0 and not told:
                told = True
                say(
                    f"{self._sink}: {self._places(shadow)} filled, and followed until this process ends."
                    " `--switch` audits and exchanges, `--drop-shadow` removes"
                )

        ended = await self._shadowing.follow(shadow, stop, tell)
        code = OK if ended.state == "switched" or ended.done >= 1.0 else UNDECIDED
        return Done([ended], code, [self._in_words(ended)])

    async def _switched(self, shadow: Replay, stop: asyncio.Event, show: Callable[[Progress], None]) -> Done:
        reports: list[Report] = []

        async def audit(places: Sequence[Target]) -> bool:
            audited = await deep_check(self._topology, self._version, self._endpoints, targets=places, tell=say)
            reports.append(audited.report)
            return audited.report.verdict == "equal" and not self._dry_run

        ended = await self._shadowing.switch(shadow, stop, show, audit)
        report = reports[-1] if reports else None
        words = [] if report is None else [_verdict(report)]
        if ended.state == "switched" or (self._dry_run and report is not None and report.verdict == "equal"):
            code = OK
        else:
            code = INCONSISTENT if report is not None and report.verdict == "different" else UNDECIDED
        return Done([ended], code, [*words, self._in_words(ended)], report)

    async def _dropped(self) -> Done:
        known = self._known()
        if not known:
            raise click.UsageError(f"there is no shadow of {self._names()} in `{self._sink}`, and nothing kept of one")
        if self._dry_run:
            return Done(known, OK, [self._in_words(one) for one in known])
        return Done([await self._shadowing.drop(one) for one in known])

    def _known(self) -> list[Replay]:
        return self._shadowing.known(self._targets)

    def _names(self) -> str:
        return ", ".join(f"`{target.place}`" for target in self._targets)

    def _places(self, one: Replay) -> str:
        return ", ".join(f"`{swap.shadow.place}`" for swap in self._shadowing.swaps(one))

    def _in_words(self, one: Replay) -> str:
        if one.state != "switched":
            return f"{self._sink}: {self._places(one)}, the shadow of {self._names()}, is {one.done:.0%} filled"
        kept = ", ".join(f"`{swap.kept.place}`" for swap in self._shadowing.swaps(one))
        return (
            f"{self._sink}: the shadow is {self._names()} now. What was there before is kept as {kept}, and is written"
            " to no more: `--drop-shadow` removes it"
        )


def places(topology: Topology, version: str, one: Replay) -> list[dict[str, str]]:
    """The names of a shadow's places, for scripts; none of places that are not declared any more."""
    live = [each for each in topology.every_target(version) if each.sink == one.sink and each.name in one.targets]
    return [
        {"live": swap.live.place, "shadow": swap.shadow.place, "kept": swap.kept.place}
        for swap in swaps_of(live, one.id)
    ]


def shown(report: Report | None) -> Any:
    return None if report is None else msgspec.to_builtins(report)


def _verdict(report: Report) -> str:
    rows = ", ".join(
        f"`{one.place}` {one.sink_rows} rows, {one.different} differ"
        + (f" ({one.undecided} undecided)" if one.undecided else "")
        for one in report.results
    )
    refused = "" if report.verdict == "equal" else "; it is not exchanged"
    return f"audited deeply as of {report.position}: {report.verdict}: {rows}{refused}"
