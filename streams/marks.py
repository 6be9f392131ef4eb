"""Marks in the stream: which offsets hold everything up to a place of the binlog, and whether a lane has passed them.

Blocking. Errors of Kafka are waited out until the deadline that the caller gives, in
seconds of `time.monotonic`.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from changes.errors import Transient
from changes.progress import Offsets, Positions, SnapshotState, binlog_order
from streams.kafka import KafkaUrl
from streams.watch import BATCH, GroupOffsets, LaneId, PositionsTail, behind

_PAUSE = 0.02


@dataclass(frozen=True)
class Mark:
    """``ends`` hold every transaction up to ``position``, and nothing of any beyond the first ``covers``.

    ``sums`` is the end of the sums topic that goes with them. ``whole``: they hold nothing of the next transaction.
    """

    position: int
    covers: int
    ends: Offsets
    sums: int = 0
    whole: bool = True


class Marks:
    """One version's positions topic, followed, and its lanes' progress; for any number of threads."""

    def __init__(self, kafka: KafkaUrl, version: str) -> None:
        self._tail = PositionsTail(kafka, version)
        self._polling = threading.Lock()
        self._groups = GroupOffsets(kafka)

    @property
    def fills(self) -> Mapping[str, SnapshotState]:
        return self._tail.snapshots

    def newest(self, deadline: float) -> Mark:
        """The mark published last. Raises `Transient` where there is none in time."""
        mark = self._until(lambda _: True, deadline, drain=True)
        if mark is None:
            raise Transient("capture has not said how far it is")
        return mark

    def between(self, deadline: float) -> Mark | None:
        """The newest mark that lies between two transactions; ``None`` where none came in time."""
        return self._until(lambda record: not record.partial, deadline, drain=True)

    def behind_binlog(self, file: str, offset: int, deadline: float) -> Mark | None:
        """A mark whose ends hold all that was logged before ``file``, ``offset``; ``None`` where none came in time."""
        place = binlog_order(file, offset)
        return self._until(lambda record: binlog_order(record.file, record.offset) >= place, deadline)

    def behind_request(self, offset: int, deadline: float) -> Mark | None:
        """A mark whose ends hold the answer to the request at ``offset``."""
        return self._until(lambda record: record.requests > offset, deadline)

    def filled(self, table: str, deadline: float) -> bool:
        """Whether the table's fill has ended, as of now: an older record may be from before it was filled anew."""

        def done(_: Positions) -> bool:
            state = self.fills.get(table)
            return state is not None and state.state == "done"

        return self._until(done, deadline, drain=True) is not None

    def passed(self, lane: LaneId, mark: Mark, deadline: float) -> int:
        """How many offsets of its topics the lane has yet to pass: 0 as soon as it has passed all."""
        left = 1
        while True:
            try:
                left = behind(lane, mark.ends, self._groups.of(lane, mark.ends))
                if not left:
                    return 0
            except Transient:
                left = max(left, 1)
            if time.monotonic() >= deadline:
                return left
            time.sleep(_PAUSE)

    def _until(self, fits: Callable[[Positions], bool], deadline: float, *, drain: bool = False) -> Mark | None:
        while True:
            try:
                with self._polling:
                    taken = self._tail.poll(_PAUSE)
                    last = self._tail.last
                    if last is not None and fits(last) and not (drain and taken == BATCH):
                        covers, ends = last.ordinal + last.partial, dict(self._tail.ends)
                        return Mark(int(last.position), covers, ends, last.sums, not last.partial)
            except Transient:
                time.sleep(_PAUSE)
            if time.monotonic() >= deadline:
                return None

    def close(self) -> None:
        with self._polling:
            self._tail.close()
