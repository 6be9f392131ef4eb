"""One row's way through everything: what MySQL, its topic and each store hold of it now."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from audit.compare import Expected, judge, plain
from audit.expected import Maker, place_by_key, place_of
from changes.canonical import Value
from changes.canonical import row_hash as row_hash_of
from changes.envelope import decode, headers_from
from changes.errors import Misconfigured, Transient
from changes.key import Key, key_of
from changes.position import to_text
from changes.progress import KeyValue
from changes.record import StoredRow
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.enrich.derive import plan_of
from streams.kafka import KafkaUrl, record_at
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
    table: str
    place: str
    position: str | None
    row_hash: str | None
    equal: bool | None
    age_ms: int | None
    reason: str = ""


class InEnriched(msgspec.Struct, frozen=True):
    """What one enricher said last of the row. ``current`` is whether it was made of what MySQL holds now, by the
    generation that is declared; where nothing stands there, whether nothing should."""

    enricher: str
    position: str | None
    current: bool
    generation: int | None = None
    input: str | None = None
    row_hash: str | None = None


class Trace(msgspec.Struct, frozen=True):
    table: str
    key: dict[str, KeyValue]
    source: AtSource
    topic: InTopic
    enrichments: list[InEnriched]
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
    enrichers = list(topology.enrichers(table))
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
    last = await asyncio.to_thread(_last_of, kafka, topic, names)
    found_key = key_of(maker.schema, names)
    stores = []
    for number, target in enumerate(targets):
        expected = None if row is None else maker.expected(number, row)
        stores.append(await _stored(endpoints, target, maker.schema, found_key, expected, last))
    row_hash = None if row is None else f"{maker.whole(row):016x}"
    enrichments = []
    for enricher in enrichers:
        made, places = await _enriched(topology, version, endpoints, table, enricher, found_key, row)
        enrichments.append(made)
        stores += places
    at = AtSource(to_text(mark.position), row_hash)
    return Trace(table, names, at, _in_topic(topic, last), enrichments, stores)


def _last_of(kafka: KafkaUrl, topic: str, names: Mapping[str, KeyValue]) -> LastWord | None:
    return next(iter(last_words(kafka, topic, {msgspec.json.encode(names): None}).values()), None)


async def _enriched(
    topology: Topology,
    version: str,
    endpoints: Mapping[str, str],
    table: str,
    enricher: str,
    key: Key,
    row: Mapping[str, Value] | None,
) -> tuple[InEnriched, list[InStore]]:
    """What one enricher has made of the row, and where that lies."""
    kafka, plan = KafkaUrl.parse(endpoints["kafka"]), plan_of(topology, version, table, enricher)
    names = {name: plain(value) for name, value in zip(plan.key, key.values, strict=True)}
    last = await asyncio.to_thread(_last_of, kafka, plan.topic, names)
    record = None
    if last is not None and not last.deleted:
        record = await asyncio.to_thread(record_at, kafka, plan.topic, last.partition, last.offset)
    if last is None or record is None:
        gone = last is None or last.deleted
        return InEnriched(enricher, None if last is None else to_text(last.position), gone and row is None), []
    headers, after = headers_from(record.headers()), decode(record.value() or b"{}").after or {}
    current = row is not None and plan.generation == headers.generation and plan.input_hash(row) == headers.input
    current = current and all(row is not None and after.get(name) == row.get(name) for name in plan.carry)
    book = SchemaBook(kafka, version)
    await asyncio.to_thread(book.refresh)
    schema = book.of(plan.published_as, headers.schema)
    stores = []
    for target in topology.derived_targets(version):
        if target.table == plan.published_as:
            values = row_hash_of(target.columns(schema), after)
            expected = Expected(place_of(target, after), after, values, headers.hash, headers.generation)
            stores.append(await _stored(endpoints, target, schema, key, expected, last))
    made = InEnriched(
        enricher, to_text(headers.position), current, headers.generation, headers.input, f"{headers.hash:016x}"
    )
    return made, stores


def _in_topic(topic: str, last: LastWord | None) -> InTopic:
    if last is None:
        return InTopic(topic)
    row_hash = None if last.deleted else f"{last.hash:016x}"
    return InTopic(topic, last.partition, last.offset, to_text(last.position), row_hash, last.deleted)


async def _stored(
    endpoints: Mapping[str, str],
    target: Target,
    schema: TableSchema,
    key: Key,
    expected: Expected | None,
    last: LastWord | None,
) -> InStore:
    spec = SPECS[target.sink]
    place = expected.place if expected is not None else place_by_key(target, list(map(plain, key.values)))
    async with AsyncExitStack() as stack:
        sink = spec.build(endpoints[spec.endpoint])
        stack.push_async_callback(sink.close)
        try:
            await sink.open([(target, schema)])
            (stored,) = await sink.read(target, schema, [(place, key)])
        except Transient as error:
            return InStore(target.sink, target.table, place, None, None, None, None, str(error))
    newest = last.position if last is not None else 0
    seen: dict[str, StoredRow | None] = {place: stored}
    equal = not list(judge(target, schema, expected, seen, newest))
    if stored is None:
        return InStore(target.sink, target.table, place, None, None, equal, None)
    current = last is not None and last.position == stored.position
    age = round(time.time() * 1000) - last.written_ms if last is not None and current else None
    return InStore(target.sink, target.table, place, to_text(stored.position), f"{stored.hash:016x}", equal, age)
