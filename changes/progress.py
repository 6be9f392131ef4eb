"""What capture publishes beside the data: how far it has come, and where in each topic that is.

Positions stand as 19-digit text, as in all JSON of ours. Topics are named here, once.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from changes.schema import TableSchema

Internal = Literal[
    "positions",
    "checkpoint",
    "schemas",
    "requests",
    "dlq",
    "dlq-state",
    "sums",
    "control",
    "delivered",
    "audits",
    "replays",
]


def internal_topic(version: str, name: Internal) -> str:
    return f"{version}.tailrace.{name}"


class Partial(msgspec.Struct, frozen=True):
    """A source transaction of which only the first rows are in Kafka: rows done, per table."""

    gtid: str
    rows: dict[str, int]


class Checkpoint(msgspec.Struct, frozen=True):
    """Where capture goes on; written in the Kafka transaction whose changes it covers.

    ``executed`` holds the transactions that are wholly in Kafka; ``file`` and ``offset`` say where the server's
    binlog stood, for people and as a fallback. ``requests`` is the offset of the first request not yet answered: it is
    saved with the answer, so a request is neither lost nor answered twice.
    """

    executed: str
    epoch: int
    position: str
    file: str
    offset: int
    partial: Partial | None = None
    requests: int = 0


class SnapshotState(msgspec.Struct, frozen=True):
    """How far one fill is: of a whole table or, where ``id`` names the request that asked, of its rows ``where``.

    A whole table is ``running`` while its rows are read, ``sweeping`` while those that its topic still holds and MySQL
    does not are told as deletes, and ``done``. ``after`` is the key of the last row read, ``None`` before the first;
    ``mark`` where the topic's partitions that hold something ended when that was read, ``None`` before; what lies below
    and was not told again is swept. ``rows`` were read so far, of about ``estimate``, of late ``rate`` in a second;
    ``swept`` were deleted. ``derived`` is that of the request that asked for the fill, if one did. ``reason`` says in a
    word why the table is filled anew, "" for the first fill. What is ``paused`` waits to be resumed.
    ``absent``: MySQL had no such table when it was to be read. ``again``: once done it begins anew, for rows that were
    read may have changed in secret since.
    """

    table: str
    state: Literal["running", "sweeping", "done"]
    rows: int = 0
    after: list[bool | int | float | str | None] | None = None
    estimate: int = 0
    derived: str = ""
    reason: str = ""
    mark: dict[int, int] | None = None
    swept: int = 0
    id: str = ""
    where: str = ""
    paused: bool = False
    rate: float = 0.0
    absent: bool = False
    again: bool = False

    @property
    def name(self) -> str:
        """What it is kept under: the table, or with a request's id behind it."""
        return f"{self.table}/{self.id}" if self.id else self.table


ASKED = "asked"
"""The reason of a fill that somebody asked for; every other one is needed for stores to be right."""


def anew(state: SnapshotState, reason: str, derived: str = "") -> SnapshotState:
    """The fill of a whole table from its beginning. What an unfinished one was for, this one is for too."""
    open_ = state.state != "done"
    needed = state.reason if open_ and reason == ASKED else reason
    both = {state.derived if open_ else "", derived} - {""}
    return SnapshotState(
        state.table,
        "running",
        estimate=state.estimate,
        derived=EVERY_ENRICHER if len(both) > 1 else "".join(both),
        reason=needed,
        paused=open_ and state.paused and reason != ASKED,
        rate=state.rate,
    )


class Positions(msgspec.Struct, frozen=True):
    """One record of ``<version>.tailrace.positions``.

    ``position`` is the last one that is wholly in Kafka and ``ordinal`` its transaction ordinal; ``offsets`` maps
    topic → partition → last data offset + 1, of the partitions that moved since the record before, or of all where
    ``full``. ``source_ms`` is when the newest transaction was committed, ``at_ms`` when this was written.

    ``partial`` says that the offsets also hold rows of the transaction after ``ordinal``. ``file`` and ``offset`` are
    where in the binlog the stream stood: all that was logged before is in Kafka. ``requests`` is the checkpoint's.
    ``sums`` is the end of the sums topic, last offset + 1, of which the same is true as of ``offsets``.
    """

    position: str
    ordinal: int
    at_ms: int
    source_ms: int
    full: bool
    offsets: dict[str, dict[str, int]]
    rows: int
    snapshots: dict[str, SnapshotState] = {}
    partial: bool = False
    file: str = ""
    offset: int = 0
    requests: int = 0
    sums: int = 0


Bucket = tuple[int, int, int]
"""The living rows of one bucket of the source: how many, and the sums of the two halves of their hashes."""


class TableSums(msgspec.Struct, frozen=True):
    """One record of ``<version>.tailrace.sums``, keyed by its table: what MySQL holds of it.

    ``buckets`` leaves out those without rows, and is ``None`` while it is not known. ``fingerprint`` is that of the
    columns that were hashed.
    """

    table: str
    fingerprint: str
    buckets: dict[int, Bucket] | None


class SumsStep(msgspec.Struct, frozen=True):
    """One record of ``<version>.tailrace.sums``, keyed ``step:<number>``: buckets as they are now, by table, of those
    that changed since the record before."""

    tables: dict[str, dict[int, Bucket]]


class PublishedSchema(msgspec.Struct, frozen=True):
    """One record of ``<version>.tailrace.schemas``, keyed by ``<table>:<fingerprint>``."""

    schema: TableSchema
    fingerprint: str


KeyValue = bool | int | float | str | None


class Asked(msgspec.Struct, frozen=True):
    """One row that a request names: its key's values in key order, as the envelope holds them.

    ``hint`` holds values of columns that place the row in stores, as they were where a store holds it: a row that is
    there and should not be can then be deleted where it lies. ``over`` is a position that no change of the row explains
    and that a store holds: stores write over exactly that one, though it is greater than what comes. ``chunk`` is the
    highest of the row's chunks that a store holds, -1 where rows have none: what is made anew may have fewer.
    """

    key: list[KeyValue]
    hint: dict[str, KeyValue] = {}
    over: str = ""
    chunk: int = -1


class Request(msgspec.Struct, frozen=True):
    """One record of ``<version>.tailrace.requests``: rows that capture is asked to read again and to tell anew.

    ``rows`` ``None`` asks for the whole table, which is then filled as for the first time and swept, or with ``where``
    for the rows that fit this SQL predicate. A row that MySQL does not have is told as a delete. One request for rows
    is answered in one Kafka transaction, so its sender bounds its size.

    ``act`` asks for nothing to be read: the table's fills under way pause, resume, or stop where they are.

    ``derived`` names the enricher that is to tell again what it makes of these rows, `EVERY_ENRICHER` all of them; with
    none they do so only where a row says something new to them.
    """

    id: str
    table: str
    rows: list[Asked] | None
    derived: str = ""
    where: str = ""
    act: Literal["", "pause", "resume", "stop"] = ""


EVERY_ENRICHER = "*"


Offsets = dict[tuple[str, int], int]
"""(topic, partition) → offset."""


def fold(offsets: Offsets, record: Positions) -> Offsets:
    """The end offsets after one more record; a full one replaces what was known."""
    base = {} if record.full else dict(offsets)
    for topic, partitions in record.offsets.items():
        for partition, end in partitions.items():
            base[topic, int(partition)] = end
    return base


def unfold(offsets: Offsets) -> dict[str, dict[str, int]]:
    """The nested form that JSON can hold."""
    nested: dict[str, dict[str, int]] = {}
    for (topic, partition), end in sorted(offsets.items()):
        nested.setdefault(topic, {})[str(partition)] = end
    return nested


def folded(nested: Mapping[str, Mapping[str, int]]) -> Offsets:
    """What `unfold` unfolded."""
    return {(topic, int(number)): end for topic, ends in nested.items() for number, end in ends.items()}


def binlog_order(file: str, offset: int) -> tuple[int, str, int]:
    """Sorts like the binlog: its files are numbered, and grow a digit after the millionth."""
    return len(file), file, offset
