"""Conservation: of every record that stands in a topic, each lane must be able to say what became of it.

    captured = applied + collapsed + stale + filtered + parked + expired + in flight + remainder

per table, sink and target, by distinct (partition, offset), from where a lane's accounts begin to where the topics end.
What a lane says is in its group's commits (`streams.deliver.account`); what was captured is counted in the topics
themselves, by nobody who delivers. A remainder is what was lost on the way, or, below nought, counted twice.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from changes.target import Target
from changes.topology import Topology
from streams.deliver.account import Account, Counts, Part
from streams.deliver.counted import Counted
from streams.deliver.stamps import told_from
from streams.kafka import KafkaUrl, classified, committed
from streams.topics import LAG_DAYS
from streams.watch import GroupOffsets, LaneId, lane_of

_LAG_MS = LAG_DAYS * 86_400_000


@dataclass(frozen=True)
class Span:
    """How many records of a partition an account should cover, and how many stand behind it."""

    covered: int
    behind: int


@dataclass(frozen=True)
class Balance:
    """One target's sum. ``repeated`` are records that came again, beside the others: each counts once above.

    ``expired`` are counted by the lane and no longer in the topic: compaction took them since. ``unaccounted`` is how
    many partitions have no account of it: their lane has not written yet, or not since it was declared, or is of a
    version that keeps none.
    """

    sink: str
    tier: str
    table: str
    target: str
    captured: int
    applied: int
    collapsed: int
    stale: int
    filtered: int
    parked: int
    expired: int
    in_flight: int
    repeated: int
    remainder: int
    unaccounted: int


def balance(
    target: Target, accounts: Mapping[Part, Account], spans: Mapping[Part, Span], partitions: int, now_ms: int
) -> Balance:
    """``accounts`` and ``spans`` are of the target's topic."""
    counts, expired, remainder, unaccounted = Counts(), 0, 0, partitions - len(accounts)
    for part, account in accounts.items():
        if account.counts and target.name not in account.counts:
            unaccounted += 1  # older than the target's declaration
            continue
        mine = account.counts.get(target.name, Counts())
        counts += mine
        missing = spans[part].covered - mine.total
        if missing < 0 and now_ms - account.since_ms >= _LAG_MS:
            expired -= missing
        else:
            remainder += missing
    in_flight = sum(span.behind for span in spans.values())
    return Balance(
        target.sink,
        target.tier.name,
        target.table,
        target.name,
        captured=counts.total - expired + remainder + in_flight,
        applied=counts.applied,
        collapsed=counts.collapsed,
        stale=counts.stale,
        filtered=counts.filtered,
        parked=counts.parked,
        expired=expired,
        in_flight=in_flight,
        repeated=sum(account.repeated for account in accounts.values()),
        remainder=remainder,
        unaccounted=unaccounted,
    )


def span_of(counted: Counted, account: Account) -> Span:
    """An account's, of a partition whose records were counted."""
    upto = counted.below(account.upto)
    return Span(upto - counted.below(account.since), counted.total - upto)


def conserved(
    topology: Topology,
    version: str,
    kafka: KafkaUrl,
    targets: Sequence[Target],
    now_ms: int,
    counted: dict[Part, Counted] | None = None,
) -> list[Balance]:
    """The balance of each target. Blocks while the accounted parts of topics are read. ``counted`` is what an earlier
    call with the same ``targets`` has counted: what it read is not read again.

    Raises `Transient` where Kafka cannot be reached.
    """
    counted = {} if counted is None else counted
    admin = AdminClient(kafka.config())
    lanes: dict[str, tuple[LaneId, dict[str, int]]] = {}
    for target in targets:
        lane = lane_of(topology, target)
        _, topics = lanes.setdefault(lane.group, (lane, {}))
        topics[topology.topic_of(target)] = topology.tables[target.source].partitions
    accounts = {group: _accounts(admin, lane, topics) for group, (lane, topics) in lanes.items()}
    _count(kafka, version, accounts, counted)
    found: list[Balance] = []
    for target in targets:
        topic, partitions = topology.topic_of(target), topology.tables[target.source].partitions
        mine = {part: one for part, one in accounts[lane_of(topology, target).group].items() if part[0] == topic}
        spans = {part: span_of(counted[part], account) for part, account in mine.items()}
        found.append(balance(target, mine, spans, partitions, now_ms))
    return found


def _count(
    kafka: KafkaUrl, version: str, accounts: Mapping[str, Mapping[Part, Account]], counted: dict[Part, Counted]
) -> None:
    """Read on to where topics end now, which is not before any account does."""
    asked: dict[Part, set[int]] = {}
    for known in accounts.values():
        for part, account in known.items():
            asked.setdefault(part, set()).update((account.since, account.upto))
    ends = GroupOffsets(kafka).ends_of(sorted({topic for topic, _ in asked}))
    starts: dict[Part, int] = {}
    for part, offsets in asked.items():
        starts[part] = counted.setdefault(part, Counted()).begin(offsets, ends.get(part, 0))
    to_read = {part: start for part, start in starts.items() if start < ends.get(part, 0)}
    with closing(_offsets(kafka, version, to_read, ends)) as records:
        for part, offset in records:
            counted[part].take(offset)
    for part in starts:
        counted[part].close()


def _offsets(
    kafka: KafkaUrl, version: str, starts: Mapping[Part, int], ends: Mapping[Part, int]
) -> Generator[tuple[Part, int]]:
    """Where committed records stand, in the order of each partition."""
    if not starts:
        return
    consumer = Consumer(kafka.reading(version, "reader", auto_offset_reset="earliest"))
    try:
        consumer.assign([TopicPartition(*part, start) for part, start in starts.items()])
        left = set(starts)
        while left:
            for message in consumer.consume(10_000, 0.1):
                part, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
                error = message.error()
                if error is None:
                    if part in left:
                        yield part, offset
                    if offset >= ends[part] - 1:  # a topic that is written to all the time never shows its end
                        left.discard(part)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(part)
                elif not error.retriable():
                    raise classified(error, f"reading topic `{part[0]}`")
    except KafkaException as error:
        raise classified(error.args[0], "counting records") from error
    finally:
        consumer.close()


def _accounts(admin: AdminClient, lane: LaneId, topics: Mapping[str, int]) -> dict[Part, Account]:
    """What a lane says of its topics, given with how many partitions they have."""
    wanted = [(topic, number) for topic, partitions in topics.items() for number in range(partitions)]
    found: dict[Part, Account] = {}
    for part in committed(admin, lane.group, wanted):
        told = told_from(part.metadata)
        if told is not None and told.account is not None:
            found[part.topic, part.partition] = told.account
    return found
