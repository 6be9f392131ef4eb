"""One target under audit, and what was found of it."""

import asyncio
from dataclasses import dataclass, field

from audit.compare import Found, LastSaid
from changes.key import Key
from changes.record import StoredRow
from changes.target import Target
from sinks.contract import Sink
from streams.follow import Span
from streams.watch import LaneId

Where = tuple[str, str]
"""A target: its sink and its name."""


@dataclass(frozen=True)
class Finding:
    """One difference, with what is needed to explain and to mend it.

    ``lies`` is the stored row, ``None`` where nothing is stored; ``beyond`` says that it stands under a position which
    history had not reached. ``span`` is how far the topic had been read when it was decided; ``last`` is the key's last
    record by then, where the look knew it.
    """

    key: Key
    place: str
    found: Found
    lies: StoredRow | None
    span: Span
    beyond: bool = False
    last: LastSaid | None = None


@dataclass
class Side:
    """One target under audit. ``away`` says why its store cannot be read, where it cannot, and ``late`` whether that is
    for what others of its lane would wait for too; ``note`` what else is to be known of the verdict."""

    number: int
    target: Target
    sink: Sink
    lane: LaneId
    away: str = ""
    late: bool = False
    note: str = ""
    sink_rows: int = 0
    compared: int = 0
    different: int = 0
    findings: list[Finding] = field(default_factory=list)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Of the sink: looks side by side share it, and open it one after the other."""

    def give_up(self, reason: object, *, late: bool = True) -> None:
        """It cannot be read; what was said of it before stays."""
        if not self.away:
            self.away, self.late = str(reason), late

    def begin_anew(self) -> None:
        """Nothing was found yet."""
        self.sink_rows = self.compared = self.different = 0
        self.findings.clear()
