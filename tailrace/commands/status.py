"""``tailrace status``: health and lag."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from changes.errors import Misconfigured, Transient
from changes.topology import Topology
from streams.fills import Fill, fill_of, in_words
from streams.kafka import KafkaUrl
from streams.mysql import MysqlUrl
from streams.watch import GroupOffsets, LaneId, PositionsTail, behind, committed_ordinal, lanes_of
from tailrace.commands.common import json_option, print_json, topics_option
from tailrace.declared import read_topology
from tailrace.endpoints import endpoints_of
from tailrace.places import home
from tailrace.reports import STALE_SECONDS, Reports


@click.command()
@topics_option
@json_option
def status(topics: Path, as_json: bool) -> None:
    """Say how far capture and every lane are; what cannot be known is shown as unknown."""
    topology = read_topology(topics)
    found = {version: status_of(topology, version) for version in topology.versions}
    if as_json:
        print_json(found)
    else:
        Console().print(*(table_of(version, one) for version, one in found.items()))


def status_of(topology: Topology, version: str) -> dict[str, Any]:
    """The status of one version, in the shape that scripts rely on."""
    endpoints = endpoints_of(topology, version)
    reports = Reports(home(), version).fresh()
    tail = PositionsTail(KafkaUrl.parse(endpoints["kafka"]), version)
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until and (tail.poll(0.3) or tail.last is None):
            pass
        capture = _capture(endpoints, tail, reports)
        groups = GroupOffsets(KafkaUrl.parse(endpoints["kafka"]))
        lanes = [_lane(lane, tail, groups, reports) for lane in lanes_of(topology, version)]
    except Transient as error:
        capture = {"position": None, "lag_s": None, "state": "unknown", "reason": str(error)}
        lanes = [
            {"sink": lane.sink, "tier": lane.tier, "state": "unknown", "lag_s": None, "waiting": None}
            for lane in lanes_of(topology, version)
        ]
    finally:
        tail.close()
    return {"capture": capture, "lanes": lanes}


def _capture(
    endpoints: Mapping[str, str], tail: PositionsTail, reports: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    report = reports.get("capture", {})
    last = tail.last
    result: dict[str, Any] = {
        "position": last.position if last else None,
        "lag_s": None,
        "state": report.get("state", "down"),
        "reason": report.get("reason", ""),
        "engine": report.get("engine", ""),
        "filling": {name: asdict(fill_of(one)) for name, one in tail.snapshots.items() if one.state != "done"},
        "absent": [name for name, one in tail.snapshots.items() if one.absent],
    }
    if last is None or time.time() * 1000 - last.at_ms > STALE_SECONDS * 1000:
        return result
    try:
        caught_up = last.ordinal >= committed_ordinal(MysqlUrl.parse(endpoints["mysql"]))
    except (Transient, Misconfigured):
        return result
    result["lag_s"] = 0.0 if caught_up else round(max(0.0, time.time() - last.source_ms / 1000), 3)
    return result


def _lane(
    lane: LaneId, tail: PositionsTail, groups: GroupOffsets, reports: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    own = next(
        (
            one
            for report in reports.values()
            for one in report.get("lanes", ())
            if one["sink"] == lane.sink and one["tier"] == lane.tier
        ),
        None,
    )
    waiting = behind(lane, tail.ends, groups.of(lane, tail.ends)) if tail.last else None
    fresh = sorted(own["freshness_ms"]) if own else []
    return {
        "sink": lane.sink,
        "tier": lane.tier,
        "state": own["state"] if own else "down",
        "reason": own["reason"] if own else "",
        "lag_s": _lag(waiting, own),
        "waiting": waiting,
        "applied": own["applied"] if own else None,
        "stale": own["stale"] if own else None,
        "parked": own["parked"] if own else None,
        "collapsed": own["collapsed"] if own else None,
        "filtered": own["filtered"] if own else None,
        "rewound": own["rewound"] if own else None,
        "repeated": own["repeated"] if own else None,
        "skipped": own["skipped"] if own else None,
        "due_ms": own["due_ms"] if own else None,
        "fresh_p50_ms": quantile(fresh, 0.5),
        "fresh_p99_ms": quantile(fresh, 0.99),
        "fresh_share": round(own["fresh"] / own["timed"], 4) if own and own["timed"] else None,
    }


def _lag(waiting: int | None, own: Mapping[str, Any] | None) -> float | None:
    """Seconds that the lane is behind: the age of the newest record it has applied, 0 with nothing waiting."""
    if waiting is None:
        return None
    if waiting == 0:
        return 0.0
    newest = own["newest_ms"] if own else None
    return round(max(0.0, time.time() - newest / 1000), 3) if newest else None


def quantile(ordered: list[float], share: float) -> float | None:
    """The value below which ``share`` of an ordered list lies; ``None`` of an empty one."""
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else None


def table_of(version: str, found: Mapping[str, Any]) -> Table:
    """The status of one version for people."""
    capture = found["capture"]
    title = f"{version}: capture {capture['state']}, {_seconds(capture['lag_s'])} behind"
    if capture.get("engine"):
        title += f", its reader is {capture['engine']}"
    for fill in capture.get("filling", {}).values():
        title += f"\n{in_words(Fill(**fill))}"
    for name in capture.get("absent", ()):
        title += f"\nabsent: MySQL has no table {name}; its rows were deleted everywhere"
    table = Table(
        "sink", "tier", "state", "behind", "waiting", "applied", "stale", "parked", "p50", "p99", "in time", title=title
    )
    for lane in found["lanes"]:
        state = f"{lane['state']}: {lane['reason']}" if lane.get("reason") else lane["state"]
        table.add_row(
            lane["sink"],
            lane["tier"],
            state,
            _seconds(lane["lag_s"]),
            *(_shown(lane.get(name)) for name in ("waiting", "applied", "stale", "parked")),
            *(_shown(lane.get(name), " ms") for name in ("fresh_p50_ms", "fresh_p99_ms")),
            "unknown" if lane.get("fresh_share") is None else f"{lane['fresh_share']:.1%}",
        )
    return table


def _shown(value: object, unit: str = "") -> str:
    return "unknown" if value is None else f"{value}{unit}"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
