"""``tailrace plan`` and ``tailrace apply``: what each declared place needs, and having it made so."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl, ensure_topics
from streams.replay.asked import Replay, Since
from streams.replay.needs import Need, needs
from streams.replay.replaying import Replaying
from streams.topics import topic_specs
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
from tailrace.commands.replay import bars, delivered, in_words, shown
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.command()
@topics_option
@version_option
@json_option
def plan(topics: Path, version: str | None, as_json: bool) -> None:
    """Show where everything goes, and what is not there yet as it is declared. Nothing is changed.

    Exit code 4 where a store could not be asked.
    """
    topology = read_topology(topics)
    one = one_version(topology, version)
    found = asyncio.run(needs(topology, one, endpoints_of(topology, one)))
    if as_json:
        print_json([_shown(need) for need in found])
    else:
        Console().print(_table(found))
        for need in found:
            if need.means == "replay":
                say(f"{need.target.table} → {need.target.sink}: {need.why}: `tailrace apply`, or {_command(need)}")
    raise SystemExit(UNDECIDED if any(need.action == "unknown" for need in found) else OK)


@click.command()
@topics_option
@version_option
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="The most records a second, for each sink.")
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@json_option
@click.pass_context
def apply(
    context: click.Context, topics: Path, version: str | None, rate: float | None, dry_run: bool, as_json: bool
) -> None:
    """Make topics and places as they are declared, and fill from the topics what lanes do not fill by themselves.

    Nothing is ever dropped. Exit code 4 where a replay was broken off: it goes on when this is run again.
    """
    if dry_run:
        context.invoke(plan, topics=topics, version=version, as_json=as_json)
        return
    topology = read_topology(topics)
    one = one_version(topology, version)
    endpoints = endpoints_of(topology, one)
    kafka = KafkaUrl.parse(endpoints["kafka"])
    created = ensure_topics(kafka, topic_specs(topology, one))
    found = asyncio.run(needs(topology, one, endpoints))
    asyncio.run(_opened(topology, one, kafka, endpoints))
    ended = _filled(topology, one, endpoints, found, rate or 0.0)
    if as_json:
        replays = [shown(replay, None) for replay in ended]
        print_json({"version": one, "topics": created, "plan": [_shown(need) for need in found], "replays": replays})
    else:
        for topic in created:
            say(f"made topic {topic}")
        say("\n".join(map(in_words, ended)) or "every place is as it is declared, or its lane fills it")
    raise SystemExit(OK if all(replay.state == "done" for replay in ended) else UNDECIDED)


async def _opened(topology: Topology, version: str, kafka: KafkaUrl, endpoints: dict[str, str]) -> None:
    """Every place of which the columns are known by now is made, or widened."""
    book = SchemaBook(kafka, version)
    await asyncio.to_thread(book.refresh)
    latest = book.latest()
    targets = [target for target in topology.every_target(version) if target.table in latest]
    for sink in dict.fromkeys(target.sink for target in targets):
        store = SPECS[sink].build(endpoints[SPECS[sink].endpoint])
        try:
            await store.open([(target, latest[target.table]) for target in targets if target.sink == sink])
        finally:
            await store.close()


def _filled(
    topology: Topology, version: str, endpoints: dict[str, str], found: Sequence[Need], rate: float
) -> list[Replay]:
    wanted: dict[str, list[Target]] = {}
    for need in found:
        if need.means == "replay":
            wanted.setdefault(need.target.sink, []).append(need.target)
    if not wanted:
        return []
    replaying = Replaying(topology, version, endpoints)
    plans = replaying.planned(wanted, Since(), rate=rate, by_lane=False)
    with bars() as show:
        return asyncio.run(delivered(replaying, replaying.claimed(plans, anew=False), show))


def _shown(need: Need) -> dict[str, Any]:
    target = need.target
    return {
        "version": target.version,
        "table": target.table,
        "sink": target.sink,
        "tier": target.tier.name,
        "place": target.place,
        "owns": target.owns,
        "keeps": target.keep,
        "action": need.action,
        "needs": need.means or None,
        "why": need.why or None,
    }


def _table(found: Sequence[Need]) -> Table:
    table = Table("table", "sink", "tier", "place", "owns", "keeps", "action", "filled by")
    for need in found:
        one = need.target
        table.add_row(one.table, one.sink, one.tier.name, one.place, one.owns, one.keep, need.action, need.means)
    return table


def _command(need: Need) -> str:
    return f"`tailrace replay --sink {need.target.sink} --table {need.target.source}`"
