"""``tailrace dlq``: what stores refused, and what becomes of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from changes.position import to_text
from changes.topology import Topology
from streams.capture.requests import send
from streams.deliver.control import Order, give
from streams.deliver.healing import with_healed
from streams.deliver.letters import Decided, Letter, decide, letters_of, message_of
from streams.kafka import KafkaUrl
from tailrace.commands.common import (
    FAILURE,
    Command,
    json_option,
    known_sinks,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.letters import asked_for, table_of

STATES = ("open", "healed", "retried", "discarded")


@click.group()
def dlq() -> None:
    """Records that stores refused: list and show them, have their rows told anew, or set them aside."""


def _filters(function: Command) -> Command:
    for option in (
        click.option("--table", "tables", multiple=True, help="Only of this table; may be given again."),
        click.option("--sink", "sinks", multiple=True, help="Only refused by this sink; may be given again."),
        version_option,
        topics_option,
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class _Letters:
    """A version's letters, as far as they were asked for."""

    topology: Topology
    version: str
    kafka: KafkaUrl
    found: list[Letter]
    away: Mapping[str, str]


def _read(topics: Path, version: str | None, sinks: Sequence[str], tables: Sequence[str]) -> _Letters:
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    endpoints = endpoints_of(topology, chosen)
    kafka = KafkaUrl.parse(endpoints["kafka"])
    letters = [
        letter
        for letter in letters_of(kafka, chosen)
        if (not sinks or letter.sink in sinks) and (not tables or table_of(topology, chosen, letter)[0] in tables)
    ]
    found, away = asyncio.run(with_healed(topology, chosen, endpoints, letters))
    return _Letters(topology, chosen, kafka, found, away)


@dlq.command("list")
@_filters
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; may be given again.")
@json_option
def list_(
    topics: Path,
    version: str | None,
    sinks: tuple[str, ...],
    tables: tuple[str, ...],
    states: tuple[str, ...],
    as_json: bool,
) -> None:
    """List dead letters: open, healed by a later change of their row, retried, or discarded."""
    read = _read(topics, version, sinks, tables)
    shown = [_summary(read, letter) for letter in read.found if not states or letter.state in states]
    if as_json:
        print_json(shown)
    else:
        table = Table("id", "sink", "target", "key", "state", "times", "reason", title=f"{read.version}: dead letters")
        for one in shown:
            key = ", ".join(f"{name}={value}" for name, value in one["key"].items())
            table.add_row(
                one["id"], one["sink"], one["target"], key, one["state"], str(one["times"]), one["reason"][:200]
            )
        Console().print(table)
    _say_away(read)


def _say_away(read: _Letters) -> None:
    for sink, reason in read.away.items():
        say(f"{sink} could not be asked which of its letters are healed: {reason}")


def _summary(read: _Letters, letter: Letter) -> dict[str, Any]:
    table, enricher = table_of(read.topology, read.version, letter)
    return {
        "id": letter.id,
        "sink": letter.sink,
        "target": letter.target,
        "table": f"{table}.{enricher}" if enricher else table,
        "key": dict(letter.key),
        "position": to_text(letter.position),
        "reason": letter.reason,
        "times": letter.times,
        "parked_at": datetime.fromtimestamp(letter.parked_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "state": letter.state,
    }


@dlq.command()
@_filters
@click.argument("ids", nargs=-1, required=True)
def show(
    topics: Path, version: str | None, sinks: tuple[str, ...], tables: tuple[str, ...], ids: tuple[str, ...]
) -> None:
    """Print letters whole, headers and payload, as JSON."""
    read = _read(topics, version, sinks, tables)
    shown = []
    for letter in _chosen(read, ids, everything=False):
        message = message_of(read.kafka, read.version, letter)
        headers = {} if message is None else dict(message.headers() or ())
        shown.append(
            {
                **_summary(read, letter),
                "headers": {
                    name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                    for name, value in headers.items()
                },
                "payload": None if message is None else _payload(message.value()),
            }
        )
    print_json(shown)
    _say_away(read)


def _payload(value: bytes | None) -> Any:
    try:
        return None if value is None else msgspec.json.decode(value)
    except msgspec.MsgspecError:
        return (value or b"").decode("utf-8", "replace")


def _acting(function: Command) -> Command:
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
        click.option("--all", "everything", is_flag=True, help="Every open letter that the filters leave."),
        click.argument("ids", nargs=-1),
        _filters,
    ):
        function = option(function)
    return function


@dlq.command()
@_acting
def retry(
    topics: Path,
    version: str | None,
    sinks: tuple[str, ...],
    tables: tuple[str, ...],
    ids: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have capture read the letters' rows again, as MySQL has them now, and tell them anew to every store.

    What was parked is never written. What was made of rows is told again by enrichment.
    """
    read = _read(topics, version, sinks, tables)
    letters = _chosen(read, ids, everything=everything)
    asked, without = asked_for(read.topology, read.version, letters)
    if not dry_run:
        for (table, enricher), rows in asked.items():
            send(read.kafka, read.version, table, rows, enricher)
        done = [letter for letter in letters if letter not in without]
        decide(read.kafka, read.version, done, "retried")
    rows_asked = sum(map(len, asked.values()))
    if as_json:
        print_json(
            {
                "version": read.version,
                "asked": not dry_run,
                "rows": {".".join(filter(None, name)): rows for name, rows in asked.items()},
                "letters": [_summary(read, letter) for letter in letters],
                "left_out": [letter.id for letter in without],
            }
        )
    else:
        say(f"{rows_asked} rows {'would be' if dry_run else 'were'} asked for, of {len(letters)} letters")
    for letter in without:
        say(f"{letter.id}: no row can be asked for: its topic or its key is of no table that is declared")
    if without:
        raise SystemExit(FAILURE)


@dlq.command()
@_acting
def discard(
    topics: Path,
    version: str | None,
    sinks: tuple[str, ...],
    tables: tuple[str, ...],
    ids: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Mark letters as done with; they stay in the topic until it forgets them."""
    read = _read(topics, version, sinks, tables)
    letters = _chosen(read, ids, everything=everything)
    if not dry_run:
        state: Decided = "discarded"
        decide(read.kafka, read.version, letters, state)
    if as_json:
        shown = [_summary(read, letter) for letter in letters]
        print_json({"version": read.version, "discarded": not dry_run, "letters": shown})
    else:
        say(f"{len(letters)} letters {'would be' if dry_run else 'are'} discarded")


@dlq.command()
@topics_option
@version_option
@click.argument("sinks", nargs=-1, required=True)
def park(topics: Path, version: str | None, sinks: tuple[str, ...]) -> None:
    """Have lanes of SINKS that too many refusals have stopped park what is refused for a minute: it is bad rows."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    kafka = KafkaUrl.parse(endpoints_of(topology, chosen)["kafka"])
    give(kafka, chosen, Order("park", known_sinks(topology, chosen, sinks)))
    say(f"the lanes of {', '.join(sinks)} park what is refused in the next minute, however much that is")


def _chosen(read: _Letters, ids: Sequence[str], *, everything: bool) -> list[Letter]:
    """The letters with these ids, or all open ones."""
    if everything == bool(ids):
        raise click.UsageError("name letters by their ids (`tailrace dlq list`), or say --all")
    if everything:
        return [letter for letter in read.found if letter.state == "open"]
    known = {letter.id for letter in read.found}
    for one in ids:
        if one not in known:
            raise click.UsageError(f"there is no dead letter `{one}`: see `tailrace dlq list`")
    return [letter for letter in read.found if letter.id in ids]
