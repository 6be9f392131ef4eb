"""What a version's agent says over its socket, and what it is told there: the contract with whoever asks.

Bodies are these structs as JSON. Whatever is not known is ``null``, never 0. Times end in ``_ms`` (milliseconds since
1970) or ``_s`` (seconds that something lasted), positions are 19 digits of text. Fields may be added, never renamed.

    GET  /state                            State
    GET  /trend?since_ms=                  Trend
    GET  /audits?limit=&why=               list[Audit], newest first; `why` names those that are wanted, with commas
    GET  /audits/{id}                      AuditDetail
    GET  /audits/{id}.html                 the report as one self-contained page
    GET  /differences/{id}?sink=&table=    list[SideBySide], read anew
    POST /audits          AuditOrder       202 Accepted
    POST /repairs         RepairOrder      202 Accepted, 409 Refusal where a repair is under way
    GET  /incidents?limit=                 list[Incident], newest first
    GET  /letters?sink=                    list[DeadLetter], the open ones
    POST /letters/retry   LetterOrder      LettersDone
    POST /letters/discard LetterOrder      LettersDone
    GET  /metrics                          text for Prometheus

What goes wrong is a `Refusal` with 400 (a body or a name that is none), 404, 409 or 503 (a server is away).
"""

from typing import Any, Literal

import msgspec

from audit.entry import Audit, AuditDetail, Remainder, Why
from audit.incidents import Depth, Lost
from audit.report import Class, Verdict

__all__ = ["Audit", "AuditDetail", "Depth", "Remainder", "Why"]

Scalar = bool | int | float | str | None
"""A value as the envelope holds it."""

StoreState = Literal["equal", "behind", "different", "unknown"]


class Capture(msgspec.Struct, frozen=True):
    """As in ``tailrace status --json``. ``filling`` holds a `streams.fills.Fill` for each unfinished fill, by name."""

    position: str | None
    lag_s: float | None
    state: str
    reason: str = ""
    engine: str = ""
    filling: dict[str, dict[str, Any]] = {}
    absent: list[str] = []


class Lane(msgspec.Struct, frozen=True):
    """As in ``tailrace status --json``. ``objective_ms`` is the tier's, from commit to visible; ``attained`` the share
    of timed changes that were in time."""

    sink: str
    tier: str
    state: str
    objective_ms: float
    lag_s: float | None = None
    waiting: int | None = None
    reason: str = ""
    applied: int | None = None
    stale: int | None = None
    parked: int | None = None
    collapsed: int | None = None
    filtered: int | None = None
    rewound: int | None = None
    repeated: int | None = None
    skipped: int | None = None
    due_ms: float | None = None
    fresh_p50_ms: float | None = None
    fresh_p99_ms: float | None = None
    attained: float | None = None


class Store(msgspec.Struct, frozen=True):
    """One store of the version. ``state``: different while an incident of its rows is open, unknown where its lanes do
    not run or no audit could decide, behind where a lane is later than its objective, else equal.

    ``lag_s`` and ``objective_s`` are of the lane that is the latest for its objective. ``checked_at_ms``, ``depth`` and
    ``verdict`` are of the last audit of the whole store, ``different`` and ``undecided`` its rows. ``unaccounted`` is
    how many of its records were accounted for by nobody, or twice, when they were counted last.
    """

    sink: str
    state: StoreState
    reason: str
    lag_s: float | None
    objective_s: float
    checked_at_ms: int | None
    depth: Depth | None
    verdict: Verdict | None
    different: int | None
    undecided: int | None
    open_incidents: int
    letters: int | None
    unaccounted: int | None = None


class Running(msgspec.Struct, frozen=True):
    """The audit or repair under way; ``done`` of ``of`` tables."""

    id: str
    depth: Depth
    what: str
    done: int
    of: int
    began_ms: int


class Next(msgspec.Struct, frozen=True):
    """When an audit is due. ``waits_for`` says what puts one off that was due already."""

    depth: Depth
    at_ms: int
    waits_for: str = ""


class Incident(msgspec.Struct, frozen=True):
    """Differences of one class in one table of one sink, from the audit that saw them first to the one that saw none.

    ``rows`` is how many the last audit listed, ``keys`` some of them. ``whole`` says that ``keys`` are all there were.
    ``depth`` is the deepest that has seen it: what only a deep audit sees no quick one closes. ``audits`` is how many
    saw it. ``closed_ms`` is ``None`` while it is open. Of the class ``unaccounted`` ``rows`` are records that nobody
    accounts for, seen by counts instead of audits.
    """

    id: str
    sink: str
    table: str
    class_: Class | Lost = msgspec.field(name="class")
    opened_ms: int
    last_ms: int
    closed_ms: int | None
    opened_by: str
    last_by: str
    closed_by: str | None
    depth: Depth | Literal["accounts"]
    rows: int
    whole: bool
    audits: int
    keys: list[dict[str, Scalar]]


class State(msgspec.Struct, frozen=True):
    version: str
    at_ms: int
    capture: Capture
    lanes: list[Lane]
    stores: list[Store]
    running: Running | None
    next: list[Next]
    incidents: list[Incident]
    conservation: list[Remainder]


class LaneTrend(msgspec.Struct, frozen=True):
    """One value for each of the trend's times."""

    lag_s: list[float | None]
    applied_per_s: list[float | None]
    waiting: list[int | None]


class Trend(msgspec.Struct, frozen=True):
    """Lanes by ``<sink>.<tier>``, every two seconds for an hour."""

    at_ms: list[int]
    lanes: dict[str, LaneTrend]


class Side(msgspec.Struct, frozen=True):
    """One column of a differing row. Of one that is ``masked`` neither value is told, only whether they differ; both
    values are text as people read it, ``None`` for NULL and where there is no row."""

    name: str
    mysql: Scalar
    store: Scalar
    differs: bool
    masked: bool


class SideBySide(msgspec.Struct, frozen=True):
    """A row that an audit found different, as it is now on both sides; ``mysql_has`` and ``store_has`` say which side
    holds it. ``position`` is the stored one."""

    class_: Class = msgspec.field(name="class")
    key: dict[str, Scalar]
    place: str
    columns: list[Side]
    mysql_has: bool
    store_has: bool
    position: str | None = None


class AuditOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Empty ``sinks`` or ``tables``: all."""

    depth: Literal["quick", "deep"] = "quick"
    sinks: list[str] = []
    tables: list[str] = []


class RepairOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that ``audit`` found different in one table of one sink: those of ``keys``, all where it is ``None``. They
    are looked at again first; ``cap`` is the most that are asked of capture."""

    audit: str
    sink: str
    table: str
    keys: list[dict[str, Scalar]] | None = None
    cap: int = 100
    dry_run: bool = False


class Accepted(msgspec.Struct, frozen=True):
    """The id under which ``/audits/{id}`` tells what came of it."""

    id: str


class DeadLetter(msgspec.Struct, frozen=True):
    """As ``tailrace dlq list --json`` has them."""

    id: str
    sink: str
    target: str
    table: str
    key: dict[str, Scalar]
    position: str
    reason: str
    times: int
    parked_at: str
    state: str


class LetterOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ids: list[str]


class LettersDone(msgspec.Struct, frozen=True):
    """``rows`` were asked of capture; ``left_out`` are letters whose row cannot be told."""

    done: list[str]
    rows: int = 0
    left_out: list[str] = []


class Refusal(msgspec.Struct, frozen=True):
    error: str
