"""What each declared place needs to be as it is declared: told by what is there, for nothing remembers what was."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Literal

from changes.canonical import BUCKETS
from changes.errors import Misconfigured, Transient
from changes.progress import Bucket
from changes.record import StoredRow
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl
from streams.marks import Marks
from streams.replay.asked import Since
from streams.replay.spans import spans_of
from streams.sumstail import SumsTail
from streams.watch import GroupOffsets, behind, lane_of

Action = Literal["create", "change", "none", "unknown"]
Means = Literal["lane", "replay", ""]

LOOKED_AT = 300
"""Rows of a place that are looked at, about."""
_MARK_SECONDS = 10.0


@dataclass(frozen=True)
class Need:
    """``means`` is what fills the place: its ``lane`` by itself once it runs, or a ``replay``; "" where it needs none.
    ``why`` says so in words."""

    target: Target
    action: Action
    means: Means = ""
    why: str = ""


def judged(target: Target, rows: Sequence[StoredRow], expected: int | None) -> Need:
    """What a place needs of which some buckets hold these rows, where about ``expected`` should be; ``None``: nobody
    knows. A place of which the lane has passed the topic."""
    old = sum(row.mapping != target.mapping for row in rows)
    if old:
        return Need(
            target, "change", "replay", f"{old} of {len(rows)} rows looked at were written under an earlier declaration"
        )
    if rows or expected == 0 or target.keep == "cache":
        return Need(target, "none")
    if expected is None:
        return Need(target, "unknown", "", "it holds nothing, and capture does not say what it should hold")
    return Need(target, "create", "replay", f"it holds none of about {expected} rows, and its lane is past them")


def buckets_for(counts: Mapping[int, int]) -> tuple[list[int], int]:
    """As many buckets as have `LOOKED_AT` rows by these counts, or all, and how many rows they should have."""
    chosen: list[int] = []
    expected = 0
    for bucket, count in sorted(counts.items()):
        if expected >= LOOKED_AT:
            break
        chosen.append(bucket)
        expected += count
    return chosen, expected


async def needs(topology: Topology, version: str, endpoints: Mapping[str, str]) -> list[Need]:
    """Of every target, in the order of the file; nothing is created. Raises `Transient` where Kafka is away."""
    kafka = KafkaUrl.parse(endpoints["kafka"])
    looking = await asyncio.to_thread(_Looking, topology, version, kafka)
    found: dict[Target, Need] = {}
    for sink in dict.fromkeys(target.sink for target in topology.every_target(version)):
        store = SPECS[sink].build(endpoints[SPECS[sink].endpoint])
        try:
            for target in topology.every_target(version):
                if target.sink == sink:
                    found[target] = await looking.need(target, store)
        finally:
            await store.close()
    return [found[target] for target in topology.every_target(version)]


class _Looking:
    """What Kafka says of a version's topics and lanes. Blocks; raises `Transient`."""

    def __init__(self, topology: Topology, version: str, kafka: KafkaUrl) -> None:
        self._topology, self._groups = topology, GroupOffsets(kafka)
        book = SchemaBook(kafka, version)
        book.refresh()
        self._schemas = book.latest()
        topics = list(dict.fromkeys(topology.topic_of(target) for target in topology.every_target(version)))
        there = {topic for topic, _ in self._groups.ends_of(topics)}
        self._spans = spans_of(kafka, version, [topic for topic in topics if topic in there], Since())
        self._sums = _sums(kafka, version, list(topology.tables))

    async def need(self, target: Target, store: Sink) -> Need:
        schema = self._schemas.get(target.table)
        topic = self._topology.topic_of(target)
        spans = {part: span for part, span in self._spans.items() if part[0] == topic}
        if schema is None or not spans:
            return Need(target, "create", "lane", "nothing was captured of it yet")
        records = sum(span.records for span in spans.values())
        if not records:
            return Need(target, "none", "", "its topic is empty")
        lane = lane_of(self._topology, target)
        ends = {part: span.end for part, span in spans.items()}
        committed = await asyncio.to_thread(self._groups.of, lane, ends)
        if not any(committed.values()):
            return Need(target, "create", "lane", f"`{lane.group}` has delivered nothing of `{topic}` yet")
        try:
            await store.open([])
            need = await self._judged(target, schema, store, records)
        except (Transient, Misconfigured) as error:
            return Need(target, "unknown", "", str(error))
        left = behind(lane, ends, committed)
        if need.action == "create" and left:
            return Need(target, "create", "lane", f"`{lane.group}` has {left} records of `{topic}` to go")
        return need

    async def _judged(self, target: Target, schema: TableSchema, store: Sink, records: int) -> Need:
        counts = self._sums.get(target.table)
        expected: int | None = None if target.of is None else records
        wanted = list(range(min(BUCKETS, BUCKETS * LOOKED_AT // max(records, 1) + 1)))
        if counts is not None:
            wanted, expected = buckets_for(counts)
        rows: list[StoredRow] = []
        with suppress(Misconfigured):  # it has no such table
            if wanted:
                rows = [row async for row in store.rows(target, schema, wanted)]
        return judged(target, rows, expected)


def _sums(kafka: KafkaUrl, version: str, tables: Sequence[str]) -> dict[str, dict[int, int]]:
    """How many rows MySQL has, by table and bucket, of tables that capture has counted; none where it says nothing."""
    with closing(Marks(kafka, version)) as marks, closing(SumsTail(kafka, version)) as tail:
        try:
            mark = marks.newest(time.monotonic() + _MARK_SECONDS)
        except Transient:
            return {}
        known = {table: tail.at(mark.sums, table) for table in tables}
    return {table: _counts(buckets) for table, buckets in known.items() if buckets is not None}


def _counts(buckets: Mapping[int, Bucket]) -> dict[int, int]:
    return {bucket: buckets[bucket][0] for bucket in range(BUCKETS) if bucket in buckets}
