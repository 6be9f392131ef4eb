"""Fills of tables as capture publishes them: how far each is, and how long it may take yet."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from changes.errors import Transient
from changes.progress import SnapshotState
from streams.kafka import KafkaUrl
from streams.watch import BATCH, PositionsTail


@dataclass(frozen=True)
class Fill:
    """One fill for people and scripts: ``rows`` read of about ``estimate``, ``rate`` of them in a second of late.

    ``eta_s`` is ``None`` where it cannot be told. ``where`` is "" where the whole table is read; ``reason`` says why it
    is filled anew, "" for the first time.
    """

    table: str
    state: Literal["reading", "sweeping", "paused", "done"]
    rows: int
    estimate: int
    rate: float
    eta_s: float | None
    swept: int
    where: str
    reason: str


def fill_of(state: SnapshotState) -> Fill:
    word: Literal["reading", "sweeping", "paused", "done"] = "reading"
    if state.state == "done":
        word = "done"
    elif state.paused:
        word = "paused"
    elif state.state == "sweeping":
        word = "sweeping"
    left = state.estimate - state.rows
    known = word == "reading" and state.rate > 0 and left > 0
    return Fill(
        state.table,
        word,
        state.rows,
        max(state.estimate, state.rows),
        state.rate,
        round(left / state.rate, 1) if known else None,
        state.swept,
        state.where,
        state.reason,
    )


def in_words(fill: Fill) -> str:
    """How far it is, in a line."""
    part = f" where {fill.where}" if fill.where else ""
    if fill.state == "sweeping":
        return f"sweeping {fill.table}: {fill.rows} rows read, {fill.swept} deleted"
    line = f"filling {fill.table}{part}: {fill.rows} of about {fill.estimate} rows"
    if fill.state == "paused":
        return f"{line}, paused"
    line += f", {fill.rate:.0f} rows/s" if fill.rate else ""
    return line if fill.eta_s is None else f"{line}, about {fill.eta_s:.0f} s to go"


def unfinished(states: Collection[SnapshotState]) -> list[Fill]:
    return [fill_of(state) for state in states if state.state != "done"]


def wait_for(
    kafka: KafkaUrl,
    version: str,
    request: int,
    names: Collection[str],
    *,
    timeout: float | None = None,
    progress: Callable[[Sequence[Fill]], None] = lambda _: None,
) -> bool:
    """Wait until the request at that offset is answered and the fills of those names have ended; whether they have
    within ``timeout`` seconds. While Kafka is away it goes on waiting."""
    deadline = None if timeout is None else time.monotonic() + timeout
    tail = PositionsTail(kafka, version)
    try:
        while True:
            try:
                tail.poll(0.2)
            except Transient:
                time.sleep(0.2)
            if tail.snapshots_behind > request:
                open_ = unfinished([state for name, state in tail.snapshots.items() if name in names])
                if not open_:
                    return True
                progress(open_)
            if deadline is not None and time.monotonic() >= deadline:
                return False
    finally:
        tail.close()


def published(kafka: KafkaUrl, version: str, *, timeout: float = 3.0) -> dict[str, SnapshotState] | None:
    """The fills as capture published them last, by name; ``None`` where it has said nothing in time."""
    deadline = time.monotonic() + timeout
    tail = PositionsTail(kafka, version)
    try:
        while time.monotonic() < deadline:
            if tail.poll(0.2) < BATCH and tail.snapshots_behind >= 0:
                break
        return dict(tail.snapshots) if tail.snapshots_behind >= 0 else None
    finally:
        tail.close()
