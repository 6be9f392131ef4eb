"""Differing rows side by side, read anew from MySQL and the store: what an audit found may be mended by now.

What was made of a row has no counterpart in MySQL: its left side is what its topic says last, which is what the store
should hold. Personal columns are masked: neither value leaves this process.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

import msgspec

from audit.compare import differing, plain
from audit.expected import place_by_key, place_of
from audit.incidents import Spot
from audit.report import Class
from changes.canonical import Value
from changes.envelope import decode
from changes.errors import Transient
from changes.key import Key, key_of
from changes.record import StoredRow
from changes.schema import TableSchema
from changes.target import Target
from changes.topology import Topology
from sinks.registry import SPECS
from streams.deliver.schemas import SchemaBook
from streams.kafka import KafkaUrl, record_at
from streams.lastwords import last_words
from streams.mysql import MysqlUrl
from streams.view import view_of
from tailrace.agent.api import Scalar, Side, SideBySide

MOST = 50
"""Rows that are read at once."""
LONGEST = 2000
"""Characters of a value that are shown."""

Row = Mapping[str, Value]


class Sides:
    """Reads with the version's own endpoints; nothing stays open between two calls."""

    def __init__(self, topology: Topology, version: str, endpoints: Mapping[str, str]) -> None:
        self._topology, self._version, self._endpoints = topology, version, endpoints
        self._kafka = KafkaUrl.parse(endpoints["kafka"])

    async def read(self, target: Target, found: Sequence[tuple[Class, Spot]]) -> list[SideBySide]:
        """At most `MOST` of them. Raises `Transient` where a server is away."""
        found = found[:MOST]
        book = SchemaBook(self._kafka, self._version)
        await asyncio.to_thread(book.refresh)
        schema = book.latest().get(target.table)
        if schema is None:
            raise Transient(f"nobody has published what `{target.table}` looks like")
        known = [(class_, spot) for class_, spot in found if set(spot.key) == set(schema.key)]
        keys = [key_of(schema, spot.key) for _, spot in known]
        wanted = await asyncio.to_thread(self._made if target.of is not None else self._rows, target, schema, keys)
        places = [_place(target, spot, key, wanted.get(key)) for (_, spot), key in zip(known, keys, strict=True)]
        stored = await self._stored(target, schema, list(zip(places, keys, strict=True)))
        personal = frozenset(self._topology.tables[target.source].columns.personal)
        return [
            SideBySide(
                class_,
                dict(spot.key),
                place,
                list(_columns(target, schema, wanted.get(key), held, personal)),
                key in wanted,
                held is not None,
                None if held is None else f"{held.position:019d}",
            )
            for (class_, spot), key, place, held in zip(known, keys, places, stored, strict=True)
        ]

    def _rows(self, target: Target, schema: TableSchema, keys: Sequence[Key]) -> dict[Key, Row]:
        declared = self._topology.tables[target.source]
        with view_of(
            MysqlUrl.parse(self._endpoints["mysql"]),
            target.database,
            target.source,
            0,
            key=tuple(declared.key),
            dropped=frozenset(declared.columns.drop),
        ) as view:
            found = {key_of(view.schema, row): row for row in view.rows_by([key.values for key in keys])}
        return {key: row for key, row in found.items() if key in set(keys)}

    def _made(self, target: Target, schema: TableSchema, keys: Sequence[Key]) -> dict[Key, Row]:
        """The last records of these keys in the enriched topic, which is read whole for it."""
        topic = self._topology.topic_of(target)
        names = {msgspec.json.encode(dict(zip(schema.key, map(plain, key.values), strict=True))): key for key in keys}
        found: dict[Key, Row] = {}
        for name, word in last_words(self._kafka, topic, dict.fromkeys(names)).items():
            message = None if word.deleted else record_at(self._kafka, topic, word.partition, word.offset)
            after = None if message is None else decode(message.value() or b"{}").after
            if after is not None:
                found[names[name]] = after
        return found

    async def _stored(
        self, target: Target, schema: TableSchema, wanted: Sequence[tuple[str, Key]]
    ) -> list[StoredRow | None]:
        spec = SPECS[target.sink]
        async with AsyncExitStack() as stack:
            sink = spec.build(self._endpoints[spec.endpoint])
            stack.push_async_callback(sink.close)
            await sink.open([(target, schema)])
            return await sink.read(target, schema, wanted)


def _place(target: Target, spot: Spot, key: Key, row: Row | None) -> str:
    """Where the store's row was seen, else where it belongs."""
    if spot.place is not None:
        return spot.place
    return place_by_key(target, [plain(value) for value in key.values]) if row is None else place_of(target, row)


def _columns(
    target: Target, schema: TableSchema, row: Row | None, held: StoredRow | None, personal: frozenset[str]
) -> Iterator[Side]:
    columns = target.columns(schema)
    both = row is not None and held is not None
    apart = set(differing(columns, row or {}, held.row)) | set(held.broken) if both and held is not None else set()
    for column in columns:
        masked = column.name in personal
        mysql, store = (row or {}).get(column.name), None if held is None else held.row.get(column.name)
        yield Side(
            column.name,
            None if masked else shown(mysql),
            None if masked else shown(store),
            column.name in apart if both else row is not None or held is not None,
            masked,
        )


def shown(value: Value) -> Scalar:
    """A value as people read it, no longer than `LONGEST`; whole numbers beyond 2⁵³ as text, for browsers' sake."""
    told = plain(value)
    if isinstance(told, str) and len(told) > LONGEST:
        return f"{told[:LONGEST]}…"
    return str(told) if isinstance(told, int) and not isinstance(told, bool) and abs(told) > 1 << 53 else told
