"""What a search of one place comes to."""

from collections.abc import Callable, Iterator

import msgspec

from audit.search.needles import Haystack, Needles

LISTED = 20
"""So many traces of a place are told one by one."""

Sift = Callable[[str, int], bool]
"""Whether it matters that a needle, told by its index, stands there."""


class Trace(msgspec.Struct, frozen=True):
    """Something was found ``where``, in words that hold nothing of it; ``what`` it is."""

    where: str
    what: str


class Found:
    """A search of one place: what was looked at, and which needles stand where, but for what ``sift`` says no to."""

    def __init__(self, place: str, needles: Needles, sift: Sift = lambda *_: True) -> None:
        self.place = place
        self._sift = sift
        self.hits: set[tuple[str, int]] = set()
        """(where, index of the needle); where may itself hold what is looked for."""
        self.unread: list[str] = []
        """What could not be looked at, and why."""
        self._needles = needles
        self._hay = Haystack(needles)

    @property
    def items(self) -> int:
        return self._hay.items

    @property
    def size(self) -> int:
        """Bytes that were looked at."""
        return self._hay.size

    def look(self, where: str, *parts: bytes) -> None:
        """Look through one item; what it is called is looked through with it."""
        self._take(self._hay.add(where, b"\0".join((where.encode("utf-8", "replace"), *parts))))

    def leave(self, what: str) -> None:
        """Something cannot be looked at: what, and why. What it is called may be what is looked for."""
        self.unread.append(self._needles.hides(what))

    def end(self) -> "Found":
        self._take(self._hay.finish())
        return self

    def _take(self, hits: Iterator[tuple[str, int]]) -> None:
        self.hits.update(hit for hit in hits if hit not in self.hits and self._sift(*hit))
