"""How far a replay is. Pure; times are in seconds since 1970."""

from collections.abc import Callable
from dataclasses import dataclass

from changes.progress import Offsets
from streams.deliver.account import Part
from streams.deliver.pace import Pace


@dataclass(frozen=True)
class Standing:
    """``done`` is the part that is delivered, 0 to 1; ``speed`` the records a second of this process, 0 where nobody
    knows yet."""

    done: float
    speed: float

    def eta_s(self, records: int) -> float | None:
        """The seconds to go of a replay of so many records; ``None`` where it cannot be told."""
        return records * (1 - self.done) / self.speed if self.speed else None


def part_done(starts: Offsets, ends: Offsets, written: Offsets) -> float:
    """Which part of what lies between ``starts`` and ``ends`` is below ``written``."""
    whole = sum(end - starts[part] for part, end in ends.items())
    behind = sum(min(max(written.get(part, start), start), ends[part]) - start for part, start in starts.items())
    return behind / whole if whole else 1.0


class Course(Pace):
    """The pace of a replay's own lane: at once, no faster than ``rate`` (0 for no limit), and over at ``ends``, when
    ``over`` is called."""

    def __init__(self, starts: Offsets, ends: Offsets, rate: float, now: float, over: Callable[[], None]) -> None:
        super().__init__(0.0)
        self._starts, self._until, self._over = starts, ends, over
        self._written: Offsets = dict(starts)
        self._records = 0
        self._began = self._last_came = now
        self.finished = False
        if rate:
            self.slow(rate, ends)
        self.drain(ends, now)

    def saw(self, messages: int, written: Offsets, now: float) -> list[tuple[Part, range]]:
        """A partition that is another worker's, or none's yet, is where it was."""
        if messages:
            self._began = self._began if self._records else now
            self._last_came = now
            self._records += messages
        self._written = {part: written.get(part, was) for part, was in self._written.items()}
        return super().saw(messages, self._written, now)

    def done(self, now: float) -> None:
        self.finished = True
        self._over()

    def reach(self, ends: Offsets, now: float) -> None:
        """Call ``over`` anew, once all that is below ``ends`` is written."""
        self._until, self.finished = ends, False
        self.drain(ends, now)

    @property
    def written(self) -> Offsets:
        """Below which offsets everything is written, of each partition."""
        return self._written

    @property
    def standing(self) -> Standing:
        done = 1.0 if self.finished else part_done(self._starts, self._until, self._written)
        took = self._last_came - self._began
        return Standing(done, self._records / took if took > 0 else 0.0)
