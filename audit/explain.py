"""What an audit found, told: findings in the light of each key's last record, and the results that a report lists."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from audit.compare import LastSaid, differing, explained, named
from audit.look import Look
from audit.report import LISTED, Difference, Result, verdict_of
from audit.side import Finding, Side
from changes.canonical import Value
from changes.envelope import decode, headers_from
from changes.schema import TableSchema
from changes.target import Target
from streams.kafka import KafkaUrl, record_at
from streams.lastwords import last_words

SchemaOf = Callable[[str, str], TableSchema]
"""A published schema by table and fingerprint; raises `Transient` where it is not there."""


def explain(kafka: KafkaUrl, topic: str, sides: Sequence[Side], schema_of: SchemaOf) -> None:
    """Class the findings of the sides, which are filled from ``topic``, anew in the light of each key's last record.

    Blocking. Raises `Transient` where Kafka cannot be reached.
    """
    unknown = {
        _kafka_key(side, finding.key.values): finding.span
        for side in sides
        for finding in side.findings
        if finding.last is None and finding.found.position is not None
    }
    words = last_words(kafka, topic, {key: span.ends for key, span in unknown.items()}) if unknown else {}
    for side in sides:
        for place, finding in enumerate(side.findings):
            word = words.get(_kafka_key(side, finding.key.values))
            last = finding.last or (None if word is None else LastSaid(word.position, word.deleted))
            found = explained(finding.found, last)
            if place < LISTED:
                found = replace(found, columns=found.columns or _columns(kafka, topic, side.target, finding, schema_of))
            side.findings[place] = replace(finding, found=found)


def _columns(kafka: KafkaUrl, topic: str, target: Target, finding: Finding, schema_of: SchemaOf) -> tuple[str, ...]:
    """Which columns differ from those of the last record, for a finding made by hashes alone."""
    last, lies = finding.last, finding.lies
    if finding.found.class_ != "altered" or last is None or lies is None:
        return ()
    message = record_at(kafka, topic, last.partition, last.offset)
    after = decode(message.value() or b"{}").after if message is not None else None
    if message is None or after is None:
        return ()
    columns = target.columns(schema_of(target.table, headers_from(message.headers()).schema))
    return tuple(differing(columns, after, lies.row))


def _kafka_key(side: Side, values: Sequence[Value]) -> bytes:
    return msgspec.json.encode(dict(zip(side.target.key, values, strict=True)))


def result_of(side: Side, look: Look) -> Result:
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
        reason=side.away or side.note,
    )
