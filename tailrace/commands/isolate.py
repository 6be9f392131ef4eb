"""``tailrace isolate``: can any version see another's data?"""

import os
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from audit.isolation.report import CHECKS, Check, Report, Verdict
from audit.isolation.run import isolation
from tailrace.commands.common import (
    INCONSISTENT,
    OK,
    UNDECIDED,
    Duration,
    json_option,
    print_json,
    say,
    topics_option,
    versions_here,
)
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of, running_stack
from tailrace.grounds import grounds
from tailrace.places import home
from tailrace.stack.compose import FILE

EXIT: Mapping[Verdict, int] = {"pass": OK, "fail": INCONSISTENT, "undecided": UNDECIDED}


@click.command()
@topics_option
@click.option("--version", "-V", "versions", multiple=True, help="Only this version; may be given again.")
@click.option(
    "--check", "checks", type=click.Choice(CHECKS), multiple=True, help="Only this check; may be given again."
)
@click.option(
    "--compose",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=lambda: FILE if FILE.exists() else None,
    show_default="the repository's docker-compose.yml",
    help="The compose file whose networks, volumes and limits are looked at.",
)
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="A canary row's time in the line.")
@json_option
def isolate(
    topics: Path,
    versions: tuple[str, ...],
    checks: tuple[Check, ...],
    compose: Path | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Try whether any version can see another's data: database, network, data and container, each by itself.

    It holds the secrets of all versions: run it as an operator, never beside a version's processes. Exit code 3 where a
    check fails, 4 where something could not be seen.
    """
    topology = read_topology(topics)
    chosen = versions_here(topology, versions)
    for version in chosen:
        endpoints_of(topology, version)  # refused where it was named and has no server here
    seen = grounds(topology, os.environ, running=running_stack(os.environ), home=home(), compose=compose)
    wanted = [check for check in CHECKS if not checks or check in checks]
    found = isolation(seen, chosen, wanted, timeout=timeout, tell=say)
    if as_json:
        print_json(found)
    else:
        show(found)
    raise SystemExit(EXIT[found.verdict])


def show(found: Report) -> None:
    """For people: a row for each version, then each finding."""
    checks = list(dict.fromkeys(one.check for one in found.results))
    by_version: dict[str, dict[str, str]] = {}
    for one in found.results:
        by_version.setdefault(one.version, {})[one.check] = f"{one.verdict} ({one.looked_at:,})"
    table = Table("version", *checks, title=f"isolation: {found.verdict}")
    for version, verdicts in by_version.items():
        table.add_row(version, *(verdicts.get(check, "") for check in checks))
    console = Console()
    console.print(table)
    for one in found.results:
        for finding in one.findings:
            console.print(
                escape(
                    f"{one.version} {one.check}: {finding.verdict}: {finding.what} [{finding.where}]; {finding.advice}"
                ),
                highlight=False,
                soft_wrap=True,
            )
