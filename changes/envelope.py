"""A change as it stands in its Kafka topic: Debezium's envelope, its key, and our headers.

Envelope fields and value forms are Debezium's with ``decimal.handling.mode=string``,
``time.precision.mode=isostring``, ``binary.handling.mode=base64`` and schemas off, so tools that read its topics
read ours. Differences are listed in ``docs/envelope.md``.
"""

from typing import Literal

import msgspec

from changes.canonical import Value
from changes.position import LAST_GENERATION, from_text, to_text

Op = Literal["c", "u", "d", "r"]

POSITION_HEADER = "tr-pos"
HASH_HEADER = "tr-hash"
SCHEMA_HEADER = "tr-schema"
GENERATION_HEADER = "tr-gen"
INPUT_HEADER = "tr-input"
ASK_HEADER = "tr-ask"
OVER_HEADER = "tr-over"


class Source(msgspec.Struct, frozen=True, gc=False, omit_defaults=False):
    """Where a change came from; times are UTC, ``ts_ms`` is when the transaction was committed."""

    version: str
    connector: str
    name: str
    ts_ms: int
    snapshot: str
    db: str
    table: str
    server_id: int
    gtid: str | None
    file: str
    pos: int
    row: int
    ts_us: int
    ts_ns: int
    sequence: str | None = None
    thread: int | None = None
    query: str | None = None


class TransactionBlock(msgspec.Struct, frozen=True, gc=False):
    """The transaction's id and the change's order in it, counted from 1, in all and in its table."""

    id: str
    total_order: int
    data_collection_order: int


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """``before`` is ``None`` for ``c`` and ``r``, ``after`` is ``None`` for ``d``."""

    before: dict[str, Value] | None
    after: dict[str, Value] | None
    source: Source
    op: Op
    ts_ms: int
    transaction: TransactionBlock | None


class CommitTime(msgspec.Struct, frozen=True, gc=False):
    """When the change was committed: microseconds since 1970, UTC."""

    ts_us: int = 0


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The part of an envelope that delivery reads."""

    op: Op
    source: CommitTime = CommitTime()
    before: dict[str, bool | int | float | str | list[float] | None] | None = None
    after: dict[str, bool | int | float | str | list[float] | None] | None = None


class Headers(msgspec.Struct, frozen=True, gc=False):
    """The headers of one record, tombstones included: position, row hash (0 for a delete), schema.

    Derived data has two more: its generation, and in ``input`` the hash of what was read to make it, 16 hex digits.
    A row told because somebody asked for it may have two others: in ``ask`` whose results are asked for (see
    `changes.progress.Request.derived`) and, behind a slash, the highest chunk of them that a store holds; in ``over``
    the position that stores write over, -1 for none.
    """

    position: int
    hash: int
    schema: str
    generation: int = 0
    input: str = ""
    ask: str = ""
    over: int = -1

    def to_kafka(self) -> list[tuple[str, bytes]]:
        pairs = [
            (POSITION_HEADER, to_text(self.position).encode()),
            (HASH_HEADER, b"%016x" % self.hash),
            (SCHEMA_HEADER, self.schema.encode()),
        ]
        if self.generation:
            pairs.append((GENERATION_HEADER, b"%d" % self.generation))
        if self.input:
            pairs.append((INPUT_HEADER, self.input.encode()))
        if self.ask:
            pairs.append((ASK_HEADER, self.ask.encode()))
        if self.over >= 0:
            pairs.append((OVER_HEADER, to_text(self.over).encode()))
        return pairs


_INPUT_WIDTH = 16
_HEX = frozenset(b"0123456789abcdef")

KafkaHeaders = dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]] | None


def headers_from(pairs: KafkaHeaders) -> Headers:
    """Raises `ValueError` where a record lacks our headers: it was not written by capture or enrichment."""
    found = {name: value.encode() if isinstance(value, str) else value for name, value in dict(pairs or ()).items()}
    position, hash_, schema = (found.get(name) for name in (POSITION_HEADER, HASH_HEADER, SCHEMA_HEADER))
    if position is None or hash_ is None or schema is None:
        raise ValueError("the record has no tr-pos, tr-hash and tr-schema headers")
    generation, input_, over = found.get(GENERATION_HEADER), found.get(INPUT_HEADER), found.get(OVER_HEADER)
    return Headers(
        from_text(position),
        int(hash_, 16),
        schema.decode(),
        0 if generation is None else _generation(generation),
        "" if input_ is None else _input(input_),
        (found.get(ASK_HEADER) or b"").decode(),
        -1 if over is None else from_text(over),
    )


def _generation(text: bytes) -> int:
    if not text.isdigit() or int(text) > LAST_GENERATION:
        raise ValueError(f"a generation is a number up to {LAST_GENERATION}, not {text!r}")
    return int(text)


def _input(text: bytes) -> str:
    if len(text) != _INPUT_WIDTH or not set(text) <= _HEX:
        raise ValueError(f"an input hash has {_INPUT_WIDTH} hex digits, not {text!r}")
    return text.decode()


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Delivered).decode
decode_key = msgspec.json.Decoder(dict[str, bool | int | float | str | None]).decode
