"""The deep audit: every row of every store compared with MySQL by value, while writes go on."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from audit.compare import explained, named
from audit.look import Finding, Look, Side, Where
from audit.report import LISTED, Difference, Report, Result, overall, verdict_of
from changes.canonical import Value
from changes.key import Key
from changes.position import to_text
from changes.topology import Topology
from sinks.contract import Sink
from sinks.registry import SPECS
from streams.follow import Follower
from streams.kafka import KafkaUrl
from streams.lastwords import last_words
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.view import view_of
from streams.watch import LaneId


@dataclass(frozen=True)
class Terms:
    """How an audit is done.

    ``timeout``: the longest wait for capture and for each lane, in seconds; one that was not there in time is not
    waited for again. ``rounds``: how often what will not hold still is looked at again. ``keep``: how many differences
    of each target are remembered for a repair.
    """

    timeout: float = 60.0
    rounds: int = 8
    keep: int = 1000


PATIENT = Terms()


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
    keys: Keys | None = None,
    terms: Terms = PATIENT,
    tell: Callable[[str], None] = lambda _: None,
) -> Audited:
    """Audit what is asked for; everything where nothing is said, only ``keys`` where they are given.

    ``tell`` gets progress for people. Raises `Transient` where MySQL or Kafka cannot be reached; a store that cannot
    be is *undecided*.
    """
    began = time.monotonic()
    chosen = [
        target
        for target in topology.targets(version)
        if (not tables or target.table in tables)
        and (not sinks or target.sink in sinks)
        and (keys is None or target.table in keys)
    ]
    kafka, mysql = KafkaUrl.parse(endpoints["kafka"]), MysqlUrl.parse(endpoints["mysql"])
    results: list[Result] = []
    findings: dict[str, list[tuple[Side, Finding]]] = {}
    late: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        marks = Marks(kafka, version)
        stack.callback(marks.close)
        opened: dict[str, Sink] = {}
        for name in dict.fromkeys(target.sink for target in chosen):
            opened[name] = SPECS[name].build(endpoints[SPECS[name].endpoint])
            stack.push_async_callback(opened[name].close)
        mark = await asyncio.to_thread(marks.newest, time.monotonic() + terms.timeout)
        for table in dict.fromkeys(target.table for target in chosen):
            topic = topology.topic(version, table)
            sides = [
                Side(number, target, opened[target.sink], LaneId(version, target.sink, target.tier.name, (topic,)))
                for number, target in enumerate(target for target in chosen if target.table == table)
            ]
            for side in sides:
                side.away = late.get(side.lane.group, "")
            results += await _table(topology, mysql, kafka, marks, table, sides, keys, terms, tell)
            late |= {side.lane.group: side.away for side in sides if side.away}
            findings[table] = [(side, finding) for side in sides for finding in side.findings]
    seconds = round(time.monotonic() - began, 3)
    position = to_text(mark.position)
    report = Report(overall(results), version, position, "deep" if keys is None else "keys", seconds, results)
    return Audited(report, findings)


async def _table(
    topology: Topology,
    mysql: MysqlUrl,
    kafka: KafkaUrl,
    marks: Marks,
    table: str,
    sides: list[Side],
    keys: Keys | None,
    terms: Terms,
    tell: Callable[[str], None],
) -> list[Result]:
    began = time.monotonic()
    version, topic = sides[0].target.version, sides[0].lane.topics[0]
    opening = partial(
        view_of,
        mysql,
        sides[0].target.database,
        table,
        key=sides[0].target.key,
        dropped=frozenset(topology.tables[table].columns.drop),
    )
    follower = Follower(kafka, version, topic)
    look = Look(opening, marks, follower, table, sides, timeout=terms.timeout, keep=terms.keep, tell=tell)
    try:
        if await asyncio.to_thread(marks.filled, table, time.monotonic() + terms.timeout):
            if keys is None:
                await look.everything()
            else:
                look.ask(keys[table])
            await look.again(terms.rounds)
        else:
            for side in sides:
                side.away = side.away or "the table is still being filled for the first time"
        if any(side.findings for side in sides):
            await asyncio.to_thread(_explain, kafka, topic, sides)
        results = [_result(side, look) for side in sides]
    finally:
        look.digests.close()
        follower.close()
    seconds = time.monotonic() - began
    rows = look.source_rows + sum(side.sink_rows for side in sides)
    tell(f"{table}: {rows} rows on both sides in {seconds:.1f} s, {rows / max(seconds, 0.001):.0f}/s")
    return results


def _explain(kafka: KafkaUrl, topic: str, sides: Sequence[Side]) -> None:
    """Class the findings anew in the light of each key's last record."""
    spans = {_kafka_key(side, finding.key.values): finding.span for side in sides for finding in side.findings}
    words = last_words(kafka, topic, {key: span.ends for key, span in spans.items()})
    for side in sides:
        for place, finding in enumerate(side.findings):
            last = words.get(_kafka_key(side, finding.key.values))
            if last is not None:
                found = explained(finding.found, last.position, deleted=last.deleted)
                side.findings[place] = replace(finding, found=found)


def _kafka_key(side: Side, values: Sequence[Value]) -> bytes:
    return msgspec.json.encode(dict(zip(side.target.key, values, strict=True)))


def _result(side: Side, look: Look) -> Result:
    undecided = look.source_rows if side.away else look.digests.undecided(side.number)
    differences = [
        Difference(finding.found.class_, named(side.target, finding.key.values), list(finding.found.columns))
        for finding in side.findings[:LISTED]
    ]
    verdict = verdict_of(side.different, undecided, look.source_rows)
    return Result(
        sink=side.target.sink,
        table=side.target.table,
        place=side.target.place,
        verdict="undecided" if side.away and verdict == "equal" else verdict,
        source_rows=look.source_rows,
        sink_rows=side.sink_rows,
        compared=side.compared,
        undecided=undecided,
        different=side.different,
        differences=differences,
        reason=side.away,
    )
