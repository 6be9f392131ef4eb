"""``tailrace wait``: until everything committed before the call is applied."""

from contextlib import nullcontext
from pathlib import Path

import click

from streams.deliver.control import flushing
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
@click.option("--flush", is_flag=True, help="Have slow tiers write now what waits for their time.")
@json_option
def wait(topics: Path, version: str | None, sinks: tuple[str, ...], timeout: float, flush: bool, as_json: bool) -> None:
    """Return once everything committed before this call is applied. Exit code 4 where time runs out."""
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    endpoints = endpoints_of(topology, chosen)
    kafka, wanted = KafkaUrl.parse(endpoints["kafka"]), known_sinks(topology, chosen, sinks)
    with flushing(kafka, chosen, wanted) if flush else nullcontext():
        waited = wait_for(
            MysqlUrl.parse(endpoints["mysql"]),
            kafka,
            lanes_of(topology, chosen, wanted),
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
