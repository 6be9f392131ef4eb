"""How far the first look of a deep audit is: what is kept so that one which was killed can be gone on with.

The row of a key that did not change since the mark at its beginning is the same in every view of MySQL that was opened
since: so what was read of it holds, however long ago, and all that has changed since is looked at again in any case. Of
stores nothing is kept: anybody may have changed them meanwhile. What is kept is of no use for other columns, other
targets or topics made anew, where history went back, or once topics may have dropped tombstones.
"""

from pathlib import Path

import msgspec

from changes.progress import KeyValue, Offsets, unfold
from streams.marks import Mark

FORMAT = 1
"""Part of what a file is of: raised when its tables change."""
LIFETIME = 86400.0
"""Seconds for which an audit may be gone on with: far less than topics keep tombstones."""


class Course(msgspec.Struct):
    """``identity`` says what is audited, ``since`` when that began, in seconds since 1970; ``ends`` and the two before
    it are the mark of its beginning. MySQL was read up to the key ``after`` (``None``: nothing yet), or ``read`` whole;
    ``schema`` is the fingerprint of its columns. ``parts`` is in how many rows are kept."""

    identity: str
    since: float
    position: int
    covers: int
    ends: dict[str, dict[str, int]]
    schema: str
    parts: int
    after: list[KeyValue] | None = None
    rows: int = 0
    read: bool = False

    @classmethod
    def begun(cls, identity: str, now: float, mark: Mark, schema: str, parts: int) -> "Course":
        return cls(identity, now, mark.position, mark.covers, unfold(mark.ends), schema, parts)

    @property
    def mark(self) -> Mark:
        ends: Offsets = {(topic, int(part)): end for topic, found in self.ends.items() for part, end in found.items()}
        return Mark(self.position, self.covers, ends)

    def stale(self, identity: str, now: float, newest: int) -> str:
        """Why it cannot be gone on with, "" where it can. ``newest`` is the position up to which capture has come."""
        if self.identity != identity:
            return "what is audited has changed"
        if not now - LIFETIME < self.since <= now:
            return f"it was begun more than {LIFETIME / 3600:.0f} hours ago"
        return "history went back" if newest < self.position else ""


def path_of(folder: Path, version: str, name: str) -> Path:
    """Where the course of a deep audit is kept; ``name`` is of the table and the choice of targets."""
    return folder / version / f"{name}.deep.sqlite"
