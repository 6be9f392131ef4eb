"""When refusals are no longer bad rows: the store is out of order, or something is declared wrongly. Pure."""

from collections import deque
from collections.abc import Collection, Hashable

MOST = 100
"""More refusals than this among the last `WINDOW` records stop a lane; of larger batches, that share."""
WINDOW = 1000
BATCHES, ROWS = 3, 10
"""So do so many batches one after the other of which every record is refused, where that concerns so many rows."""


class Refusals:
    """What was refused of late. A batch that is `too_many` is not counted: it will come again."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._records = self._refused = 0
        self._whole: deque[frozenset[Hashable]] = deque(maxlen=BATCHES - 1)

    def too_many(self, records: int, refused: Collection[Hashable]) -> str:
        """Why a batch of so many records of which these rows are refused must not be parked; "" where it may."""
        size, count = self._records + records, self._refused + len(refused)
        if count > MOST * max(1.0, size / WINDOW):
            return f"{count} of the last {size} records are refused"
        rows = frozenset(refused).union(*self._whole)
        if records and len(refused) == records and len(self._whole) == BATCHES - 1 and len(rows) >= ROWS:
            return f"every record of the last {BATCHES} batches is refused"
        return ""

    def took(self, records: int, refused: Collection[Hashable]) -> None:
        """Count a batch that was stored or parked."""
        if not records:
            return
        self._batches.append((records, len(refused)))
        self._records += records
        self._refused += len(refused)
        while self._records - self._batches[0][0] >= WINDOW:
            size, count = self._batches.popleft()
            self._records -= size
            self._refused -= count
        if len(refused) == records:
            self._whole.append(frozenset(refused))
        else:
            self._whole.clear()
