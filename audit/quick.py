"""The quick audit of the targets of one look: sums first, and rows only where these differ.

A ledger (`audit.ledger`) says what the targets should have held at a mark; each store sums what it holds. Both are
compared as of that mark (`audit.tally`), without a look at MySQL. Buckets that differ are opened: the store's rows
against the last records of their keys name suspects, and those are looked at as whole rows, in MySQL too, by
`Look.again`, which alone names a difference.

What sums cannot show: a value that was edited in a store without its hash, a row that lies in another place under the
same hash, another mapping. Deep audits show these. A store that may drop rows has no sums to compare: a random sample
of what it holds is looked at instead.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from audit.compare import plain
from audit.ledger import Ledger, Stand, Told
from audit.look import Look
from audit.side import Side
from audit.sources import Opening
from audit.tally import tally
from audit.truth import Behind, Truth
from changes.canonical import BUCKETS
from changes.errors import Transient
from changes.key import Key

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often buckets are compared that differ where no row does: a change may have mended it in between."""
MOST_OPENED = 64
"""Buckets of a target that are opened to rows; where more differ, every row is looked at."""
SAMPLE = 1000
"""Rows of a cache that are looked at, about."""

Asked = dict[int, dict[Key, set[int]]]
"""By side, the keys that were put in doubt, and the buckets that each would explain."""


class Quick:
    """One quick audit, on a `Look` that nothing has looked at yet."""

    def __init__(
        self,
        look: Look,
        opening: Opening,
        truth: Truth,
        ledger: Ledger,
        *,
        timeout: float,
        tell: Callable[[str], None],
        pause: float = 0.1,
    ) -> None:
        self._look, self._opening, self._truth, self._ledger = look, opening, truth, ledger
        self._timeout, self._tell, self._pause = timeout, tell, pause
        self._table = look.sides[0].target.table
        self._explained: dict[int, set[int]] = {}
        self._complaints: dict[int, str] = {}

    async def run(self, rounds: int) -> None:
        """Compare, open, and look again ``rounds`` times at most at what is in doubt. Raises `Transient` where MySQL
        or Kafka cannot be reached."""
        equal = await self._run(rounds)
        if not equal and self._ledger.remembers:  # no difference rests on what was remembered
            self._tell(f"{self._table}: something differs, its topics are read from the beginning")
            await asyncio.to_thread(self._ledger.distrust)
            self._begin_anew()
            await self._run(rounds)
        for side in self._look.sides:
            if reason := self._complaints.get(side.number):
                side.give_up(reason, late=False)
                log.error("`%s` in %s: %s", self._table, side.target.sink, side.away)

    async def _run(self, rounds: int) -> bool:
        """Whether nothing speaks against the stores being equal."""
        sides, open_, held = self._look.sides, dict[int, set[int]](), 0
        for attempt in range(ATTEMPTS):
            with self._opening(0) as view:
                self._truth.see(view.schema)
            stand = await self._stand(sides)
            if stand is None:
                break
            held = stand.held
            found = await self._compared(stand, sides, first=not attempt)
            open_ = {number: some - self._explained.get(number, set()) for number, some in found.items()}
            open_ = {number: some for number, some in open_.items() if some}
            if any(len(some) > MOST_OPENED for some in open_.values()):
                if not self._ledger.remembers:
                    await self._everything(rounds)
                return False
            asked = await self._open(open_, every=attempt > 0) if open_ else {}
            await self._look.again(rounds, self._pause)
            self._explain(asked)
            sides = [side for side in sides if side.number in open_]
            if not sides:
                break
        else:
            self._complain(open_)
        self._complain_of_strange()
        for side in self._look.sides:  # looks at rows have counted theirs once more
            if side.target.keep == "mirror":
                side.compared = 0 if side.away else held
        return not self._complaints and not any(side.different for side in self._look.sides)

    def _begin_anew(self) -> None:
        self._explained, self._complaints = {}, {}
        self._look.source_rows = 0
        for side in self._look.sides:
            side.begin_anew()

    # -- sums -----------------------------------------------------------------------------------------------------

    async def _stand(self, sides: Sequence[Side]) -> Stand | None:
        try:
            return await asyncio.to_thread(self._ledger.stand, time.monotonic() + self._timeout)
        except Behind as behind:
            self._look.give_up(sides, behind)
            return None

    async def _compared(self, stand: Stand, sides: Sequence[Side], *, first: bool) -> dict[int, set[int]]:
        """The buckets that differ, by side. The first time caches are sampled, and what the ledger doubts is put in
        doubt."""
        if first:
            self._look.source_rows = stand.rows
            await asyncio.to_thread(self._doubt)
        schema, found = self._truth.schema, dict[int, set[int]]()
        for side in sides:
            if not await self._look.ready(side, stand.mark):
                continue
            try:
                if side.target.keep == "cache":
                    if first:
                        await self._sample(side, stand)
                    continue
                stored = await side.sink.sums(side.target, schema, stand.mark.position)
            except Transient as error:
                side.give_up(error)
                continue
            await asyncio.to_thread(self._ledger.catch_up)
            result = tally(stand.sums, stored, self._ledger.behind(side.number))
            found[side.number] = result.differing
            if first:
                side.sink_rows = result.rows
        return found

    def _doubt(self) -> None:
        for canonical, values in self._ledger.doubted():
            for side in self._look.sides:
                self._look.digests.ask(side.number, values, canonical, ())

    async def _sample(self, side: Side, stand: Stand) -> None:
        """Put some rows of a cache in doubt, chosen by their buckets: an absent row is no difference."""
        share = min(BUCKETS, -(-BUCKETS * SAMPLE // max(stand.held, 1)))
        buckets = random.sample(range(BUCKETS), share)
        async for row in side.sink.rows(side.target, self._truth.schema, buckets):
            side.sink_rows += 1
            self._ask(side, row.key, [row.place])
        side.note = f"a sample of {side.sink_rows} cached rows"

    # -- rows -----------------------------------------------------------------------------------------------------

    async def _open(self, open_: Mapping[int, set[int]], *, every: bool) -> Asked:
        """Put the suspects of these buckets in doubt, ``every``: all of their keys."""
        told = await asyncio.to_thread(self._ledger.told, set().union(*open_.values()))
        asked: Asked = {}
        for number, buckets in open_.items():
            side, held = self._look.sides[number], dict[Key, dict[str, tuple[int, int]]]()
            mine = asked[number] = {}
            try:
                async for row in side.sink.rows(side.target, self._truth.schema, buckets):
                    held.setdefault(row.key, {})[row.place] = row.hash, row.position
            except Transient as error:
                side.give_up(error)
                continue
            for key in held.keys() | {key for key in told if key.bucket in buckets}:
                there = held.get(key, {})
                if every or there != _wanted(told.get(key), number):
                    # a row may be stored under a bucket that is not its key's: then it may explain any
                    mine[key] = {key.bucket} if key.bucket in buckets else buckets
                    self._ask(side, key, there)
        return asked

    def _ask(self, side: Side, key: Key, places: Iterable[str]) -> None:
        self._look.digests.ask(side.number, [plain(value) for value in key.values], key.canonical, places)

    def _explain(self, asked: Asked) -> None:
        """Note the buckets in which a row was found to differ."""
        for side in self._look.sides:
            whole = side.different > len(side.findings)  # not all are remembered
            found = {finding.key for finding in side.findings}
            explained = self._explained.setdefault(side.number, set())
            explained.update(key.bucket for key in found)
            for key, buckets in asked.get(side.number, {}).items():
                if whole or key in found:
                    explained |= buckets

    def _complain(self, open_: Mapping[int, set[int]]) -> None:
        for number, buckets in open_.items():
            self._complaints[number] = (
                f"{len(buckets)} buckets differ from {self._ledger.against}, and none of their rows does: "
                "`check --deep` tells which is right; a request for the whole table has it counted anew"
            )

    def _complain_of_strange(self) -> None:
        """No verdict where stores are filled from something else than what capture counted, and no row shows it."""
        sides = self._look.sides
        found = {self._ledger.row_bucket(finding.key) for side in sides for finding in side.findings}
        left = self._ledger.strange - found
        if left and not any(side.different > len(side.findings) for side in sides):
            reason = (
                f"{len(left)} buckets of its table's topic differ from what capture counted, and none of their rows "
                "does: `check --deep` tells which is right; a request for the whole table has it counted anew"
            )
            self._complaints |= {side.number: reason for side in sides}

    async def _everything(self, rounds: int) -> None:
        """So much differs that every row is looked at."""
        self._tell(f"{self._table}: too many buckets differ, every row is compared")
        self._begin_anew()
        await self._look.everything()
        await self._look.again(rounds, self._pause)


def _wanted(told: Told | None, side: int) -> dict[str, tuple[int, int]]:
    """What a side should hold of a key, by place: hash and position."""
    return {} if told is None or told.places is None else {told.places[side]: (told.hash, told.position)}
