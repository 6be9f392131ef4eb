"""``tailrace status``: health and lag."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from changes.errors import Misconfigured, Transient
from changes.topology import Topology
from streams.fills import Fill, in_words
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import GroupOffsets, PositionsTail, behind, committed_ordinal, lanes_of
from tailrace.commands.common import json_option, print_json, topics_option, versions_here
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.health import capture_of, standing
from tailrace.places import home
from tailrace.reports import Reports


@click.command()
@topics_option
@json_option
def status(topics: Path, as_json: bool) -> None:
    """Say how far capture and every lane are; what cannot be known is shown as unknown."""
    topology = read_topology(topics)
    found = {version: status_of(topology, version) for version in versions_here(topology, ())}
    if as_json:
        print_json(found)
    else:
        Console().print(*(table for version, one in found.items() for table in tables_of(version, one)))


def status_of(topology: Topology, version: str) -> dict[str, Any]:
    """The status of one version, in the shape that scripts rely on."""
    endpoints = endpoints_of(topology, version)
    reports = Reports(home(), version).fresh()
    tail = PositionsTail(KafkaUrl.parse(endpoints["kafka"]), version)
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until and (tail.poll(0.3) or tail.last is None):
            pass
        capture = capture_of(tail.last, tail.snapshots, reports, _caught_up(endpoints, tail))
        groups = GroupOffsets(KafkaUrl.parse(endpoints["kafka"]))
        lanes = [
            standing(lane, behind(lane, tail.ends, groups.of(lane, tail.ends)) if tail.last else None, reports)
            for lane in lanes_of(topology, version)
        ]
    except Transient as error:
        capture = {"position": None, "lag_s": None, "state": "unknown", "reason": str(error)}
        lanes = [
            {"sink": lane.sink, "tier": lane.tier, "state": "unknown", "lag_s": None, "waiting": None}
            for lane in lanes_of(topology, version)
        ]
    finally:
        tail.close()
    return {"capture": capture, "lanes": lanes}


def _caught_up(endpoints: Mapping[str, str], tail: PositionsTail) -> bool | None:
    """Whether capture has published all that MySQL has committed; ``None`` where MySQL cannot be asked."""
    try:
        return tail.last is not None and tail.last.ordinal >= committed_ordinal(MysqlUrl.parse(endpoints["mysql"]))
    except (Transient, Misconfigured):
        return None


def tables_of(version: str, found: Mapping[str, Any]) -> list[Table]:
    """The status of one version for people, each table as wide as a terminal of 80 columns has room for."""
    lanes = found["lanes"]
    tables = [_lanes(lanes, _title(version, found["capture"]))]
    if known := [lane for lane in lanes if lane.get("fresh_share") is not None]:
        tables.append(_freshness(known))
    return tables


def _title(version: str, capture: Mapping[str, Any]) -> str:
    title = f"{version}: capture {capture['state']}, {_seconds(capture['lag_s'])} behind"
    if capture.get("engine"):
        title += f", its reader is {capture['engine']}"
    for fill in capture.get("filling", {}).values():
        title += f"\n{in_words(Fill(**fill))}"
    for name in capture.get("absent", ()):
        title += f"\nabsent: MySQL has no table {name}; its rows were deleted everywhere"
    return title


def _lanes(lanes: Sequence[Mapping[str, Any]], title: str) -> Table:
    table = _table("state", "behind", "waiting", "applied", "stale", "parked", title=title)
    for lane in lanes:
        state = f"{lane['state']}: {lane['reason']}" if lane.get("reason") else lane["state"]
        counts = (_shown(lane.get(name)) for name in ("waiting", "applied", "stale", "parked"))
        table.add_row(lane["sink"], lane["tier"], state, _seconds(lane["lag_s"]), *counts)
    return table


def _freshness(lanes: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("p50", "p99", "in time", title="from commit to store")
    for lane in lanes:
        times = (_shown(lane.get(name), " ms") for name in ("fresh_p50_ms", "fresh_p99_ms"))
        table.add_row(lane["sink"], lane["tier"], *times, f"{lane['fresh_share']:.1%}")
    return table


def _table(*columns: str, title: str) -> Table:
    return Table("sink", "tier", *columns, title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _shown(value: object, unit: str = "") -> str:
    return "unknown" if value is None else f"{value}{unit}"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
