"""``tailrace wait``: until everything committed before the call is applied."""

from pathlib import Path

import click

from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import Waited, enrichment_of, lanes_of
from streams.watch import wait as wait_for
from tailrace.commands.common import (
    OK,
    UNDECIDED,
    Duration,
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


@click.command()
@topics_option
@version_option
@click.option("--sink", "sinks", multiple=True, help="Only this sink; may be given again.")
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait.")
@json_option
def wait(topics: Path, version: str | None, sinks: tuple[str, ...], timeout: float, as_json: bool) -> None:
    """Return once everything committed before this call is applied. Exit code 4 where time runs out."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    endpoints = endpoints_of(topology, chosen)
    waited = wait_for(
        MysqlUrl.parse(endpoints["mysql"]),
        KafkaUrl.parse(endpoints["kafka"]),
        lanes_of(topology, chosen, known_sinks(topology, chosen, sinks)),
        version=chosen,
        timeout=timeout,
        enrichment=enrichment_of(topology, chosen),
    )
    if as_json:
        print_json(
            {
                "done": waited.done,
                "version": chosen,
                "position": waited.position,
                "captured": waited.captured,
                "filling": waited.filling,
                "waiting": waited.waiting,
            }
        )
    elif not waited.done:
        say(f"not everything is applied after {timeout:g} s: {reasons(waited)}")
    raise SystemExit(OK if waited.done else UNDECIDED)


def reasons(waited: Waited) -> str:
    """Why it is not done, in words."""
    if not waited.captured:
        return "capture has not read all that MySQL committed (does it run? `tailrace status`)"
    if waited.filling:
        return f"tables are still being filled: {', '.join(waited.filling)}"
    return ", ".join(f"{lane} has {count} records to go" for lane, count in waited.waiting.items())
