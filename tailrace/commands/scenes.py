"""What `tailrace demo` shows while it goes on: tables on a terminal, a line now and then elsewhere."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.watch import Waited
from tailrace.arrivals import KINDS, Made


def console() -> Console:
    """Standard error, as progress goes there."""
    return Console(stderr=True, highlight=False)


def filling(state: Waited, made: Made, seconds: float) -> RenderableType:
    """The first fill: what is still to be read, delivered and made."""
    return Group(_made(made), Text(f"{seconds:.0f} s: {left(state)}", style="dim"))


def left(state: Waited) -> str:
    """What a wait still waits for, in words."""
    parts = [f"tables to read {len(state.filling)}"] if state.filling else []
    parts += [f"{lane} {count}" for lane, count in state.waiting.items() if count]
    return ", ".join(parts) or "nearly there"


def traffic(found: Mapping[str, Any], made: Made, rate: float) -> RenderableType:
    """Lanes and results while changes go on."""
    capture = found["capture"]
    title = f"capture {capture['state']}, {_seconds(capture['lag_s'])} behind; {rate:g} changes a second"
    lanes = _table("store", "behind", "waiting", "applied", "p50", "p99")
    for lane in found["lanes"]:
        state = "" if lane["state"] == "running" else f" {lane['state']}"
        lanes.add_row(
            f"{lane['sink']}{state}",
            _seconds(lane["lag_s"]),
            *(_whole(lane.get(name)) for name in ("waiting", "applied")),
            *(_whole(lane.get(name), " ms") for name in ("fresh_p50_ms", "fresh_p99_ms")),
        )
    return Group(Text(title), lanes, _made(made))


def _made(made: Made) -> Table:
    table = _table("made of", *KINDS)
    for name, one in made.items():
        table.add_row(name, *(_whole(one[kind]) if kind in one else "" for kind in KINDS))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, min_width=17)
    for name in others:
        table.add_column(name, justify="right", min_width=8)
    return table


def _whole(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:,.0f}{unit}"


def _seconds(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} s"
