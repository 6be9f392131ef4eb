"""``tailrace replay``: what stands in topics, delivered once more."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from changes.topology import Topology
from streams.replay.asked import Replay, Since, chosen, measured, seconds_for, since_of
from streams.replay.replaying import Progress as Told
from streams.replay.replaying import Replaying
from tailrace.commands.common import (
    OK,
    UNDECIDED,
    json_option,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.commands.shadow import Done, Shadows, Verb, places
from tailrace.commands.shadow import shown as report_shown
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


class Place(click.ParamType):
    """Where a replay begins."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Since:
        if isinstance(value, Since):
            return value
        try:
            return since_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@topics_option
@version_option
@click.option("--sink", "sinks", multiple=True, help="Only to this sink; may be given again.")
@click.option("--topic", "names", multiple=True, help="Only this topic; may be given again.")
@click.option("--table", "tables", multiple=True, help="Only this table and what is made of it; may be given again.")
@click.option(
    "--from",
    "since",
    type=Place(),
    default="beginning",
    show_default=True,
    help="Also a time as in 2026-11-22T06:00 (UTC), or an offset, with one --topic.",
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="The most records a second, for each sink.")
@click.option("--through", "by_lane", is_flag=True, help="Have the running lanes go back, and watch them.")
@click.option("--anew", is_flag=True, help="Drop a replay that was left unfinished, and begin this one.")
@click.option(
    "--shadow",
    "aside",
    flag_value="shadow",
    help="Fill a place beside the live one of --sink and --table, and follow until this is ended.",
)
@click.option(
    "--switch",
    "aside",
    flag_value="switch",
    help="Audit that place deeply, and exchange it with the live one if equal.",
)
@click.option(
    "--drop-shadow", "aside", flag_value="drop", help="Remove that place, or behind --switch what was live before."
)
@click.option("--status", "shows", is_flag=True, help="Say how far replays are, and which there were.")
@click.option("--dry-run", is_flag=True, help="Only say how many records that is, and how long it may take.")
@json_option
def replay(
    topics: Path,
    version: str | None,
    sinks: tuple[str, ...],
    names: tuple[str, ...],
    tables: tuple[str, ...],
    since: Since,
    rate: float | None,
    by_lane: bool,
    anew: bool,
    aside: Verb | None,
    shows: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Deliver what stands in topics once more, while changes go on: no model is asked, MySQL is not read.

    A store keeps what is newer. Rows of which no topic knows any more stay: `tailrace check --repair` removes them. One
    that was broken off goes on where it was when the same is asked for again. Exit code 4 where it was.
    """
    topology = read_topology(topics)
    one = one_version(topology, version)
    if since.offset is not None and (len(names) != 1 or tables):
        raise click.UsageError("an offset is one of a topic: name it with --topic")
    if aside is not None and (len(sinks) != 1 or not tables or names or since != Since() or by_lane or anew or shows):
        raise click.UsageError("a shadow is of one --sink and of a --table, from the beginning")
    try:
        targets = chosen(topology, one, sinks=sinks, topics=names, tables=tables)
        endpoints = endpoints_of(topology, one)
        if aside is not None:
            (chosen_,) = targets.values()
            shadows = Shadows(topology, one, endpoints, chosen_, rate=rate or 0.0, dry_run=dry_run)
            raise SystemExit(_aside(topology, one, shadows, aside, dry_run=dry_run, as_json=as_json))
        replaying = Replaying(topology, one, endpoints)
        if shows:
            _show(one, [r for r in replaying.book.replays().values() if r.sink in targets], as_json)
            return
        plans = replaying.planned(targets, since, rate=rate or 0.0, by_lane=by_lane)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    known = replaying.book.replays()
    times = {one.sink: seconds_for(one.records, one.rate, measured(known, one.sink)) for one in plans}
    if dry_run:
        ended = plans
    else:
        with bars() as show:
            ended = asyncio.run(delivered(replaying, replaying.claimed(plans, anew=anew), show))
    if as_json:
        print_json({"version": one, "dry_run": dry_run, "replays": [shown(r, times[r.sink]) for r in ended]})
    else:
        for each in ended:
            say(_planned(each, times[each.sink]) if dry_run else in_words(each))
    raise SystemExit(OK if dry_run or all(each.state == "done" for each in ended) else UNDECIDED)


def _aside(topology: Topology, version: str, shadows: Shadows, verb: Verb, *, dry_run: bool, as_json: bool) -> int:
    """The exit code."""

    async def work(show: Callable[[Told], None]) -> Done:
        with _ending() as stop:
            return await shadows.do(verb, stop, show)

    with bars() as show:
        done = asyncio.run(work(show))
    if as_json:
        told = [{**shown(r, None), "places": places(topology, version, r)} for r in done.replays]
        print_json({"version": version, "dry_run": dry_run, "replays": told, "audit": report_shown(done.report)})
    else:
        for line in done.words or [in_words(each) for each in done.replays]:
            say(line)
    return done.code


async def delivered(replaying: Replaying, replays: Sequence[Replay], show: Callable[[Told], None]) -> list[Replay]:
    """All of them, until they are done or somebody ends this process."""
    with _ending() as stop:
        running = [asyncio.create_task(replaying.run(each, stop, show)) for each in replays]
        try:
            return await asyncio.gather(*running)
        finally:
            stop.set()  # one that failed ends the others, which say how far they are
            await asyncio.gather(*running, return_exceptions=True)


@contextmanager
def _ending() -> Iterator[asyncio.Event]:
    """What is set when somebody ends this process."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def shown(one: Replay, seconds: float | None) -> dict[str, Any]:
    """A replay for scripts; ``seconds`` is how long it may take, ``None`` where nothing was measured."""
    return {
        "id": one.id,
        "sink": one.sink,
        "way": one.way,
        "from": one.since,
        "targets": one.targets,
        "topics": sorted(one.ends),
        "records": one.records,
        "bytes": one.bytes,
        "seconds": None if seconds is None else round(seconds, 1),
        "rate": one.rate or None,
        "state": one.state,
        "done": round(one.done, 4),
        "speed": round(one.speed, 1) or None,
    }


def _show(version: str, replays: Sequence[Replay], as_json: bool) -> None:
    if as_json:
        print_json({"version": version, "replays": [shown(one, None) for one in replays]})
    else:
        say("\n".join(map(in_words, replays)) or "no replay was ever begun")


def _planned(one: Replay, seconds: float | None) -> str:
    took = "nobody knows how long: none was measured yet" if seconds is None else f"about {seconds:.0f} s"
    return (
        f"{one.sink}: about {one.records} records of {len(one.ends)} topics, {one.bytes / 1e6:.1f} MB, from"
        f" {one.since}, {one.way} {'its lanes' if one.way == 'through' else 'the live lanes'}: {took}"
    )


def in_words(one: Replay) -> str:
    """How far it is, in a line."""
    speed = f", {one.speed:.0f} records/s" if one.speed else ""
    if one.way == "shadow":
        return _shadow_in_words(one)
    if one.state == "done":
        return f"{one.sink}: about {one.records} records from {one.since} are delivered again{speed}"
    if one.state == "dropped":
        return f"{one.sink}: dropped at {one.done:.0%} of about {one.records} records from {one.since}"
    return f"{one.sink}: {one.done:.0%} of about {one.records} records from {one.since}{speed}"


def _shadow_in_words(one: Replay) -> str:
    told = {
        "running": f"{one.done:.0%} filled",
        "dropped": "dropped",
        "switched": "exchanged, and what was live before is kept",
        "done": "exchanged, and what was live before is dropped",
    }
    return f"{one.sink}: shadow {one.id} of {', '.join(one.targets)}: {told[one.state]}"


@contextmanager
def bars() -> Iterator[Callable[[Told], None]]:
    """A bar a sink on standard error, while there is a terminal; what one waits for is said on any."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bars: dict[str, TaskID] = {}
        reasons: dict[str, str] = {}

        def show(told: Told) -> None:
            sink, eta = told.replay.sink, told.eta_s
            if sink not in bars:
                bars[sink] = progress.add_task("", total=1.0)
            words = in_words(told.replay) + (f", about {eta:.0f} s to go" if eta else "")
            progress.update(bars[sink], completed=told.standing.done, description=words)
            if told.reason and told.reason != reasons.get(sink):
                progress.console.print(f"{sink} waits: {told.reason}", markup=False, highlight=False, soft_wrap=True)
            reasons[sink] = told.reason

        yield show
