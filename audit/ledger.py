"""What a quick audit goes by: what the targets of a look should have held at a mark, in sums, and what was told since.

`audit.rowledger` is for rows, `audit.madeledger` for what is made of them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Protocol

from audit.tally import Behind
from changes.key import Key
from changes.progress import Bucket, KeyValue
from streams.marks import Mark

COUNTING = "capture is still counting what MySQL holds"

CountedAt = Callable[[str, float], tuple[Mark, dict[int, Bucket]] | None]
"""A mark between two transactions, and a table's buckets by capture's count as of then; ``None`` where there are none
by a deadline."""


@dataclass(frozen=True)
class Stand:
    """``rows`` is how many MySQL had of the table at the mark, ``sums`` what the targets should have held then, by
    bucket. Lanes must have passed ``mark`` before their stores are summed up to its position."""

    mark: Mark
    rows: int
    sums: Mapping[int, Bucket]

    @property
    def held(self) -> int:
        """How many rows each target should have held."""
        return sum(rows for rows, _, _ in self.sums.values())


@dataclass(frozen=True)
class Told:
    """A key's last record: its row's hash, its position, and where each target should hold it; ``None``: nowhere."""

    hash: int
    position: int
    places: tuple[str, ...] | None


class Ledger(Protocol):
    """One for each look. Blocking, and for one thread at a time. Targets go by their number."""

    @property
    def against(self) -> str:
        """Whose word stands against a store's, for people."""

    @property
    def strange(self) -> Set[int]:
        """Buckets of the table in which what the targets are filled from is not what capture counted."""

    def stand(self, deadline: float) -> Stand:
        """As of a new mark. Raises `audit.truth.Behind` where what is needed for it is not there in time."""

    def behind(self, number: int) -> Behind:
        """What is told of a target's rows behind the mark, as far as `catch_up` has read."""

    def catch_up(self) -> None:
        """Read on behind the mark, up to now."""

    def doubted(self) -> Iterator[tuple[bytes, list[KeyValue]]]:
        """The keys, with their values, that are to be looked at whatever the stores hold, as of the last stand; to be
        asked for before `catch_up`."""

    def told(self, buckets: Collection[int]) -> dict[Key, Told]:
        """The last record of each key of these buckets."""

    def row_bucket(self, key: Key) -> int:
        """The bucket of the table's row that decides what is stored under ``key``."""

    @property
    def remembers(self) -> bool:
        """Whether any of this is what earlier audits read: enough for what is equal, no evidence of a difference."""

    def distrust(self) -> None:
        """What earlier audits read counts no more: the next stand is made from the topics alone."""

    def keep(self) -> None:
        """Remember for later audits what was read. The last that is asked of it."""
