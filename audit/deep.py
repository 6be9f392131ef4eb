"""An audit of a version while writes go on: deep, every row of every store compared with MySQL by value, or quick, by
what capture and the stores have summed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import xxhash

from audit.counts import Counts
from audit.course import FORMAT, path_of
from audit.derived import DerivedTruth
from audit.digests import Digests
from audit.explain import explain, result_of
from audit.kept import Kept
from audit.ledger import Ledger
from audit.look import Look
from audit.madeledger import MadeLedger, identity_of
from audit.pace import Lanes, Lateness
from audit.quick import Quick
from audit.report import Report, Result, overall
from audit.rowledger import RowLedger
from audit.side import Finding, Side, Where
from audit.threads import make_room
from audit.truth import RowsTruth, Truth
from changes.errors import Transient
from changes.key import Key
from changes.position import to_text
from changes.schema import TableSchema
from changes.target import Target
from changes.tier import Tier
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.enrich.derive import Plan, plan_of
from streams.follow import Follower
from streams.kafka import KafkaUrl, topic_ids
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.view import view_of
from streams.watch import LaneId, enrichment_of, lane_of


@dataclass(frozen=True)
class Terms:
    """How an audit is done.

    ``timeout``: the longest wait for capture and for each lane, in seconds; one that was not there in time is not
    waited for again. ``rounds``: how often what will not hold still is looked at again. ``keep``: how many differences
    of each target are remembered for a repair. ``memory``: the folder in which quick audits remember what they have
    read of enriched topics, and deep ones how far they are; ``None`` for none, then each reads all from the beginning.
    ``share``: that of MySQL's time which a deep audit may take, above 0 and up to 1, for each table that it reads at
    the same time: `SOURCES` at most.
    """

    timeout: float = 60.0
    rounds: int = 8
    keep: int = 1000
    memory: Path | None = None
    share: float = 1.0


PATIENT = Terms()


AT_ONCE = 16
"""Tables that are looked at side by side: most of a look is waiting for lanes and disks, and of a file that holds rows
of several tables all of them come with one reading, if it has not changed until they are asked for."""
SOURCES = 4
"""Those of them that are read in MySQL."""


@dataclass(frozen=True)
class Audited:
    """A report, and its findings by table for whoever repairs them."""

    report: Report
    findings: Mapping[str, list[tuple[Side, Finding]]]


Keys = Mapping[str, Mapping[Key, Mapping[Where, Sequence[str]]]]
"""By table, keys to be audited, each with places to look at beside its own, by target."""


async def check(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    *,
    tables: Sequence[str] = (),
    sinks: Sequence[str] = (),
    targets: Sequence[Target] | None = None,
    keys: Keys | None = None,
    derived: bool = True,
    depth: Literal["quick", "deep"] = "deep",
    terms: Terms = PATIENT,
    tell: Callable[[str], None] = lambda _: None,
) -> Audited:
    """Audit what is asked for; everything where nothing is said, only ``keys`` where they are given. Without
    ``derived`` what was made of rows is left out. ``targets`` are audited instead of what is declared.

    ``tell`` gets progress for people. Raises `Transient` where MySQL or Kafka cannot be reached; a store that cannot
    be is *undecided*.
    """
    began = time.monotonic()
    chosen = [
        target
        for target in _wanted(topology, version, targets, derived=derived)
        if (not tables or target.source in tables)
        and (not sinks or target.sink in sinks)
        and (keys is None or target.table in keys)
    ]
    kafka, mysql = KafkaUrl.parse(endpoints["kafka"]), MysqlUrl.parse(endpoints["mysql"])
    late: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        names = list(dict.fromkeys(target.table for target in chosen))
        marks = Marks(kafka, version)
        stack.callback(marks.close)
        opened: dict[str, Sink] = {}
        openings = {name: asyncio.Lock() for name in SPECS}
        for name in dict.fromkeys(target.sink for target in chosen):
            opened[name] = SPECS[name].build(endpoints[SPECS[name].endpoint])
            stack.push_async_callback(opened[name].close)
            with suppress(Transient):  # one that is away is told with its targets
                await opened[name].open([])
        mark = await asyncio.to_thread(marks.newest, time.monotonic() + terms.timeout)
        book = SchemaBook(kafka, version)
        counts = Counts(kafka, version, book) if depth == "quick" else None
        if counts is not None:
            stack.callback(counts.close)
        reading = asyncio.Semaphore(SOURCES)
        objectives = _objectives(topology, version, chosen)
        lanes = Lanes(Lateness(marks, objectives), patience=terms.timeout, tell=tell)
        audit = _Audit(topology, version, mysql, kafka, marks, book, counts, terms, tell, reading, lanes)
        turns = asyncio.Semaphore(AT_ONCE)
        make_room(3 * AT_ONCE)  # each table keeps two waiting at most

        async def table(name: str) -> tuple[list[Result], list[tuple[Side, Finding]]]:
            async with turns:
                sides = [
                    Side(
                        number,
                        target,
                        opened[target.sink],
                        lane_of(topology, target),
                        opening=openings[target.sink],
                    )
                    for number, target in enumerate(target for target in chosen if target.table == name)
                ]
                for side in sides:
                    side.away = late.get(side.lane.group, "")
                found = await audit.table(sides, None if keys is None else keys[name])
                late.update({side.lane.group: side.away for side in sides if side.late})
                return found, [(side, finding) for side in sides for finding in side.findings]

        # All are ended before an error is raised: threads of theirs may be reading still.
        done = await asyncio.gather(*map(table, names), return_exceptions=True)
    audited: list[tuple[list[Result], list[tuple[Side, Finding]]]] = []
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
        audited.append(outcome)
    results = [result for found, _ in audited for result in found]
    findings = {name: found for name, (_, found) in zip(names, audited, strict=True)}
    seconds = round(time.monotonic() - began, 3)
    position = to_text(mark.position)
    report = Report(overall(results), version, position, depth if keys is None else "keys", seconds, results)
    return Audited(report, findings)


def _wanted(topology: Topology, version: str, targets: Sequence[Target] | None, *, derived: bool) -> Sequence[Target]:
    if targets is not None:
        return targets
    return topology.every_target(version) if derived else topology.targets(version)


def _objectives(topology: Topology, version: str, targets: Sequence[Target]) -> dict[LaneId, float]:
    """How fresh each lane is to be that fills any of these, in seconds."""
    topics: dict[tuple[str, Tier], dict[str, None]] = {}
    for target in targets:
        topics.setdefault((target.sink, target.tier), {})[topology.topic_of(target)] = None
    return {LaneId(version, sink, tier.name, tuple(names)): tier.fresh for (sink, tier), names in topics.items()}


@dataclass(frozen=True)
class _Audit:
    """What the audits of a version's tables share. ``counts`` are capture's, for a quick one; ``reading`` is held by
    whoever reads MySQL, and to ``lanes`` all give way."""

    topology: Topology
    version: str
    mysql: MysqlUrl
    kafka: KafkaUrl
    marks: Marks
    schemas: SchemaBook
    counts: Counts | None
    terms: Terms
    tell: Callable[[str], None]
    reading: asyncio.Semaphore
    lanes: Lanes

    async def table(self, sides: list[Side], keys: Mapping[Key, Mapping[Where, Sequence[str]]] | None) -> list[Result]:
        """Audit the targets of one table, or of one of its enrichers; of ``keys`` only where they are given."""
        began = time.monotonic()
        target, terms = sides[0].target, self.terms
        declared = self.topology.tables[target.source]
        opening = partial(
            view_of,
            self.mysql,
            target.database,
            target.source,
            key=tuple(declared.key),
            dropped=frozenset(declared.columns.drop),
        )
        async with AsyncExitStack() as stack:
            follower = Follower(self.kafka, self.version, self.topology.topic(self.version, target.source))
            stack.callback(follower.close)
            targets = [side.target for side in sides]
            truth = self._truth(targets, stack)
            unready = await asyncio.to_thread(self._unready, target.source)
            whole = not unready and keys is None and self.counts is None
            identity = await asyncio.to_thread(self._identity, targets) if whole else ""
            look = Look(
                opening,
                self.marks,
                follower,
                target.table,
                sides,
                truth,
                timeout=terms.timeout,
                keep=terms.keep,
                tell=self.tell,
                share=terms.share,
                digests=Digests(self._course_of(targets) if whole else None),
                identity=identity,
                reading=self.reading,
                lanes=self.lanes,
            )
            stack.callback(look.digests.close)
            if not unready:
                if keys is not None:
                    look.ask(keys)
                    await look.again(terms.rounds)
                elif self.counts is not None:
                    ledger = self._ledger(self.counts, truth, [side.target for side in sides], follower, stack)
                    quick = Quick(look, opening, truth, ledger, timeout=terms.timeout, tell=self.tell)
                    await quick.run(terms.rounds)
                    await asyncio.to_thread(ledger.keep)
                else:
                    await look.everything()
                    await look.again(terms.rounds)
                    look.digests.finish()
            else:
                for side in sides:
                    side.give_up(unready, late=False)
            if any(side.findings for side in sides):
                topic = self.topology.topic_of(target)
                await asyncio.to_thread(explain, self.kafka, topic, sides, self._schema)
            results = [result_of(side, look) for side in sides]
        seconds = time.monotonic() - began
        rows = look.source_rows + sum(side.sink_rows for side in sides)
        rate = rows / max(seconds, 0.001)
        self.tell(f"{target.table}: {rows} rows on both sides in {seconds:.1f} s, {rate:.0f}/s")
        return results

    def _unready(self, table: str) -> str:
        """Why a table cannot be looked at, "" where it can."""
        if not self.marks.filled(table, time.monotonic() + self.terms.timeout):
            return "the table is still being filled"
        return "MySQL has no such table" if self.marks.fills[table].absent else ""

    def _truth(self, targets: Sequence[Target], stack: AsyncExitStack) -> Truth:
        target = targets[0]
        enrichment = enrichment_of(self.topology, self.version)
        if target.of is None or enrichment is None:
            return RowsTruth(targets)
        topic = Follower(self.kafka, self.version, self.topology.topic_of(target))
        reads = replace(enrichment, topics=(self.topology.topic(self.version, target.source),))
        plan = plan_of(self.topology, self.version, target.source, target.of)
        truth = DerivedTruth(plan, targets, self.marks, topic, reads, self._schema)
        stack.callback(truth.close)
        return truth

    def _ledger(
        self, counts: Counts, truth: Truth, targets: Sequence[Target], follower: Follower, stack: AsyncExitStack
    ) -> Ledger:
        topic = self.topology.topic_of(targets[0])
        if not isinstance(truth, DerivedTruth):
            return RowLedger(truth, targets, topic, follower, counts, self.kafka)
        source = Follower(self.kafka, self.version, self.topology.topic(self.version, targets[0].source))
        stack.callback(source.close)

        def remembered() -> Kept:
            ids = topic_ids(self.kafka, [source.topic, topic])
            identity = identity_of(truth.plan, targets, truth.source.fingerprint, ids)
            return Kept.opened(self._memory_of(truth.plan, targets), identity, time.time())

        return MadeLedger(truth, targets, source, counts.at_mark, remembered)

    def _memory_of(self, plan: Plan, targets: Sequence[Target]) -> Path | None:
        """A file for each choice of targets: what is remembered says where each puts what."""
        sinks = "-".join(dict.fromkeys(target.sink for target in targets))
        folder = self.terms.memory
        return None if folder is None else folder / self.version / f"{plan.published_as}.{sinks}.sqlite"

    def _identity(self, targets: Sequence[Target]) -> str:
        """What is audited: these targets of this table, as they are declared, and the topic that they are filled
        from."""
        declared = self.topology.tables[targets[0].source]
        (id_,) = topic_ids(self.kafka, [self.topology.topic_of(targets[0])])
        told = [[target.sink, target.name, target.mapping] for target in targets]
        parts = [FORMAT, self.version, targets[0].table, declared.key, sorted(declared.columns.drop), told, id_]
        return xxhash.xxh3_128_hexdigest(msgspec.json.encode(parts))

    def _course_of(self, targets: Sequence[Target]) -> Path | None:
        """Where the course of an audit of these targets is kept. What was made of rows is read from its topic at the
        beginning, and that is not gone on with."""
        if self.terms.memory is None or targets[0].of is not None:
            return None
        sinks = "-".join(dict.fromkeys(target.sink for target in targets))
        return path_of(self.terms.memory, self.version, f"{targets[0].table}.{sinks}")

    def _schema(self, table: str, fingerprint: str) -> TableSchema:
        if not self.schemas.knows(table, fingerprint):
            self.schemas.refresh()
        try:
            return self.schemas.of(table, fingerprint)
        except UnknownSchema as error:
            raise Transient(str(error)) from error
