"""From a row's change to the Kafka records that tell it: pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType

import msgspec

from changes import position
from changes.canonical import Value, compiled
from changes.envelope import Envelope, Headers, Op, Source, TransactionBlock, encode
from changes.errors import Misconfigured
from changes.key import key_json
from changes.schema import Kind, TableSchema
from streams.binlog.events import RowChange
from streams.describe import captured

CONNECTOR_VERSION = "tailrace"

LARGEST_MESSAGE = 7 << 20
"""Bytes of a record's value that the broker takes for sure; see `streams.topics`."""

_LONG = 4096
"""Characters beyond which a value is left out of a row that does not fit; no column of a key has as many."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record; ``value`` is ``None`` for a tombstone."""

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Moment:
    """Where in the history a change stands.

    ``ordinal`` is its transaction's, ``committed_us`` when that was committed (microseconds, UTC).
    """

    epoch: int
    ordinal: int
    gtid: str
    committed_us: int
    server_id: int
    file: str
    offset: int


@dataclass(frozen=True)
class TablePlan:
    """What is done with the rows of one table in one layout."""

    version: str
    topic: str
    schema: TableSchema
    fingerprint: str
    hash_row: Callable[[Mapping[str, Value]], int]
    names: tuple[str, ...]
    hash_key: Callable[[Mapping[str, Value]], int]

    @classmethod
    def of(
        cls, version: str, topic: str, full: TableSchema, key: tuple[str, ...], dropped: frozenset[str]
    ) -> "TablePlan":
        """``full`` is the whole table. Raises `Misconfigured` where it lost a key column."""
        schema = captured(full, key, dropped)
        missing = set(key) - {column.name for column in schema.columns}
        if missing:
            raise Misconfigured(f"table `{full.table}` no longer has the key column `{min(missing)}`")
        return cls(
            version,
            topic,
            schema,
            schema.fingerprint,
            compiled(schema.columns),
            tuple(column.name for column in schema.columns),
            compiled([schema.column(name) for name in schema.key]),
        )

    def kept(self, row: Mapping[str, Value]) -> dict[str, Value]:
        """``row`` without its dropped columns."""
        return {name: row[name] for name in self.names}


def change_messages(
    plan: TablePlan,
    change: RowChange,
    moment: Moment,
    row: int,
    order: tuple[int, int],
    now_ms: int,
    largest: int = LARGEST_MESSAGE,
) -> Iterator[Message]:
    """The records of one row's change, in order; a value of more than ``largest`` bytes is shortened.

    ``row`` is the row's ordinal among its table's in the transaction, from 0; ``order`` counts from 1, in the
    transaction and in the table. A changed key is a delete of the old one and a create of the new one, both at
    this position: they are different rows to every store.
    """
    before = None if change[0] is None else plan.kept(change[0])
    after = None if change[1] is None else plan.kept(change[1])
    at = position.pack(moment.epoch, moment.ordinal, row)
    source = _source(plan, moment, row, snapshot=False)
    block = TransactionBlock(moment.gtid, *order)
    if before is None and after is not None:
        yield _message(plan, "c", None, after, source, block, at, now_ms, largest)
    elif before is not None and after is None:
        yield from _deletion(plan, before, source, block, at, now_ms, largest)
    elif before is not None and after is not None:
        if key_json(plan.schema, before) == key_json(plan.schema, after):
            yield _message(plan, "u", before, after, source, block, at, now_ms, largest)
        else:
            yield from _deletion(plan, before, source, block, at, now_ms, largest)
            yield _message(plan, "c", None, after, source, block, at, now_ms, largest)


def snapshot_message(
    plan: TablePlan, row: Mapping[str, Value], moment: Moment, now_ms: int, derived: str = ""
) -> Message:
    """The record of a row read by a snapshot that had seen every transaction up to ``moment.ordinal``.

    ``derived``: of whoever asked for it.
    """
    at = position.snapshot(moment.epoch, moment.ordinal)
    source = _source(plan, moment, 0, snapshot=True)
    return asking(_message(plan, "r", None, plan.kept(row), source, None, at, now_ms), derived)


def asking(message: Message, derived: str, over: str = "") -> Message:
    """``message`` with what a request wants of whoever reads it."""
    if not derived and not over:
        return message
    headers = msgspec.structs.replace(message.headers, ask=derived, over=position.from_text(over) if over else -1)
    return msgspec.structs.replace(message, headers=headers)


def asked_key(plan: TablePlan, values: Sequence[Value]) -> tuple[Value, ...]:
    """A request's key as the envelope holds it. Raises `ValueError` where it is none of this table."""
    if len(values) != len(plan.schema.key):
        raise ValueError(f"a key of `{plan.schema.table}` has {len(plan.schema.key)} values, not {len(values)}")
    return tuple(
        int(value)
        if plan.schema.column(name).kind is Kind.INTEGER and not isinstance(value, list | NoneType)
        else value
        for name, value in zip(plan.schema.key, values, strict=True)
    )


def asked_messages(
    plan: TablePlan,
    key: tuple[Value, ...],
    hint: Mapping[str, Value],
    row: Mapping[str, Value] | None,
    moment: Moment,
    now_ms: int,
) -> Iterator[Message]:
    """The records of one row that a request named by its ``key``, read like a snapshot's; ``row`` ``None``: a delete.

    ``before`` holds the hint, so that stores look where it says too. In an ``r`` it is otherwise absent.
    """
    at = position.snapshot(moment.epoch, moment.ordinal)
    source = _source(plan, moment, 0, snapshot=True)
    told = {name: value for name, value in hint.items() if name in plan.names}
    if row is not None:
        after = plan.kept(row)
        yield _message(plan, "r", after | told if told else None, after, source, None, at, now_ms)
    else:
        named = dict(zip(plan.schema.key, key, strict=True))
        yield from _deletion(plan, dict.fromkeys(plan.names) | told | named, source, None, at, now_ms)


def _source(plan: TablePlan, moment: Moment, row: int, *, snapshot: bool) -> Source:
    return Source(
        version=CONNECTOR_VERSION,
        connector="mysql",
        name=plan.version,
        ts_ms=moment.committed_us // 1000,
        snapshot="incremental" if snapshot else "false",
        db=plan.schema.database,
        table=plan.schema.table,
        server_id=moment.server_id,
        gtid=moment.gtid or None,
        file=moment.file,
        pos=moment.offset,
        row=row,
        ts_us=moment.committed_us,
        ts_ns=moment.committed_us * 1000,
    )


def _message(
    plan: TablePlan,
    op: Op,
    before: dict[str, Value] | None,
    after: dict[str, Value],
    source: Source,
    block: TransactionBlock | None,
    at: int,
    now_ms: int,
    largest: int = LARGEST_MESSAGE,
) -> Message:
    return Message(
        plan.topic,
        key_json(plan.schema, after),
        _fitting(Envelope(before, after, source, op, now_ms, block), largest),
        Headers(at, plan.hash_row(after), plan.fingerprint),
    )


def _fitting(envelope: Envelope, largest: int) -> bytes:
    """The value of a record, without the long values of the row before where it would have more than ``largest`` bytes.

    What cannot fit is not written out first: of rows of 64 MB that alone would be hundreds.
    """
    before = envelope.before
    if before is None:
        return encode(envelope)
    if _characters(before) + _characters(envelope.after or {}) <= largest:
        value = encode(envelope)
        if len(value) <= largest:
            return value
    return encode(msgspec.structs.replace(envelope, before=_short(before)))


def _characters(row: Mapping[str, Value]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str))


def _short(row: Mapping[str, Value]) -> dict[str, Value]:
    """``row`` without its long values: what is left still tells its key and its place."""
    return {name: value for name, value in row.items() if not isinstance(value, str) or len(value) <= _LONG}


def _deletion(
    plan: TablePlan,
    before: dict[str, Value],
    source: Source,
    block: TransactionBlock | None,
    at: int,
    now_ms: int,
    largest: int = LARGEST_MESSAGE,
) -> Iterator[Message]:
    headers = Headers(at, 0, plan.fingerprint)
    key = key_json(plan.schema, before)
    yield Message(plan.topic, key, _fitting(Envelope(before, None, source, "d", now_ms, block), largest), headers)
    yield Message(plan.topic, key, None, headers)
