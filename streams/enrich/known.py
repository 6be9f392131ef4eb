"""What a worker knows, without asking, to have been said last of the rows that are its own."""

from collections import OrderedDict

from streams.enrich.derive import Emitted

MOST = 50_000
"""Rows that are remembered of one enricher; some 20 MB."""


class Known:
    """Right for as long as nobody else speaks of the same rows: everything is forgotten when the group hands out its
    partitions anew. ``era`` numbers that."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._era = -1
        self._said: OrderedDict[bytes, Emitted] = OrderedDict()

    def says(self, era: int, key: bytes, now: Emitted) -> bool:
        """Whether what was said last of a row is of the same values as ``now``, and nothing that may get better."""
        if era != self._era:
            self._era = era
            self._said.clear()
        was = self._said.get(key)
        if was is None or not was.says(now):
            return False
        self._said.move_to_end(key)
        return True

    def learn(self, era: int, key: bytes, said: Emitted | None) -> None:
        """``said`` is what was said last, and remembered where all workers look; ``None``: somebody said more."""
        if era != self._era or said is None or said.degraded or not said.input:
            self._said.pop(key, None)
            return
        self._said[key] = said
        self._said.move_to_end(key)
        while len(self._said) > self._most:
            self._said.popitem(last=False)
