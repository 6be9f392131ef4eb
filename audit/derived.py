"""What the targets of one enricher should hold: what its topic says last, where that was made from MySQL's row.

A derived row follows its source row at a distance, so the look waits twice: until enrichment has passed the mark behind
the view, and then, for each lane, until it has passed where the enriched topic ended at that moment. A key is left
undecided where its source row changed, or where something was said of it anew behind that end.

What the topic says is held against MySQL's row by what enrichment itself goes by: the generation that is declared, the
hash of what is read of the row, the columns that are carried along. No model is asked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
import xxhash

from audit.compare import NEVER, Expected, LastSaid, digest, plain
from audit.digests import Told, names_of, to_bytes
from audit.expected import place_by_key, place_of, placing_columns, values_hash
from audit.made import Made, Said
from audit.report import Class
from audit.sources import Keyed, Marking, Recorded, Recording
from audit.truth import Behind, Columns, Lacking
from changes.canonical import Value
from changes.envelope import Headers, decode_key, headers_from
from changes.key import Key, key_of, keys_of
from changes.progress import Offsets
from changes.schema import TableSchema
from changes.target import Target
from changes.topology.model import CHUNK, CHUNKS
from streams.enrich.derive import Plan
from streams.marks import Mark
from streams.watch import LaneId

_BATCH = 1000
_Any = bool | int | float | str | list[float] | None

Where = list[tuple[str, int]]
"""For each target its place, and the hash of the columns that it receives."""

_encode_where = msgspec.msgpack.Encoder().encode
decode_where = msgspec.msgpack.Decoder(Where).decode
"""Of `Said.targets`."""

Newest = tuple[int, str]
"""The newest record of a topic: its position, and the fingerprint of its schema."""
NOTHING: Newest = (-1, "")


class DerivedTruth:
    """``topic`` is read from its beginning at first, and followed from then on. ``enrichment`` is enrichment seen as
    the lane that reads the table's topic; ``schema_of`` gives a published schema by table and fingerprint."""

    def __init__(
        self,
        plan: Plan,
        targets: Sequence[Target],
        marks: Marking,
        topic: Recording,
        enrichment: LaneId,
        schema_of: Callable[[str, str], TableSchema],
    ) -> None:
        self._plan, self._targets = plan, targets
        self._marks, self._topic, self._enrichment = marks, topic, enrichment
        self._schema_of = schema_of
        self._made = Made()
        self._source: TableSchema | None = None
        self._newest = NOTHING
        self._schema: TableSchema | None = None
        self._started = False
        self._rows: list[tuple[bytes, bytes, bytes]] = []
        self._mappings = [target.mapping for target in targets]
        self._readers: dict[str, _Reader] = {}

    @property
    def schema(self) -> TableSchema:
        if self._schema is None:
            raise RuntimeError("nothing was settled yet")
        return self._schema

    @property
    def source(self) -> TableSchema:
        """Of the table, as `see` was told."""
        if self._source is None:
            raise RuntimeError("nothing was seen yet")
        return self._source

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def newest(self) -> Newest:
        """Of the records that were read so far."""
        return self._newest

    @property
    def ends(self) -> Offsets:
        """How far the topic has been read."""
        return {(self._topic.topic, part): end for part, end in self._topic.span.ends.items()}

    def go_on(self, made: Made, ends: Offsets, newest: Newest) -> None:
        """Take over what ``made`` has of the topic's records before ``ends``, of which ``newest`` is the newest."""
        if made is not self._made:
            self._made.close()
        self._made, self._newest, self._started = made, newest, True
        self._schema = self._schema_of(self._plan.published_as, newest[1]) if newest != NOTHING else None
        self._topic.start(ends)

    def see(self, schema: TableSchema) -> None:
        self._source = schema

    def take(self, columns: Columns) -> Iterable[Told]:
        names, key = [column.name for column in self.source.columns], keys_of(self.source)
        for values in zip(*columns, strict=True):
            row = dict(zip(names, values, strict=True))
            made_of = key(row)
            self._rows.append((made_of.canonical, names_of(made_of.values), self.basis(row)))
        if len(self._rows) >= _BATCH:
            self._flush()
        return ()

    def forget(self) -> None:
        self._rows = []
        self._made.forget_rows()

    def _flush(self) -> None:
        self._made.read(self._rows)
        self._rows = []

    def basis(self, row: Mapping[str, Value]) -> bytes:
        """Of what should be made of a row now."""
        return basis(self._plan.input_hash(row), [row.get(name) for name in self._plan.carry])

    def settle(self, mark: Mark, deadline: float) -> Mark:
        self._flush()
        left = self._marks.passed(self._enrichment, mark, deadline)
        if left:
            raise Behind(f"enrichment has {left} records to go")
        if not self._started:
            self._topic.start({})
            self._started = True
        self._made.say(self.records())
        if self._schema is None:
            raise Lacking(f"nothing was made by `{self._plan.name}` yet, or enrichment has not said what it looks like")
        return Mark(mark.position, mark.covers, self.ends)

    def records(self) -> Iterator[Said]:
        """The records that came since they were last asked for; whoever asks has them said to `go_on`'s ``made``."""
        for message in self._topic.drain():
            yield self._said(message)

    def _said(self, message: Recorded) -> Said:
        headers, value = headers_from(message.headers()), message.value()
        reader = self._reader_of(headers)
        names = decode_key(message.key() or b"")
        key = key_of(reader.schema, names)
        row = key_of(self.source, names)
        said = Said(
            key.canonical,
            row.canonical,
            names_of(key.values),
            message.partition() or 0,
            message.offset() or 0,
            headers.position,
            headers.generation,
            b"",
            0,
            None,
            b"",
        )
        after = None if value is None else reader.after(value)
        if after is None:
            return said
        return Said(
            said.key,
            said.row,
            said.names,
            said.partition,
            said.offset,
            said.position,
            said.generation,
            basis(headers.input, [after.get(name) for name in self._plan.carry]),
            self._plan.chunks_of(after) or 1,
            headers.hash,
            _encode_where(reader.where(after, headers.hash)),
        )

    def _reader_of(self, headers: Headers) -> "_Reader":
        found = self._readers.get(headers.schema)
        if found is None:
            schema = self._schema_of(self._plan.published_as, headers.schema)
            found = self._readers[headers.schema] = _Reader(schema, self._targets, self._plan.carry)
        if headers.position > self._newest[0]:
            self._newest, self._schema = (headers.position, headers.schema), found.schema
        return found

    def rest(self) -> Iterator[Told]:
        for said, standing, wanted in self._made.pairs():
            flaw = self._flaw(said, standing, wanted)
            plans = zip(decode_where(said.targets), self._mappings, strict=True)
            for number, ((place, values), mapping) in enumerate(plans):
                sign = NEVER if flaw else digest(values, said.whole or 0, mapping, said.generation)
                yield number, (said.key, to_bytes(place), sign, said.names, 0)
        for _, names in self._made.without():
            key = self.first_key(msgspec.json.decode(names))
            for number, target in enumerate(self._targets):
                place = place_by_key(target, list(map(plain, key.values)))
                yield number, (key.canonical, to_bytes(place), NEVER, names_of(key.values), 0)
        self._made.forget_rows()

    def first_key(self, values: Sequence[Value]) -> Key:
        """The key of what is made of a row at the least."""
        names = dict(zip(self._plan.key, values, strict=True))
        return key_of(self.schema, {**names, CHUNK: 0} if self._plan.chunked else names)

    def _flaw(self, said: Said, standing: int, wanted: bytes | None) -> Class | None:
        if wanted is None:
            return "extra"
        if said.generation != self._plan.generation:
            return "wrong generation"
        return "stale" if said.basis != wanted or said.chunks != standing else None

    def changed(self, messages: Iterable[Keyed]) -> Iterator[tuple[bytes, bytes]]:
        for message in messages:
            key = key_of(self.source, decode_key(message.key() or b""))
            yield key.canonical, names_of(key.values)
            yield from self._made.of_row(key.canonical)
        again = list(self.records())
        self._made.say(again)
        yield from ((said.key, said.names) for said in again)

    def row_key(self, key: Key) -> Key:
        return key_of(self.source, dict(zip(self._plan.key, key.values, strict=False)))

    def expected(self, number: int, key: Key, row: Mapping[str, Value] | None) -> Expected | None:
        said, standing = self._made.of(key.canonical) or (None, 0)
        if said is None or said.whole is None:
            if row is None or key != self.first_key([row[name] for name in self._plan.key]):
                return None
            place = place_by_key(self._targets[number], list(map(plain, key.values)))
            return Expected(place, None, 0, 0, flaw="missing")
        flaw = self._flaw(said, standing, None if row is None else self.basis(row))
        place, values = decode_where(said.targets)[number]
        return Expected(place, None, values, said.whole, said.generation, flaw)

    def last(self, key: Key) -> LastSaid | None:
        said, _ = self._made.of(key.canonical) or (None, 0)
        return None if said is None else LastSaid(said.position, said.whole is None, said.partition, said.offset)

    def close(self) -> None:
        self._made.close()
        self._topic.close()


class _Reader:
    """Records of one schema. Only the columns that somebody asks for are read: vectors are long."""

    def __init__(self, schema: TableSchema, targets: Sequence[Target], carry: Sequence[str]) -> None:
        self.schema = schema
        self._targets = targets
        self._hashes = [values_hash(target, schema) for target in targets]
        needed = {*schema.key, *carry, CHUNKS}
        for target, hashed in zip(targets, self._hashes, strict=True):
            needed |= placing_columns([target])
            if hashed is not None:
                needed |= {column.name for column in target.columns(schema)}
        self._names = [column.name for column in schema.columns if column.name in needed]
        fields = [(f"c{number}", _Any, None) for number, _ in enumerate(self._names)]
        renamed = {f"c{number}": name for number, name in enumerate(self._names)}
        row = msgspec.defstruct("Row", fields, rename=renamed)
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Record", [("after", row | None, None)])).decode

    def after(self, value: bytes) -> dict[str, _Any] | None:
        """The needed columns of what was made; ``None`` where the record says that nothing is."""
        after = self._decode(value).after  # type: ignore[attr-defined]
        if after is None:
            return None
        return dict(zip(self._names, msgspec.structs.astuple(after), strict=True))

    def where(self, row: Mapping[str, Value], whole: int) -> Where:
        """``whole`` is the hash of all columns."""
        return [
            (place_of(target, row), whole if hashed is None else hashed(row))
            for target, hashed in zip(self._targets, self._hashes, strict=True)
        ]


def basis(input_hash: str, carried: Sequence[Value]) -> bytes:
    """What a result was made from, or should be: equal exactly where nothing new is to be made."""
    return xxhash.xxh3_128_digest(msgspec.json.encode([input_hash, carried]))
