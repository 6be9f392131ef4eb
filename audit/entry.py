"""What the history of a version's audits is made of."""

from typing import Literal

import msgspec

from audit.incidents import Depth, Incident
from audit.report import Report, Verdict
from changes.progress import KeyValue

Why = Literal["schedule", "asked", "repair", "replay"]


class Audit(msgspec.Struct, frozen=True):
    """One audit in the history. ``seconds``, ``verdict``, ``rows`` and what else only its end tells are ``None`` while
    it waits or runs. ``rows`` are MySQL's, of all tables once for each sink. ``reason`` says why one could not be done.
    """

    id: str
    depth: Depth
    why: Why
    began_ms: int
    seconds: float | None = None
    position: str | None = None
    verdict: Verdict | None = None
    rows: int | None = None
    different: int | None = None
    undecided: int | None = None
    by_sink: dict[str, Verdict] = {}
    reason: str = ""


class AuditDetail(Audit, frozen=True):
    """``report`` is as ``tailrace check --json`` prints it, ``None`` until it is there. Of a repair ``asked`` are the
    rows asked of capture, by table (those that would be, of a dry run), and ``left_out`` the differences beyond its
    cap. ``tables`` and ``sinks`` are what it was confined to, empty for all."""

    report: Report | None = None
    asked: dict[str, list[list[KeyValue]]] | None = None
    left_out: int | None = None
    dry_run: bool = False
    tables: list[str] = []
    sinks: list[str] = []

    @property
    def short(self) -> Audit:
        """What lists show of it."""
        return Audit(**{name: getattr(self, name) for name in Audit.__struct_fields__})


class Told(msgspec.Struct, frozen=True):
    """An alert that somebody has received."""

    incident: str
    event: Literal["opened", "closed"]
    at_ms: int


class Remainder(msgspec.Struct, frozen=True):
    """What became of the records of one target, as conservation counted them at ``at_ms``: ``remainder`` of them are
    accounted for by nobody, or, below nought, twice. ``without`` is how many partitions no lane has accounts of yet."""

    sink: str
    table: str
    target: str
    captured: int
    in_flight: int
    remainder: int
    at_ms: int
    without: int = 0


class Accounts(msgspec.Struct, frozen=True):
    """One count of all targets, which took so many ``seconds``."""

    id: str
    at_ms: int
    seconds: float
    targets: list[Remainder]


class Entry(msgspec.Struct, frozen=True):
    """One record: an audit or a count of records, with the incidents that are ``open`` behind it and those it
    ``closed``, or an alert."""

    audit: AuditDetail | None = None
    accounts: Accounts | None = None
    open: list[Incident] = []
    closed: list[Incident] = []
    told: Told | None = None
