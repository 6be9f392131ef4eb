"""How much of some topics there is from a place on: offsets, records, bytes. Blocking."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from changes.errors import Misconfigured
from changes.progress import Offsets
from streams.deliver.account import Part
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified
from streams.replay.asked import Since

SAMPLE = 500
"""Records of a partition that are looked at to tell how many, and how large, all are."""
_TAIL, _WIDER = 64, 32


@dataclass(frozen=True)
class Span:
    """Offsets of one partition from ``start`` to behind its last record, ``end``; about how many records, of how many
    bytes."""

    start: int
    end: int
    records: int
    bytes: int


class Seen(NamedTuple):
    offset: int
    bytes: int


def spans_of(url: KafkaUrl, version: str, topics: Sequence[str], since: Since) -> dict[Part, Span]:
    """The partitions of ``topics`` from ``since`` to where they end now.

    Raises `ValueError` where a topic ends before the offset that is asked for, `Misconfigured` where there is none of
    that name, `Transient` where Kafka cannot be reached.
    """
    with _looking(url, version) as consumer:
        lows, highs = _watermarks(consumer, topics)
        starts = _starts(consumer, lows, highs, since)
        ends = _ends(consumer, starts, highs)
        samples = _read(consumer, {part: starts[part] for part in ends if ends[part] > starts[part]}, ends, SAMPLE)
        return {part: span_of(starts[part], ends[part], samples.get(part, [])) for part in ends}


def ends_of(url: KafkaUrl, version: str, written: Offsets) -> Offsets:
    """Behind the last record that anybody can have been given by now, of each partition of ``written``, or there where
    no more has come. Raises as `spans_of` does."""
    with _looking(url, version) as consumer:
        _, highs = _watermarks(consumer, list(dict.fromkeys(topic for topic, _ in written)))
        return _ends(consumer, written, highs)


@contextmanager
def _looking(url: KafkaUrl, version: str) -> Iterator[Consumer]:
    consumer = Consumer(url.reading(version, "replayer"))
    try:
        yield consumer
    except KafkaException as error:
        raise classified(error.args[0], "looking at topics") from error
    finally:
        consumer.close()


def _watermarks(consumer: Consumer, topics: Sequence[str]) -> tuple[Offsets, Offsets]:
    there = consumer.list_topics(timeout=OPERATION_SECONDS).topics
    lows: Offsets = {}
    highs: Offsets = {}
    for topic in topics:
        if topic not in there:
            raise Misconfigured(f"Kafka has no topic `{topic}`: `tailrace run` makes it")
        for number in there[topic].partitions:
            part = topic, number
            lows[part], highs[part] = consumer.get_watermark_offsets(TopicPartition(*part), timeout=OPERATION_SECONDS)
    return lows, highs


def _starts(consumer: Consumer, lows: Offsets, highs: Offsets, since: Since) -> Offsets:
    if since.offset is not None:
        if since.offset > max(highs.values(), default=0):
            ends = ", ".join(f"{topic}/{number} at {high}" for (topic, number), high in highs.items())
            raise ValueError(f"offset {since.offset} lies behind the end of its topic: {ends}")
        return {part: min(max(low, since.offset), highs[part]) for part, low in lows.items()}
    if since.ms is not None:
        asked = [TopicPartition(*part, since.ms) for part in lows]
        found = consumer.offsets_for_times(asked, timeout=OPERATION_SECONDS)
        at = {(one.topic, one.partition): one.offset for one in found}
        return {part: at[part] if at[part] >= 0 else highs[part] for part in lows}
    return lows


def _ends(consumer: Consumer, starts: Offsets, highs: Offsets) -> Offsets:
    """Behind the last record of each partition: what follows it there are marks of transactions, which nobody is
    given."""
    ends = dict(starts)
    left = {part: highs[part] for part, start in starts.items() if start < highs[part]}
    wide = _TAIL
    while left:
        begins = {part: max(starts[part], high - wide) for part, high in left.items()}
        for part, seen in _read(consumer, begins, highs, None).items():
            ends[part] = seen[-1].offset + 1
        left = {part: high for part, high in left.items() if ends[part] == starts[part] and begins[part] > starts[part]}
        wide *= _WIDER
    return ends


def _read(consumer: Consumer, begins: Mapping[Part, int], until: Offsets, most: int | None) -> dict[Part, list[Seen]]:
    """Records of partitions from ``begins`` to below ``until``, ``most`` of each; those without any are left out."""
    found: dict[Part, list[Seen]] = {}
    open_ = set(begins)
    paused: list[TopicPartition] = []
    consumer.assign([TopicPartition(*part, begin) for part, begin in begins.items()])
    while open_:
        for message in consumer.consume(1000, 0.1):
            error, part = message.error(), (message.topic() or "", message.partition() or 0)
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    open_.discard(part)
                elif not error.retriable():
                    raise classified(error, f"reading topic `{part[0]}`")
                continue
            if part not in open_:
                continue
            offset = message.offset() or 0
            mine = found.setdefault(part, [])
            if offset < until[part]:
                mine.append(Seen(offset, len(message.key() or b"") + len(message.value() or b"")))
            if offset >= until[part] - 1 or len(mine) == most:
                open_.discard(part)
                paused.append(TopicPartition(*part))
                consumer.pause(paused[-1:])
    consumer.resume(paused)
    consumer.unassign()
    return {part: seen for part, seen in found.items() if seen}


def span_of(start: int, end: int, sample: Sequence[Seen]) -> Span:
    """As dense, and as heavy, all along as at its beginning."""
    if not sample:
        return Span(start, end, 0, 0)
    scale = (end - start) / (sample[-1].offset + 1 - start)
    return Span(start, end, round(len(sample) * scale), round(sum(seen.bytes for seen in sample) * scale))
