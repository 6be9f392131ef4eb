"""``tailrace validate``: the declaration, and the servers it names."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import click

from changes.errors import Misconfigured, TailraceError
from changes.topology import Topology
from streams.enrich.models import Models
from streams.kafka import KafkaUrl, ensure_topics
from streams.mysql import MysqlUrl
from streams.preflight import preflight
from tailrace.commands.common import (
    BAD_CONFIGURATION,
    FAILURE,
    OK,
    json_option,
    print_json,
    say,
    topics_option,
    versions_here,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of


@click.command()
@topics_option
@click.option("--offline", is_flag=True, help="Only the file, no servers.")
@json_option
def validate(topics: Path, offline: bool, as_json: bool) -> None:
    """Check the declaration whole, then that MySQL can be captured as declared and Kafka can be reached."""
    problems: list[str] = []
    code = OK
    try:
        topology = read_topology(topics)
        checks: list[Callable[[], object]] = []
        for version in () if offline else versions_here(topology, ()):
            endpoints = endpoints_of(topology, version)
            mysql, kafka = MysqlUrl.parse(endpoints["mysql"]), KafkaUrl.parse(endpoints["kafka"])
            checks += [
                lambda mysql=mysql, version=version: preflight(mysql, topology, version),  # type: ignore[misc]
                lambda kafka=kafka: ensure_topics(kafka, []),  # type: ignore[misc]
                lambda url=endpoints["postgres"], version=version: asyncio.run(_models(url, topology, version)),  # type: ignore[misc]
            ]
        for check in checks:
            try:
                check()
            except TailraceError as error:
                problems += str(error).splitlines()
                code = max(code, BAD_CONFIGURATION if isinstance(error, Misconfigured) else FAILURE)
    except Misconfigured as error:
        problems, code = str(error).splitlines(), BAD_CONFIGURATION
    if as_json:
        print_json({"valid": not problems, "problems": problems})
    else:
        for problem in problems:
            say(f"error: {problem}")
        if not problems:
            say(f"{topics} is right" + ("" if offline else ", and its servers answer"))
    raise SystemExit(code)


async def _models(url: str, topology: Topology, version: str) -> None:
    models = Models(url)
    try:
        await models.check(topology, version)
    finally:
        await models.close()
