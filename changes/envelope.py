"""A change as it stands in its Kafka topic: Debezium's envelope, its key, and our headers.

Envelope fields and value forms are Debezium's with ``decimal.handling.mode=string``,
``time.precision.mode=isostring``, ``binary.handling.mode=base64`` and schemas off, so tools that read its topics
read ours. Differences are listed in ``docs/envelope.md``.
"""

from typing import Literal

import msgspec

from changes.canonical import Value
from changes.position import from_text, to_text

Op = Literal["c", "u", "d", "r"]

POSITION_HEADER = "tr-pos"
HASH_HEADER = "tr-hash"
SCHEMA_HEADER = "tr-schema"


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
    before: dict[str, bool | int | float | str | None] | None = None
    after: dict[str, bool | int | float | str | None] | None = None


class Headers(msgspec.Struct, frozen=True, gc=False):
    """The headers of one record, tombstones included: position, row hash (0 for a delete), schema."""

    position: int
    hash: int
    schema: str

    def to_kafka(self) -> list[tuple[str, bytes]]:
        return [
            (POSITION_HEADER, to_text(self.position).encode()),
            (HASH_HEADER, b"%016x" % self.hash),
            (SCHEMA_HEADER, self.schema.encode()),
        ]


KafkaHeaders = dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]] | None


def headers_from(pairs: KafkaHeaders) -> Headers:
    """Raises `ValueError` where a record lacks our headers: it was not written by capture."""
    found = {name: value.encode() if isinstance(value, str) else value for name, value in dict(pairs or ()).items()}
    position, hash_, schema = (found.get(name) for name in (POSITION_HEADER, HASH_HEADER, SCHEMA_HEADER))
    if position is None or hash_ is None or schema is None:
        raise ValueError("the record has no tr-pos, tr-hash and tr-schema headers")
    return Headers(from_text(position), int(hash_, 16), schema.decode())


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Delivered).decode
decode_key = msgspec.json.Decoder(dict[str, bool | int | float | str | None]).decode
