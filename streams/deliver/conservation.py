"""Conservation: of every record that stands in a topic, each lane must be able to say what became of it.

    captured = applied + collapsed + stale + filtered + parked + expired + in flight + remainder

per table, sink and target, by distinct (partition, offset), from where a lane's accounts begin to where the topics end.
What a lane says is in its group's commits (`streams.deliver.account`); what was captured is counted in the topics
themselves, by nobody who delivers. A remainder is what was lost on the way, or, below nought, counted twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from changes.errors import Transient
from changes.target import Target
from changes.topology import Topology
from streams.deliver.account import Account, Counts, Part
from streams.deliver.stamps import told_from
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, read_topic
from streams.topics import LAG_DAYS
from streams.watch import LaneId, lane_of

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
    many partitions have no account: their lane has not written yet, or is of a version that keeps none.
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
    counts, expired, remainder = Counts(), 0, 0
    for part, account in accounts.items():
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
        unaccounted=partitions - len(accounts),
    )


def spans_of(offsets: Iterable[int], accounts: Sequence[Account]) -> list[Span]:
    """Of each account, from the offsets at which records stand, in order."""
    covered, behind = [0] * len(accounts), [0] * len(accounts)
    for offset in offsets:
        for number, account in enumerate(accounts):
            if offset >= account.upto:
                behind[number] += 1
            elif offset >= account.since:
                covered[number] += 1
    return [Span(*pair) for pair in zip(covered, behind, strict=True)]


def conserved(
    topology: Topology, version: str, kafka: KafkaUrl, targets: Sequence[Target], now_ms: int
) -> list[Balance]:
    """The balance of each target. Blocks while the accounted parts of topics are read.

    Raises `Transient` where Kafka cannot be reached.
    """
    admin = AdminClient(kafka.config())
    topics: dict[str, list[Target]] = {}
    for target in targets:
        topics.setdefault(topology.topic_of(target), []).append(target)
    found: list[Balance] = []
    for topic, some in topics.items():
        partitions = topology.tables[some[0].source].partitions
        lanes = {lane.group: lane for lane in (lane_of(topology, target) for target in some)}
        accounts = {group: _accounts(admin, lane, topic, partitions) for group, lane in lanes.items()}
        spans: dict[str, dict[Part, Span]] = {group: {} for group in lanes}
        for partition in range(partitions):
            part = (topic, partition)
            there = [(group, known[part]) for group, known in accounts.items() if part in known]
            if there:
                each = spans_of(_offsets(kafka, part, [account for _, account in there]), [one for _, one in there])
                for (group, _), span in zip(there, each, strict=True):
                    spans[group][part] = span
        for target in some:
            group = lane_of(topology, target).group
            found.append(balance(target, accounts[group], spans[group], partitions, now_ms))
    return found


def _offsets(kafka: KafkaUrl, part: Part, accounts: Sequence[Account]) -> Iterable[int]:
    topic, partition = part
    first = min(account.since for account in accounts)
    with closing(read_topic(kafka, topic, partition=partition, start=lambda low, high: first)) as records:
        for message in records:
            yield message.offset() or 0


def _accounts(admin: AdminClient, lane: LaneId, topic: str, partitions: int) -> dict[Part, Account]:
    wanted = [TopicPartition(topic, number) for number in range(partitions)]
    try:
        request = [ConsumerGroupTopicPartitions(lane.group, wanted)]
        answer = admin.list_consumer_group_offsets(request)[lane.group].result(OPERATION_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return {}
        raise classified(error.args[0], f"asking how far `{lane.group}` is") from error
    except TimeoutError as error:
        raise Transient(f"Kafka does not say in time how far `{lane.group}` is") from error
    found: dict[Part, Account] = {}
    for part in answer.topic_partitions:
        told = told_from(part.metadata)
        if told is not None and told.account is not None:
            found[part.topic, part.partition] = told.account
    return found
