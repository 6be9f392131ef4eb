"""Where a lane stands: what its store holds, and what store and group have been told of that."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from changes.progress import Offsets, folded
from sinks.contract import Sink
from streams.deliver.account import Account, Part, opened, rolled
from streams.deliver.consumer import Assigned, LaneConsumer
from streams.deliver.control import Order
from streams.deliver.delivered import Delivered
from streams.deliver.stamps import (
    Stamp,
    Told,
    back_to,
    doubted,
    stamp_from,
    stamp_of,
    start_of,
    to_text,
    told_from,
    went_back,
)

log = logging.getLogger(__name__)

STAMP_EVERY = 1.0
"""Seconds between two stamps of a lane that writes."""
LOOK_EVERY = 5.0
"""Seconds between looks at the stamp of a lane that does not."""

Where = Mapping[tuple[str, int], int | None]
"""Partitions, and where they go on: at an offset, or at their beginning."""


class Standing:
    """One run of a lane. ``lane`` is its worker's name: its stamps are kept under it.

    What returns a `Where` that is not empty has found that the store may lack what was written: the caller drops the
    messages it has in hand and calls `rewind`. ``on_back`` is called once such a store, and its group, were told.
    All raise `Transient` and `Misconfigured` for the store, and may then be called again.
    """

    def __init__(
        self, lane: str, consumer: LaneConsumer, sink: Sink, delivered: Delivered, on_back: Callable[[], None]
    ) -> None:
        self._lane, self._consumer, self.sink, self._on_back = lane, consumer, sink, on_back
        self._delivered = delivered
        self.accounts: dict[Part, Account] = {}
        self._unkept: set[Part] = set()
        self.written: Offsets = {}
        self._stamp: Stamp | None = None
        self._serial = 0
        self._news = ""
        self.order = ""
        self.unsaid = False
        self._stamped_at = self._looked_at = float("-inf")

    async def adopt(self, assigned: Sequence[Assigned]) -> Where:
        """Take over partitions that were just assigned."""
        told = {(part.topic, part.partition): told_from(part.metadata) for part in assigned}
        known = [one for one in told.values() if one is not None]
        held = {lane: await self._held(lane) for lane in {self._lane, *(one.lane for one in known)}}
        own = held[self._lane]
        serials = [one.serial for one in known if one.lane == self._lane]
        self._serial = max([self._serial, 0 if own is None else own.serial, *serials])
        if not self._news:
            self._stamp = self._stamp or own
        self.unsaid = self.unsaid or self._stamp is None  # so that the first stamp is from when it was first opened
        accounts = await self._opened(assigned, told)
        to: dict[tuple[str, int], int | None] = {}
        lost: dict[str, Stamp | None] = {}
        for part in assigned:
            one = told[part.topic, part.partition]
            start = start_of(part.topic, part.partition, part.offset, one, None if one is None else held[one.lane])
            self.written[part.topic, part.partition] = part.offset
            if start.offset != part.offset:
                to[part.topic, part.partition] = start.offset
            if start.back and one is not None:
                lost[one.lane] = held[one.lane]
        self.accounts |= accounts
        for stamp in lost.values():
            self._say_back(stamp, len(to))
            self.unsaid = True
        self._stamped_at = float("-inf")  # the next stamp has to speak of them
        return to

    async def _opened(self, assigned: Sequence[Assigned], told: Mapping[Part, Told | None]) -> dict[Part, Account]:
        """The accounts of partitions that came. What was passed without being delivered is said."""
        bare = any(part.committed and told[part.topic, part.partition] is None for part in assigned)
        kept = await asyncio.to_thread(self._delivered.kept) if bare else {}
        found: dict[Part, Account] = {}
        for part in assigned:
            where = part.topic, part.partition
            one = told[where]
            account = kept.get(where) if one is None and part.committed else None if one is None else one.account
            found[where], passed = opened(account, part.offset, _now_ms())
            if not passed:
                continue
            if skipped := await asyncio.to_thread(self._delivered.records_in, where, passed):
                found[where].skipped += skipped
                log.error(
                    "%s: %d records of `%s`, partition %d, from offset %d up to %d were passed and not delivered:"
                    " somebody moved the group. `tailrace snapshot` tells their table's rows anew",
                    self._lane,
                    skipped,
                    part.topic,
                    part.partition,
                    passed.start,
                    passed.stop,
                )
        return found

    def wrote(self, ends: Offsets, accounts: Mapping[Part, Account]) -> None:
        """The store holds everything below ``ends``, and that is accounted for."""
        self.written |= ends
        self.accounts |= accounts
        self._unkept |= accounts.keys()
        self.unsaid = True

    @property
    def repeated(self) -> int:
        """How many records came again, of those that the accounts of now cover."""
        return sum(account.repeated for account in self.accounts.values())

    @property
    def skipped(self) -> int:
        """How many were passed and not delivered."""
        return sum(account.skipped for account in self.accounts.values())

    @property
    def stamped_ms(self) -> int | None:
        """When the store was stamped last, in milliseconds since 1970, also by a worker before this one."""
        return None if self._stamp is None else self._stamp.at_ms

    @property
    def stamp_due(self) -> bool:
        return self.unsaid and time.monotonic() - self._stamped_at >= STAMP_EVERY

    @property
    def look_due(self) -> bool:
        return time.monotonic() - self._looked_at >= LOOK_EVERY

    async def look(self, *, failed: bool = False) -> Where:
        """Whether the store is what it was; ``failed``: it was away, and may have forgotten what came last."""
        held = await self._held(self._lane)
        if self._stamp is not None and went_back(self._stamp, held):
            return self._back(held)
        self._looked_at = time.monotonic()
        return doubted(self.written, held) if failed and held is not None else {}

    async def say(self, *, wait: bool = False) -> Where:
        """Stamp the store, then tell the group; ``wait`` until it knows."""
        held = await self._held(self._lane)
        if self._stamp is not None and went_back(self._stamp, held):
            return self._back(held)
        self._serial = max(self._serial, 0 if held is None else held.serial) + 1
        incarnation = uuid.uuid4().hex[:8] if self._stamp is None else self._stamp.incarnation
        stamp = stamp_of(incarnation, self._serial, _now_ms(), self.written)
        replaced = stamp_from(await self.sink.stamp(self._lane, to_text(stamp)))
        if replaced != held:
            return self._back(replaced)
        self._stamp = stamp
        for where, account in self.accounts.items():
            self.accounts[where] = rolled(account, self.written.get(where, 0), _now_ms())
        await self.commit(self.written, wait=wait or bool(self._news))
        self._delivered.keep({where: self.accounts[where] for where in self._unkept})
        self._unkept.clear()
        if self._news:
            log.warning("%s", self._news)
            self._on_back()
        self._news, self.unsaid = "", False
        self._stamped_at = self._looked_at = time.monotonic()
        return {}

    def earlier(self, order: Order) -> Where:
        """Where those of this worker's partitions go on that an order has go back; commits tell its id from now on."""
        to = {
            part: min(offset, self.written[part])
            for part, offset in folded(order.offsets).items()
            if part in self.written
        }
        self.order = order.id if to else self.order
        return to

    async def commit(self, ends: Offsets, *, wait: bool = False) -> None:
        """Tell the group; the store was stamped before."""
        stamp = self._stamp
        if stamp is None:
            return
        told = {
            where: to_text(Told(self._lane, stamp.incarnation, stamp.serial, self.accounts.get(where), self.order))
            for where in ends
        }
        await self._consumer.commit(ends, told, wait=wait)

    async def rewind(self, to: Where) -> None:
        """Go on from there, all else from what is written."""
        self.written = await self._consumer.seek({**self.written, **to})
        self.unsaid = True
        self._stamped_at = float("-inf")

    async def _held(self, lane: str) -> Stamp | None:
        return stamp_from(await self.sink.stamped(lane))

    def _back(self, held: Stamp | None) -> Where:
        to = back_to(self.written, held)
        self._say_back(held, len(to))
        return to

    def _say_back(self, held: Stamp | None, partitions: int) -> None:
        since = "knows of nothing" if held is None else f"is as it was at {_when(held.at_ms)}"
        self._news = f"{self._lane}: the store went back: it {since}; {partitions} partitions are delivered again"
        self._stamp = None  # what follows is another incarnation


def _now_ms() -> int:
    return round(time.time() * 1000)


def _when(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
