"""Erasing persons, from MySQL to the receipt.

Nothing is remembered between the steps: each can be taken again, and whoever was killed begins anew. Deleted rows are
told by the topics, so a run that finds none left in MySQL still follows them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path

from confluent_kafka import Message

from audit.erasure import source, telling, topics
from audit.erasure.gather import Gathered, Makers, gather
from audit.erasure.letters import taken_out
from audit.erasure.looking import Looking
from audit.erasure.plan import Step, planned
from audit.erasure.retention import bound, of_topics
from audit.erasure.secret import Secret
from audit.erasure.source import Owned
from audit.erasure.subject import Subject, Subjects
from audit.erasure.values import Person
from audit.receipt import Place, Receipt, overall, signed
from audit.search.needle import needles_of
from changes.errors import Transient
from changes.progress import KeyValue
from changes.schema import TableSchema
from changes.topology import Topology
from enrichers.cache import open_cache
from enrichers.contract import Enricher
from enrichers.registry import SPECS as ENRICHERS
from enrichers.settings import Settings
from sinks.registry import SPECS
from sinks.sql.sqlite.emptying import rewritten
from streams.capture.requests import send
from streams.deliver.control import flushing
from streams.deliver.schemas import SchemaBook, UnknownSchema
from streams.enrich.again import asked
from streams.enrich.derive import Plan, plan_of
from streams.kafka import KafkaUrl
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.watch import ENRICH, Waited, enrichment_of, lanes_of, wait

_AT_ONCE = 500


@dataclass
class One:
    """One person, while they are erased: what was taken out so far."""

    what: list[Owned]
    gathered: Gathered
    rows: dict[str, int] = field(default_factory=dict)
    cached: int = 0
    files: int = 0
    letters: int = 0
    again: int = 0

    @property
    def id(self) -> str:
        return str(self.what[-1].owner)


@dataclass(frozen=True)
class Erasing:
    """One version's erasures. ``folders`` are those of files that its processes keep. ``derived``: whether what is made
    of rows is waited for, as it must be where enrichment runs. ``timeout``: seconds for deleting, and again for the
    lanes to follow."""

    topology: Topology
    version: str
    endpoints: Mapping[str, str]
    settings: Settings
    secret: Secret
    folders: Sequence[Path]
    timeout: float = 300.0
    derived: bool = True
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    tell: Callable[[str], None] = lambda _: None

    @property
    def mysql(self) -> MysqlUrl:
        return MysqlUrl.parse(self.endpoints["mysql"])

    @property
    def kafka(self) -> KafkaUrl:
        return KafkaUrl.parse(self.endpoints["kafka"])

    def steps(self) -> list[Step]:
        """Raises `Misconfigured` where a table does not say what becomes of its rows."""
        return planned(self.topology, source.references(self.mysql, self.topology.database(self.version)))

    def what(self, user: str, steps: Sequence[Step]) -> list[Owned]:
        """Raises `ValueError` where ``user`` is no id, `Misconfigured` where MySQL has not what is declared."""
        return source.owned(self.mysql, self.topology.database(self.version), steps, user)

    def who(self, what: Sequence[Owned]) -> str:
        """The keyed hash that stands for a person."""
        return self.secret.who(self.version, str(what[-1].owner))

    async def erase(self, users: Sequence[str]) -> list[Receipt]:
        """Erase persons, follow them through everything, and look for them; a signed receipt for each.

        Raises `Transient` where MySQL, Kafka or the cache is away, or capture does not tell the deletions in time: what
        was done stays done, and the same call goes on with it. A store that is away or behind is undecided.
        """
        began = self.clock()
        steps = self.steps()
        ones = [One(self.what(user, steps), Gathered(Person())) for user in users]
        await asyncio.to_thread(self._delete, ones)
        behind = await asyncio.to_thread(self._follow)
        await asyncio.to_thread(self._gather, steps, ones)
        await asyncio.to_thread(self._tell_again, ones)
        await self._forget(ones)
        await asyncio.to_thread(self._rewrite, ones)
        subjects = Subjects(self.version, self.secret, steps, [*self._subjects(ones)])
        looking = Looking(self.topology, self.version, self.endpoints, subjects, self.folders, behind, self.tell)
        await looking.source()
        await asyncio.to_thread(self._take_letters, subjects, ones)
        await asyncio.to_thread(bound, self.kafka, [*topics.sources_of(self.topology, self.version)])
        seen = await looking.everywhere()
        places = [[place.of(subject.who) for place in seen] for subject in subjects.all]
        return await asyncio.to_thread(self._receipts, began, ones, subjects.all, places)

    def _delete(self, ones: Sequence[One]) -> None:
        for number, one in enumerate(ones, 1):
            self.tell(f"deleting rows ({number} of {len(ones)})")
            one.rows = source.erase(self.mysql, one.what, timeout=self.timeout)

    def _follow(self) -> dict[str, str]:
        """Wait until all that was deleted is gone from every store; why it is not, by sink."""
        lanes = lanes_of(self.topology, self.version)
        enrichment = enrichment_of(self.topology, self.version) if self.derived else None
        self.tell("waiting for the stores")
        with flushing(self.kafka, self.version):
            waited = wait(
                self.mysql, self.kafka, lanes, version=self.version, timeout=self.timeout, enrichment=enrichment
            )
        if not waited.captured or waited.filling:
            raise Transient(
                "what is to be erased is deleted in MySQL, and capture has not told it in time (does it run? `tailrace"
                " status`): the same command goes on with it"
            )
        return self._behind(waited)

    def _behind(self, waited: Waited) -> dict[str, str]:
        found: dict[str, str] = {}
        for group, count in waited.waiting.items():
            sink = group.split(".")[1]
            made = [target.sink for target in self.topology.derived_targets(self.version)]
            for name in made if sink == ENRICH else [sink]:
                found[name] = f"`{group}` had {count} records to go"
        return found

    def _gather(self, steps: Sequence[Step], ones: Sequence[One]) -> None:
        self.tell("gathering what topics tell of their rows")
        owners: dict[str, dict[KeyValue, Gathered]] = {step.table: {} for step in steps}
        for one in ones:
            for owned in one.what:
                owners[owned.step.table][owned.owner] = one.gathered
        makers: Makers = {table: [*self._makers(table)] for table in owners}
        topic_of = partial(self.topology.topic, self.version)
        book = SchemaBook(self.kafka, self.version)
        book.refresh()
        gather(self.kafka, topic_of, steps, owners, partial(_schema, book), makers)

    def _makers(self, table: str) -> Iterator[tuple[Plan, Enricher]]:
        for name, decl in self.topology.enrichers(table).items():
            enricher = ENRICHERS[decl.kind].build(decl, self.settings)
            yield plan_of(self.topology, self.version, table, name, enricher.output_columns()), enricher

    def _tell_again(self, ones: Sequence[One]) -> None:
        """Have capture tell rows that are another's or nobody's now: their last records may say whose they were."""
        wanted: dict[str, set[bytes]] = {}
        for one in ones:
            for table, keys in one.gathered.keys(handed_on=True).items():
                wanted.setdefault(table, set()).update(keys)
                one.again += len(keys)
        self.ask_again(wanted)

    def ask_again(self, wanted: Mapping[str, set[bytes]]) -> None:
        """Have capture tell rows by their Kafka keys, by table, and wait until it has."""
        last = -1
        for table, keys in wanted.items():
            if keys:
                rows = asked(self.topology.tables[table].key, sorted(keys))
                last = max(last, send(self.kafka, self.version, table, rows))
        if last >= 0:
            with closing(Marks(self.kafka, self.version)) as marks:
                if marks.behind_request(last, time.monotonic() + self.timeout) is None:
                    raise Transient("capture has not told rows again in time: the same command goes on with it")

    async def _forget(self, ones: Sequence[One]) -> None:
        """Take out of enrichment's cache what was made of their rows."""
        cache = open_cache(self.endpoints["redis"], self.endpoints["postgres"]) if self._enriches else None
        if cache is None:
            return
        try:
            for one in ones:
                keys = sorted(one.gathered.cached)
                for start in range(0, len(keys), _AT_ONCE):
                    some = keys[start : start + _AT_ONCE]
                    one.cached += sum(value is not None for value in await cache.get_many(some))
                    await cache.drop_many(some)
        finally:
            await cache.close()

    @property
    def _enriches(self) -> bool:
        return any(self.topology.enrichers(table) for table in self.topology.tables)

    def _rewrite(self, ones: Sequence[One]) -> None:
        """Take deleted bytes out of their SQLite files."""
        targets = [target for target in self.topology.targets(self.version) if target.sink == "sqlite"]
        for one in ones:
            owners = {owned.step.table: owned.owner for owned in one.what}
            places = {
                SPECS["sqlite"].place_of(target, {target.user: owners[target.table]})
                for target in targets
                if target.user is not None and target.table in owners
            }
            folder = Path(self.endpoints["sqlite"].removeprefix("sqlite://")) if places else Path()
            one.files = sum(rewritten(folder, place) for place in places)

    def _subjects(self, ones: Sequence[One]) -> Iterator[Subject]:
        """By what is rare among all of theirs, each of their values is found soonest."""
        texts = [one.gathered.person.texts for one in ones]
        needles = iter(needles_of(self.secret.search, [*chain.from_iterable(texts)]))
        for one, theirs in zip(ones, texts, strict=True):
            keys = one.gathered.keys(handed_on=False)
            hashed = {table: frozenset(self.secret.key(table, key) for key in found) for table, found in keys.items()}
            yield Subject(self.who(one.what), [*islice(needles, len(theirs))], hashed)

    def _take_letters(self, subjects: Subjects, ones: Sequence[One]) -> None:
        by_who = {subject.who: one for subject, one in zip(subjects.all, ones, strict=True)}
        sources = topics.sources_of(self.topology, self.version)

        def theirs(message: Message) -> bool:
            subject = topics.whose_letter(message, subjects, sources)
            if subject is not None:
                by_who[subject.who].letters += 1
            return subject is not None

        taken_out(self.kafka, self.version, theirs)

    def _receipts(
        self, began: datetime, ones: Sequence[One], subjects: Sequence[Subject], places: Sequence[list[Place]]
    ) -> list[Receipt]:
        changes = [*topics.sources_of(self.topology, self.version)]
        keeping = [one for one in of_topics(self.kafka, changes).values() if one.compacted]
        log, now = source.log_kept_for(self.mysql), self.clock()
        targets = self.topology.every_target(self.version)
        endpoints = [endpoint.name for endpoint in self.settings.endpoints]
        receipts = []
        for one, subject, found in zip(ones, subjects, places, strict=True):
            there = source.counted(self.mysql, one.what)
            back = telling.came_back(one.what, there)
            told = telling.tables(one.what, one.rows, there)
            receipt = Receipt(
                stage=1,
                version=self.version,
                who=subject.who,
                began=telling.at(began),
                ended=telling.at(now),
                verdict="traces" if back else overall(found),
                tables=told,
                followed=telling.followed(one.cached, one.files, one.letters, one.again),
                places=found,
                remains=telling.remains(now, targets, keeping, told, one.files),
                outside=telling.outside(now, log, endpoints),
                due=telling.due(now, keeping),
                sought=subject.sought(one.gathered.person.left_out),
                came_back=back,
            )
            receipts.append(signed(receipt, self.secret.signing))
        return receipts


def _schema(book: SchemaBook, table: str, fingerprint: str) -> TableSchema:
    if not book.knows(table, fingerprint):
        book.refresh()
    try:
        return book.of(table, fingerprint)
    except UnknownSchema as error:
        raise Transient(str(error)) from error
