"""Looking for persons in whatever a version's data is kept in. What cannot be looked at is undecided, never clean."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from audit.erasure import topics
from audit.erasure.plan import Step
from audit.erasure.retention import Keeping, of_topics
from audit.erasure.subject import Subject, Subjects, goes, row_key
from audit.receipt import Place
from audit.search import files, finder, mysql
from audit.search.found import LISTED, Found, Trace
from audit.search.kafka import topics_of
from changes.errors import Misconfigured, Transient
from changes.key import key_json
from changes.progress import internal_topic
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl

Tell = Callable[[str], None]


@dataclass
class Seen:
    """What a place held: its traces of each person by who, and those that go by themselves."""

    place: str
    looked_for: str
    items: int = 0
    size: int = 0
    traces: dict[str, list[Trace]] = field(default_factory=dict)
    going: dict[str, list[Trace]] = field(default_factory=dict)
    note: str = ""
    undecided: bool = False

    def of(self, who: str) -> Place:
        """What one person's receipt says of it."""
        standing, going = self.traces.get(who, []), self.going.get(who, [])
        verdict = "traces" if standing else "undecided" if self.undecided else "due" if going else "clean"
        found = standing or going
        return msgspec.convert(
            {
                "place": self.place,
                "looked_for": self.looked_for,
                "items": self.items,
                "bytes": self.size,
                "verdict": verdict,
                "found": len(found),
                "traces": [msgspec.to_builtins(one) for one in found[:LISTED]],
                "note": self.note,
            },
            Place,
        )


@dataclass
class Looking:
    """One search of everything. ``behind`` says of sinks why what they hold is not yet what MySQL holds. ``folders``
    are those of files that the version's processes keep."""

    topology: Topology
    version: str
    endpoints: Mapping[str, str]
    subjects: Subjects
    folders: Sequence[Path]
    behind: Mapping[str, str] = field(default_factory=dict)
    tell: Tell = lambda _: None
    keys: dict[str, set[bytes]] = field(default_factory=dict)
    """Of rows that superseded records still tell of, by table."""
    _source: Seen | None = None

    async def source(self) -> Seen:
        """MySQL, looked through first: what others' rows hold too is no trace of anybody, nor looked for elsewhere."""
        if self._source is None:
            self.tell("looking through MySQL")
            self._source = await self._guarded("mysql", "values", self._through_mysql)
        return self._source

    async def everywhere(self) -> list[Seen]:
        """All places, each as it is now but for MySQL, which is as it was looked through first."""
        seen = [await self.source()]
        for sink in self.topology.sinks:
            seen += await self._store(sink)
        seen += await self._topics()
        seen.append(await self._files())
        if any(one.traces for one in seen) and await self._shared_since(seen):
            return await self.everywhere()
        return seen

    async def _through_mysql(self) -> Seen:
        rows: list[tuple[Subject, Trace]] = []

        def each(table: str, row: Mapping[str, Any]) -> None:
            step = self.subjects.steps.get(table)
            if step is not None and goes(step) and (subject := self.subjects.owner(_owner(step, row))) is not None:
                rows.append((subject, Trace(table, topics.ROW)))

        found, _ = await self._others(each)
        seen = self._seen(found, {(where.partition("\n")[0], index) for where, index in found.hits})
        for subject, trace in rows:
            seen.traces.setdefault(subject.who, []).append(trace)
        return seen

    async def _others(self, each: mysql.Each = lambda *_: None) -> tuple[Found, bool]:
        """The search of MySQL, without what the declaration keeps there; and whether others' rows hold what was looked
        for till now: it is shared."""
        steps, shared = self.subjects.steps, False

        def naming(table: str, column: str, row: Mapping[str, Any]) -> str:
            step = steps.get(table)
            owner = None if step is None else _owner(step, row)
            return f"{table}.{column}" if owner is None else f"{table}.{column}\n{owner}"

        def sift(where: str, index: int) -> bool:
            nonlocal shared
            subject, one = self.subjects.at(index)
            what, _, owner = where.partition("\n")
            whose = self.subjects.owner(owner) if owner else None
            if owner and whose is not subject and (not one.strict or one.what == what):
                self.subjects.share([index])
                shared = True
                return False
            step = steps.get(what.partition(".")[0])
            return step is None or whose is not subject or not _stays(step, what.partition(".")[2])

        found = Found("mysql", self.subjects.needles, sift)
        await asyncio.to_thread(mysql.look_through, self.endpoints["mysql"], found, naming, each)
        return found, shared

    async def _shared_since(self, seen: Sequence[Seen]) -> bool:
        """Whether others have written since what was taken for a trace."""
        if any(one.undecided and one.place == "mysql" for one in seen):
            return False
        _, shared = await self._others()
        if shared:
            self._source = None
        return shared

    async def _store(self, sink: str) -> list[Seen]:
        """By values in all that the store holds, and by rows in what is declared."""
        self.tell(f"looking through {sink}")
        kind = SPECS[sink].endpoint
        find = finder(sink)

        async def values() -> Seen:
            if find is None:
                raise Misconfigured("nothing looks through this kind of store")
            found = await find(self.endpoints[kind], self.subjects.needles)
            return self._seen(found, found.hits)

        seen = [
            await self._guarded(sink, "values", values),
            await self._guarded(sink, "rows", lambda: self._rows(sink)),
        ]
        for one in seen:
            one.place = sink
            if reason := self.behind.get(sink):
                one.undecided, one.note = True, reason
        return seen

    async def _rows(self, sink: str) -> Seen:
        book = SchemaBook(KafkaUrl.parse(self.endpoints["kafka"]), self.version)
        await asyncio.to_thread(book.refresh)
        schemas = book.latest()
        store = SPECS[sink].build(self.endpoints[SPECS[sink].endpoint])
        seen = Seen(sink, "rows")
        try:
            for target in self.topology.every_target(self.version):
                if target.sink == sink and target.table in schemas:
                    await self._target(store, target, schemas[target.table], seen)
        finally:
            await store.close()
        return seen

    async def _target(self, store: Sink, target: Target, schema: TableSchema, seen: Seen) -> None:
        await store.open([(target, schema)])
        names = self.topology.tables[target.source].key
        async for row in store.rows(target, schema):
            seen.items += 1
            key = row_key(key_json(schema, row.row), names)
            subject = self.subjects.of_row(target.source, key, row.row)
            if subject is not None:
                where = self.subjects.needles.hides(f"{target.name} {key.decode('utf-8', 'replace')}")
                seen.traces.setdefault(subject.who, []).append(Trace(where, topics.ROW))

    async def _topics(self) -> list[Seen]:
        kafka = KafkaUrl.parse(self.endpoints["kafka"])
        try:
            names = await asyncio.to_thread(topics_of, kafka, self.version)
            keeping = await asyncio.to_thread(of_topics, kafka, names)
        except (Transient, Misconfigured) as error:
            return [Seen("topics", "values", undecided=True, note=str(error))]
        sources = topics.sources_of(self.topology, self.version)
        seen = []
        for name in names:
            self.tell(f"looking through {name}")

            async def one(name: str = name) -> Seen:
                found = await asyncio.to_thread(topics.looked, kafka, name, self.subjects, sources.get(name))
                if (source := sources.get(name)) is not None:
                    self.keys.setdefault(source.table, set()).update(found.keys)
                return self._held(found, keeping[name])

            seen.append(await self._guarded(name, "values", one))
        return seen

    def _held(self, found: topics.Looked, keeping: Keeping) -> Seen:
        seen = Seen(found.topic, "values", found.items, found.size)
        going = not keeping.compacted and found.topic != internal_topic(self.version, "dlq")
        for who, held in found.held.items():
            standing, superseded = held.standing, held.superseded
            if going and keeping.superseded is not None:
                standing, superseded = [], [*superseded, *standing]
            elif not keeping.compacted:
                standing, superseded = [*superseded, *standing], []
            if standing:
                seen.traces[who] = standing
            if superseded:
                seen.going[who] = superseded
                seen.note = "newer records of the same rows supersede these" if keeping.compacted else "these expire"
        return seen

    async def _files(self) -> Seen:
        self.tell("looking through files")

        async def look() -> Seen:
            needles = self.subjects.needles
            found = await asyncio.to_thread(files.look_through, "files of processes", self.folders, needles)
            return self._seen(found, found.hits)

        return await self._guarded("files of processes", "values", look)

    def _seen(self, found: Found, hits: set[tuple[str, int]]) -> Seen:
        seen = Seen(found.place, "values", found.items, found.size)
        needles = self.subjects.needles
        told: dict[str, set[tuple[str, str]]] = {}
        for where, index in hits:
            if self.subjects.counts(index):
                subject, one = self.subjects.at(index)
                told.setdefault(subject.who, set()).add((needles.hides(where), one.what))
        seen.traces = {who: [Trace(*one) for one in sorted(traces)] for who, traces in told.items()}
        if found.unread:
            seen.undecided, seen.note = True, "; ".join(found.unread[:LISTED])
        return seen

    async def _guarded(self, place: str, looked_for: str, look: Callable[[], Awaitable[Seen]]) -> Seen:
        try:
            return await look()
        except (Transient, Misconfigured) as error:
            return Seen(place, looked_for, undecided=True, note=str(error))


def _owner(step: Step, row: Mapping[str, Any]) -> str | None:
    """Whose row it is, as text."""
    owner = row.get(step.by)
    return owner.decode("utf-8", "replace") if isinstance(owner, bytes) else owner


def _stays(step: Step, column: str) -> bool:
    """Whether the declaration leaves a person's value where it is."""
    return step.rows == "keep" or (step.rows == "clear" and column not in step.set)
