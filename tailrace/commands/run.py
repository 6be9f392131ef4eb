"""``tailrace run``: the processes of some versions, until they are told to stop."""

import signal
import threading
from pathlib import Path

import click

from tailrace.commands.common import known_sinks, say, topics_option, versions_here
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.logs import set_up
from tailrace.pipeline import EVERY_ROLE, Pipeline


@click.command()
@topics_option
@click.option(
    "--version", "-V", "versions", multiple=True, help="Which versions; all that are configured here if not given."
)
@click.option("--only", default=",".join(EVERY_ROLE), show_default=True, help="Which processes, with commas between.")
@click.option("--sink", "sinks", multiple=True, help="Deliver to this sink only; may be given again.")
def run(topics: Path, versions: tuple[str, ...], only: str, sinks: tuple[str, ...]) -> None:
    """Run capture, enrichment, delivery and the consistency agent; what dies is started again."""
    set_up("tailrace")
    topology = read_topology(topics)
    roles = [role.strip() for role in only.split(",") if role.strip()]
    unknown = set(roles) - set(EVERY_ROLE)
    if unknown or not roles:
        raise click.UsageError(f"--only takes {', '.join(EVERY_ROLE)}, not {', '.join(sorted(unknown)) or 'nothing'}")
    chosen = versions_here(topology, versions)
    for version in chosen:
        known_sinks(topology, version, sinks)
    endpoints = {version: endpoints_of(topology, version) for version in chosen}
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    pipeline = Pipeline(topology, endpoints, topics=topics, roles=roles, sinks=sinks)
    pipeline.start()
    say(f"running {', '.join(worker.name for worker in pipeline.workers)}; Ctrl-C stops them")
    stop.wait()
    pipeline.stop()
