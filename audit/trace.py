"""One row's way through everything: what MySQL, its topic and each store hold of it now."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from audit.compare import judge
from audit.expected import Maker, place_by_key, place_of
from changes.canonical import Value
from changes.errors import Misconfigured, Transient
from changes.key import key_of
from changes.position import to_text
from changes.progress import KeyValue
from changes.record import StoredRow
from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.kafka import KafkaUrl
from streams.lastwords import LastWord, last_words
from streams.marks import Marks
from streams.mysql import MysqlUrl
from streams.view import view_of

_PATIENCE = 10.0
"""Seconds within which capture must have said how far it is."""


class AtSource(msgspec.Struct, frozen=True):
    """``position`` is that up to which the read holds the history for sure; no ``row_hash``: MySQL has no such row."""

    position: str
    row_hash: str | None


class InTopic(msgspec.Struct, frozen=True):
    """The key's last record; all but ``name`` is ``None`` where there is none."""

    name: str
    partition: int | None = None
    offset: int | None = None
    position: str | None = None
    row_hash: str | None = None
    deleted: bool | None = None


class InStore(msgspec.Struct, frozen=True):
    """``equal`` is whether the store holds what MySQL's row asks for, ``None`` where it cannot be read (``reason``).

    ``age_ms`` is how long ago the change was written to the topic that the store holds, ``None`` where that is not
    the topic's last.
    """

    sink: str
    place: str
    position: str | None
    row_hash: str | None
    equal: bool | None
    age_ms: int | None
    reason: str = ""


class Trace(msgspec.Struct, frozen=True):
    table: str
    key: dict[str, KeyValue]
    source: AtSource
    topic: InTopic
    enrichments: list[dict[str, KeyValue]]
    stores: list[InStore]


def read_key(text: str, names: Sequence[str]) -> list[KeyValue]:
    """A key as people write it: ``7``, ``id=7``, ``resume_id=7,skill_id=3`` or JSON. Raises `Misconfigured`."""
    try:
        parsed = msgspec.json.decode(text)
    except msgspec.DecodeError:
        pairs = [part.partition("=") for part in text.split(",")]
        written = all(sign for _, sign, _ in pairs)
        parsed = {name.strip(): _scalar(value) for name, _, value in pairs} if written else text
    if isinstance(parsed, dict):
        if set(parsed) != set(names):
            raise Misconfigured(f"the key is ({', '.join(names)}), not ({', '.join(map(str, parsed))})")
        return [parsed[name] for name in names]
    values = parsed if isinstance(parsed, list) else [parsed]
    if len(values) != len(names):
        raise Misconfigured(f"the key is ({', '.join(names)}): write `{','.join(f'{name}=…' for name in names)}`")
    return values


def _scalar(text: str) -> KeyValue:
    try:
        value = msgspec.json.decode(text.strip())
    except msgspec.DecodeError:
        return text.strip()
    return value if isinstance(value, bool | int | float | str) else text.strip()


async def trace(topology: Topology, version: str, endpoints: Mapping[str, str], table: str, key: str) -> Trace:
    """Read the row everywhere, once and without waiting for lanes: what is on its way shows as not equal."""
    declared = topology.tables[table]
    values = read_key(key, declared.key)
    names = dict(zip(declared.key, values, strict=True))
    kafka, topic = KafkaUrl.parse(endpoints["kafka"]), topology.topic(version, table)
    targets = [target for target in topology.targets(version) if target.table == table]
    marks = Marks(kafka, version)
    try:
        mark = await asyncio.to_thread(marks.newest, time.monotonic() + _PATIENCE)
    finally:
        marks.close()
    with view_of(
        MysqlUrl.parse(endpoints["mysql"]),
        topology.database(version),
        table,
        mark.covers,
        key=tuple(declared.key),
        dropped=frozenset(declared.columns.drop),
    ) as view:
        maker = Maker(view.schema, targets)
        try:
            canonical = key_of(view.schema, names).canonical
        except ValueError as error:
            raise Misconfigured(f"`{key}` is no key of `{table}`: {error}") from error
        found = (row for row in view.rows_by([values]) if maker.key(row).canonical == canonical)
        row: Mapping[str, Value] | None = next(found, None)
    if row is not None:
        names = {name: row[name] for name in declared.key}  # type: ignore[misc]
    words = await asyncio.to_thread(last_words, kafka, topic, {msgspec.json.encode(names): None})
    last = next(iter(words.values()), None)
    stores = [await _stored(endpoints, maker, number, row, names, last) for number in range(len(targets))]
    row_hash = None if row is None else f"{maker.whole(row):016x}"
    return Trace(table, names, AtSource(to_text(mark.position), row_hash), _in_topic(topic, last), [], stores)


def _in_topic(topic: str, last: LastWord | None) -> InTopic:
    if last is None:
        return InTopic(topic)
    row_hash = None if last.deleted else f"{last.hash:016x}"
    return InTopic(topic, last.partition, last.offset, to_text(last.position), row_hash, last.deleted)


async def _stored(
    endpoints: Mapping[str, str],
    maker: Maker,
    number: int,
    row: Mapping[str, Value] | None,
    names: Mapping[str, KeyValue],
    last: LastWord | None,
) -> InStore:
    target: Target = maker.targets[number]
    spec = SPECS[target.sink]
    place = place_of(target, row) if row is not None else place_by_key(target, list(names.values()))
    key = key_of(maker.schema, names)
    async with AsyncExitStack() as stack:
        sink = spec.build(endpoints[spec.endpoint])
        stack.push_async_callback(sink.close)
        try:
            await sink.open([(target, maker.schema)])
            (stored,) = await sink.read(target, maker.schema, [(place, key)])
        except Transient as error:
            return InStore(target.sink, place, None, None, None, None, str(error))
    expected = None if row is None else maker.expected(number, row)
    newest = last.position if last is not None else 0
    seen: dict[str, StoredRow | None] = {place: stored}
    equal = not list(judge(target, maker.schema, expected, seen, newest))
    if stored is None:
        return InStore(target.sink, place, None, None, equal, None)
    current = last is not None and last.position == stored.position
    age = round(time.time() * 1000) - last.written_ms if last is not None and current else None
    return InStore(target.sink, place, to_text(stored.position), f"{stored.hash:016x}", equal, age)
