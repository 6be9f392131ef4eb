"""From Kafka messages to the records of a lane's targets: pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from changes.envelope import Delivered, KafkaHeaders, decode, headers_from
from changes.errors import Rejected
from changes.expand import Placement, collapse, expand
from changes.record import Record
from changes.schema import TableSchema
from changes.target import Target


class Consumed(Protocol):
    """A consumed Kafka message, as far as delivery looks at it."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> KafkaHeaders: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass
class Prepared:
    """A batch made ready.

    ``records`` are collapsed; ``message_of`` finds the message that a record came from, by the record's `id`;
    ``unreadable`` are messages that are no change of ours, with the reason. ``committed_us`` are the times at which
    the changes were committed (microseconds since 1970), of live ones only: a row read by a snapshot is not fresh.
    ``unmade`` are changes that mean nothing to a target: the `id` of each one's message, and the target's name.
    """

    records: list[Record] = field(default_factory=list)
    message_of: dict[int, Consumed] = field(default_factory=dict)
    unreadable: list[tuple[Consumed, str]] = field(default_factory=list)
    committed_us: list[int] = field(default_factory=list)
    changes: int = 0
    filtered: int = 0
    unmade: list[tuple[int, str]] = field(default_factory=list)


def prepare(
    messages: Iterable[Consumed],
    targets: Mapping[str, Sequence[Target]],
    schema_of: Callable[[str, str], TableSchema],
    placement: Placement,
) -> Prepared:
    """``targets`` by topic; ``schema_of(table, fingerprint)`` raises `UnknownSchema`
    for one that is not to be seen yet, and that is not caught here.

    Null tombstones are left out: the delete before each said it already.
    """
    prepared = Prepared()
    expanded: list[Record] = []
    for message in messages:
        value = message.value()
        if value is None:
            prepared.filtered += 1
            continue
        try:
            change = decode(value)
            made, unmade = _records(message, change, targets.get(message.topic() or "", ()), schema_of, placement)
        except (ValueError, LookupError, msgspec.MsgspecError, Rejected) as error:
            prepared.unreadable.append((message, f"{type(error).__name__}: {error}"))
            continue
        prepared.changes += 1
        prepared.unmade += unmade
        if change.op != "r":
            prepared.committed_us.append(change.source.ts_us)
        for record in made:
            prepared.message_of[id(record)] = message
        expanded += made
    prepared.records = collapse(expanded)
    prepared.message_of = {id(record): prepared.message_of[id(record)] for record in prepared.records}
    return prepared


def _records(
    message: Consumed,
    change: Delivered,
    targets: Sequence[Target],
    schema_of: Callable[[str, str], TableSchema],
    placement: Placement,
) -> tuple[list[Record], list[tuple[int, str]]]:
    headers = headers_from(message.headers())
    made: list[Record] = []
    unmade: list[tuple[int, str]] = []
    for target in targets:
        schema = schema_of(target.table, headers.schema)
        records = expand(change, headers, schema, target, placement)
        made += records
        if not records:
            unmade.append((id(message), target.name))
    return made, unmade
