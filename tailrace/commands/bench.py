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
    """From commit to visible in Redis and PostgreSQL, while other traffic goes on.

    A probe row is updated twenty times a second; its stores are read until they show the value just committed.
    """
    topology = read_topology(topics)
    endpoints = endpoints_of(topology, one_version(topology, version))
    figures = measure(endpoints, rate=rate, seconds=duration)
    if as_json:
        print_json(figures)
        return
    say(f"{figures['probes']} probes at {figures['rate']:.0f} other changes/s")
    for store in ("redis", "postgres"):
        one = figures[store]
        click.echo(f"{store:9} p50 {one['p50_ms']:6.1f} ms   p99 {one['p99_ms']:6.1f} ms   max {one['max_ms']:6.1f} ms")
