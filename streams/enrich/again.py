"""Making results again: which rows that concerns, and what it would take."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from changes.envelope import decode, decode_key
from changes.progress import Asked
from enrichers.cache.contract import Cache
from enrichers.contract import Enricher, Estimate
from streams.enrich.derive import Plan, Row
from streams.kafka import KafkaUrl, read_topic

AT_ONCE = 1000


@dataclass(frozen=True)
class Due:
    """What making ``rows`` results again takes: for ``known`` of them nothing, for they are cached. ``tokens`` and
    ``cost`` are estimates."""

    enricher: str
    rows: int
    known: int
    tokens: int
    cost: float


@dataclass(frozen=True)
class _Needed:
    cache_key: str
    estimate: Estimate


def asked(names: Sequence[str], keys: Iterable[bytes]) -> list[Asked]:
    """Rows by their Kafka keys, as a request names them; ``names`` are the key's columns in order."""
    decoded = [decode_key(key) for key in keys]
    return [Asked([key[name] for name in names]) for key in decoded]


def needed(
    plan: Plan, enricher: Enricher, kafka: KafkaUrl, topic: str, only: Collection[bytes] | None
) -> list[_Needed]:
    """What is read of every row of a change topic, or of those with the keys ``only``, as the topic last told them.

    Blocks while the topic is read. Raises `Transient` where Kafka is away.
    """
    found: dict[bytes, _Needed] = {}
    for message in read_topic(kafka, topic):
        key, value = message.key(), message.value()
        if key is None or value is None or (only is not None and key not in only):
            continue
        row = decode(value).after
        if row is None:
            found.pop(key, None)
        else:
            found[key] = _needed(plan, enricher, row)
    return [*found.values()]


def _needed(plan: Plan, enricher: Enricher, row: Row) -> _Needed:
    input_ = enricher.read(plan.readable(row))
    return _Needed(enricher.cache_key(input_), enricher.estimate(input_))


async def due(plan: Plan, rows: Sequence[_Needed], cache: Cache) -> Due:
    """What it takes to make these again; equal inputs are made once. Raises `Transient` where the cache is away."""
    wanted = {row.cache_key: row.estimate for row in rows}
    keys, cached = [*wanted], set[str]()
    for at in range(0, len(keys), AT_ONCE):
        part = keys[at : at + AT_ONCE]
        cached |= {key for key, value in zip(part, await cache.get_many(part), strict=True) if value is not None}
    missing = [estimate for key, estimate in wanted.items() if key not in cached]
    known = sum(row.cache_key in cached for row in rows)
    return Due(plan.name, len(rows), known, sum(one.tokens for one in missing), sum(one.cost for one in missing))
