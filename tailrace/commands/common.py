"""What commands share: options, output, and the exit codes that scripts rely on."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from changes.errors import Misconfigured
from changes.tier import seconds
from changes.topology import Topology
from tailrace.endpoints import configured

OK, FAILURE, USAGE, INCONSISTENT, UNDECIDED, BAD_CONFIGURATION = 0, 1, 2, 3, 4, 78

Command = Callable[..., Any]


def topics_option(function: Command) -> Command:
    return click.option(
        "--topics",
        type=click.Path(path_type=Path, dir_okay=False),
        default=lambda: Path(os.environ.get("TAILRACE_TOPICS", "topics.yaml")),
        show_default="topics.yaml",
        help="The declaration.",
    )(function)


def json_option(function: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def version_option(function: Command) -> Command:
    return click.option(
        "--version",
        "-V",
        "version",
        default=None,
        help="Which version; if not given, the first that is configured here.",
    )(function)


def one_version(topology: Topology, version: str | None) -> str:
    """The version that is named; else the first that is configured here, or the first of all where none is.

    Raises `Misconfigured` where there is no such version.
    """
    chosen = version or next(iter(configured(topology)), topology.versions[0])
    if chosen not in topology.versions:
        known = ", ".join(topology.versions)
        raise Misconfigured(f"version `{chosen}` is not declared in {topology.file}: there are {known}")
    return chosen


def versions_here(topology: Topology, named: Sequence[str]) -> list[str]:
    """The versions that are named; where none is, all that are configured here, and the others are told.

    Where none is configured either, the first of all, so that whoever asks for its endpoints is told what is missing.
    Raises `Misconfigured` where there is no such version.
    """
    if named:
        return [one_version(topology, version) for version in dict.fromkeys(named)]
    here = configured(topology)
    if here and (others := [version for version in topology.versions if version not in here]):
        say(f"not configured here, and left out: {', '.join(others)}")
    return list(here or topology.versions[:1])


def known_sinks(topology: Topology, version: str, sinks: Sequence[str]) -> list[str]:
    """Raises `Misconfigured` where one of ``sinks`` receives nothing in this version."""
    there = {target.sink for target in topology.targets(version)}
    for sink in sinks:
        if sink not in there:
            raise Misconfigured(f"nothing goes to sink `{sink}`: there are {', '.join(sorted(there))}")
    return list(sinks)


def known_tables(topology: Topology, topics: Path, tables: Iterable[str]) -> None:
    """Raises `click.UsageError` where one of ``tables`` is not declared in ``topics``."""
    for table in tables:
        if table not in topology.tables:
            raise click.UsageError(f"table `{table}` is not declared in {topics}")


class Duration(click.ParamType):
    """``500ms``, ``60s``, ``5m``; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return float(value) if value.replace(".", "", 1).isdigit() else seconds(value)
        except Misconfigured as error:
            self.fail(str(error), param, ctx)


def print_json(value: Any) -> None:
    """To standard output, one document, human-readable indentation on a terminal."""
    plain = msgspec.to_builtins(value)
    click.echo(json.dumps(plain, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def say(line: str) -> None:
    """Progress, to standard error."""
    click.echo(line, err=True)
