"""How many records of one partition stand below some offsets, from look to look, each record read about once. Pure.

Offsets do not say it: where transactions end, an offset is spent on no record. What stands in a topic stays as it is
while an account is about it (compaction waits for longer), so what was counted once holds.
"""

from collections.abc import Collection

STEP = 10_000
"""Records between two offsets whose counts are remembered: no more are read again for an offset between them."""


class Counted:
    """For each look: `begin`, then `take` every offset from there to the partition's end in order, then `close`; then
    `below` answers. A look that was broken off may be begun anew."""

    def __init__(self) -> None:
        self._marks: dict[int, int] = {}
        self._waiting: list[int] = []
        self._count = 0
        self._next = 0

    def begin(self, offsets: Collection[int], end: int) -> int:
        """Where to read on, so that all of ``offsets`` (at least one) are known then. ``end`` is the partition's: one
        that lies before what was counted is of another topic under the old name."""
        least = min(offsets)
        if not self._marks or least < min(self._marks) or end < max(self._marks):
            self._marks = {least: 0}
        known = max(self._marks)
        late = [offset for offset in offsets if offset < known and offset not in self._marks]
        start = max(mark for mark in self._marks if mark <= min(late, default=known))
        self._marks = {
            mark: count
            for mark, count in self._marks.items()
            if mark in (start, known) or (mark >= least and (mark in offsets or count % STEP == 0))
        }
        self._count, self._next = self._marks[start], start
        self._waiting = sorted({offset for offset in offsets if offset >= start}, reverse=True)
        return start

    def take(self, offset: int) -> None:
        """A record stands there."""
        while self._waiting and self._waiting[-1] <= offset:
            self._marks[self._waiting.pop()] = self._count
        if self._count % STEP == 0:
            self._marks[offset] = self._count
        self._count, self._next = self._count + 1, offset + 1

    def close(self) -> None:
        """All records up to the end were taken."""
        self._marks[self._next] = self._count
        for offset in self._waiting:
            self._marks[offset] = self._count
        self._waiting = []

    def below(self, offset: int) -> int:
        """Records from the least of all offsets that were asked for up to this one, which was asked for."""
        return self._marks[offset]

    @property
    def total(self) -> int:
        return max(self._marks.values())
