"""``tailrace bench``: figures read off a running pipeline."""

from pathlib import Path

import click

from tailrace.commands.common import (
    Duration,
    json_option,
    one_version,
    print_json,
    say,
    topics_option,
    version_option,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.latency import measure


@click.group()
def bench() -> None:
    """Measure a pipeline that runs."""


@bench.command()
@topics_option
@version_option
@click.option("--rate", type=click.FloatRange(min=0), default=200.0, show_default=True, help="Other changes a second.")
@click.option("--seconds", "duration", type=Duration(), default="30s", show_default=True, help="For how long.")
@json_option
def latency(topics: Path, version: str | None, rate: float, duration: float, as_json: bool) -> None:
    """From commit to visible in each store, while other traffic goes on.

    A probe row of each store's own is updated again and again; the store is read until it shows that. Tiers that may
    wait longer than ten minutes are left out.
    """
    topology = read_topology(topics)
    chosen = one_version(topology, version)
    figures = measure(topology, chosen, endpoints_of(topology, chosen), rate=rate, seconds=duration)
    if as_json:
        print_json(figures)
        return
    say(f"beside {figures['rate']:.0f} other changes/s")
    for store, one in figures["stores"].items():
        click.echo(
            f"{store:24} {one['probes']:5} probes   p50 {one['p50_ms']:7.1f} ms   p99 {one['p99_ms']:7.1f} ms"
            f"   max {one['max_ms']:7.1f} ms"
        )
