"""What a quick audit of made rows goes by: what the enriched topic says last, and what it should have been made from.

Three things stand one behind the other, each held against the one before it without a look at MySQL:

1. The table's topic, up to the mark: its last records, by bucket, against what capture counted of MySQL's rows.
2. The enriched topic, once enrichment has passed the mark: each last record against its row's in the table's topic, by
   what enrichment goes by: the generation that is declared, the hash of what is read of the row, the carried columns.
   Of a row that changed behind the mark any state since then will do.
3. The stores, once their lanes have passed where the enriched topic ended then, in sums. Whatever is said behind that
   end is of a position beyond the mark, or else says the same as before, or its bucket is opened.

Keys that fail in the first two are put in doubt; `Look.again` alone names a difference.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from itertools import chain

import msgspec
import xxhash

from audit.derived import DerivedTruth, decode_where
from audit.digests import names_of
from audit.kept import FORMAT, Kept, Row
from audit.ledger import COUNTING, CountedAt, Stand, Told
from audit.made import Said
from audit.sources import Recorded, Recording
from audit.tally import Behind
from audit.truth import Lacking
from changes.canonical import bucket_of, halves
from changes.envelope import decode, decode_key, headers_from
from changes.key import Key, key_of
from changes.progress import KeyValue, Offsets
from changes.target import Target
from streams.enrich.derive import Plan

_values = msgspec.json.Decoder(list[bool | int | float | str | None]).decode

Ahead = tuple[int, int, Row]
"""A record of the table's topic: partition, offset, what it says."""


class MadeLedger:
    """``truth`` is the look's; ``source`` the table's topic, followed for this alone; ``remembered`` opens what earlier
    audits remember of what is declared now."""

    against = "what the enriched topic says last"

    def __init__(
        self,
        truth: DerivedTruth,
        targets: Sequence[Target],
        source: Recording,
        counted: CountedAt,
        remembered: Callable[[], Kept],
    ) -> None:
        self._truth, self._targets = truth, targets
        self._source, self._counted, self._remembered = source, counted, remembered
        self._opened: Kept | None = None
        self._position = -1
        self._taken: Offsets | None = None
        self._ahead: list[Ahead] = []
        self._seen: dict[bytes, int | None] = {}
        self._behind: list[Behind] = []
        self.strange: Set[int] = frozenset()

    @property
    def _kept(self) -> Kept:
        if self._opened is None:
            self._opened = self._remembered()
            self._truth.go_on(self._opened.made, self._opened.ends, self._opened.newest)
            self._source.start(self._opened.ends)
            self._taken, self._ahead = None, []
        return self._opened

    @property
    def remembers(self) -> bool:
        return self._opened is not None and self._opened.remembers

    def stand(self, deadline: float) -> Stand:
        try:
            return self._stand(deadline)
        except sqlite3.DatabaseError:  # the file is damaged
            if not self.remembers:
                raise
            self.distrust()
            return self._stand(deadline)

    def _stand(self, deadline: float) -> Stand:
        kept, table = self._kept, self._truth.plan.table
        found = self._counted(table, deadline)
        if found is None:
            raise Lacking(COUNTING)
        marked, sums = found
        mark = self._truth.settle(marked, deadline)
        topic = self._source.topic
        kept.ask(self._upto(marked.ends))
        self._taken = {part: end for part, end in marked.ends.items() if part[0] == topic}
        told = kept.sums()
        self.strange = {bucket for bucket in told.keys() | sums.keys() if told.get(bucket) != sums.get(bucket)}
        self._seen, self._position = {}, mark.position
        self._behind = [Behind(target) for target in self._targets]
        for said in kept.made.beyond(mark.position):
            self._moved(said)
        return Stand(mark, sum(rows for rows, _, _ in sums.values()), kept.made.sums())

    def _upto(self, ends: Offsets) -> Iterator[Row]:
        """The records of the table's topic before ``ends``; those behind wait for the next mark."""
        waiting, self._ahead = self._ahead, []
        new = ((one.partition() or 0, one.offset() or 0, self._row(one)) for one in self._source.drain())
        for record in chain(waiting, new):
            partition, offset, row = record
            if offset < ends.get((self._source.topic, partition), 0):
                yield row
            else:
                self._ahead.append(record)

    def _row(self, message: Recorded) -> Row:
        key = key_of(self._truth.source, decode_key(message.key() or b""))
        value, headers = message.value(), headers_from(message.headers())
        after = None if value is None else decode(value).after
        names, bucket = names_of(key.values), key.bucket
        if after is None:
            return key.canonical, names, None, None, None, bucket
        return key.canonical, names, self._truth.basis(after), *halves(headers.hash), bucket

    def doubted(self) -> Iterator[tuple[bytes, list[KeyValue]]]:
        kept, plan = self._kept, self._truth.plan
        since: dict[bytes, set[bytes | None]] = {}
        for _, _, (row, _, basis, *_) in self._ahead:
            since.setdefault(row, set()).add(basis)
        for key, names, row, basis, right in kept.flawed(plan.generation, chunked=plan.chunked):
            if not (right and basis in since.get(row, ())):
                yield key, _values(names)
        for row, names in kept.without():
            if None not in since.get(row, ()):
                first = self._truth.first_key(_values(names))
                yield first.canonical, _values(names_of(first.values))
        if self.strange:
            for key, names in kept.of_rows_in(self.strange):
                yield key, _values(names)

    def behind(self, number: int) -> Behind:
        return self._behind[number]

    def catch_up(self) -> None:
        made, again = self._kept.made, list(self._truth.records())
        for said in again:
            if said.key not in self._seen:
                at_mark, _ = made.of(said.key) or (None, 0)
                self._seen[said.key] = None if at_mark is None else at_mark.whole
                if at_mark is not None:
                    self._moved(at_mark)
            self._touched(said)
            if said.position <= self._position and said.whole != self._seen[said.key]:
                for behind in self._behind:
                    behind.unsure.add(bucket_of(said.key))
        made.say(again)

    def _moved(self, said: Said) -> None:
        """What was said last at the mark is not what stores hold under a position up to it."""
        self._touched(said)
        if said.whole is not None:
            for behind, (place, _) in zip(self._behind, decode_where(said.targets), strict=True):
                behind.lay(said.key, place, said.whole)

    def _touched(self, said: Said) -> None:
        places = decode_where(said.targets) if said.targets else ()
        for behind, (place, _) in zip(self._behind, places, strict=False):
            behind.touch(said.key, place)
        for behind in self._behind:
            behind.anywhere.add(said.key)  # results do not tell from where they are moved

    def told(self, buckets: Collection[int]) -> dict[Key, Told]:
        found = {}
        for said in self._kept.made.in_buckets(buckets):
            places = tuple(place for place, _ in decode_where(said.targets))
            found[Key(tuple(_values(said.names)), said.key)] = Told(said.whole or 0, said.position, places)
        return found

    def row_bucket(self, key: Key) -> int:
        return self._truth.row_key(key).bucket

    def distrust(self) -> None:
        if self._opened is not None:
            self._opened.forget()
            self._opened = None

    def keep(self) -> None:
        if self._opened is not None and self._taken is not None:
            self._opened.keep({**self._truth.ends, **self._taken}, self._truth.newest)


def identity_of(plan: Plan, targets: Sequence[Target], source: str, topics: Sequence[str]) -> str:
    """What a file of `Kept` is of: ``source`` is the fingerprint of the table's columns, ``topics`` are the ids that
    Kafka gave the two topics when they were created."""
    declared = [[target.sink, target.name, target.mapping] for target in targets]
    parts = [FORMAT, plan.version, plan.published_as, plan.reads, plan.carry, sorted(plan.hidden), plan.chunked]
    return xxhash.xxh3_128_hexdigest(msgspec.json.encode([*parts, declared, source, topics]))
