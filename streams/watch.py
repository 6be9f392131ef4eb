"""How far everything is: what MySQL has committed, what capture has published, what each lane has applied."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from changes.errors import Transient
from changes.progress import Offsets, Positions, SnapshotState, fold, internal_topic
from changes.target import Target
from changes.topology import Topology
from streams.capture.journal import TAIL
from streams.capture.snapshot import executed
from streams.deliver.lane import group_of
from streams.kafka import OPERATION_SECONDS, KafkaUrl, classified, committed
from streams.mysql import MysqlUrl, session
from streams.preflight import Flavour

ENRICH, MODELS = "enrich", "models"
"""Enrichment's consumer group is called as a lane's is: ``<version>.enrich.models``."""
BATCH = 500


@dataclass(frozen=True)
class LaneId:
    """One lane and the topics it reads."""

    version: str
    sink: str
    tier: str
    topics: tuple[str, ...]

    @property
    def group(self) -> str:
        return group_of(self.version, self.sink, self.tier)


def lanes_of(topology: Topology, version: str, sinks: Sequence[str] = ()) -> list[LaneId]:
    """The lanes that a version's targets need, in the order of the file; only those of ``sinks`` where given."""
    topics: dict[tuple[str, str], dict[str, None]] = {}
    for target in topology.every_target(version):
        if not sinks or target.sink in sinks:
            topics.setdefault((target.sink, target.tier.name), {})[topology.topic_of(target)] = None
    return [LaneId(version, sink, tier, tuple(names)) for (sink, tier), names in topics.items()]


def lane_of(topology: Topology, target: Target) -> LaneId:
    """The lane that fills a target, as far as it reads that target's topic."""
    return LaneId(target.version, target.sink, target.tier.name, (topology.topic_of(target),))


def enrichment_of(topology: Topology, version: str) -> LaneId | None:
    """Enrichment seen as a lane: the topics of the tables that it reads; ``None`` where nothing is enriched."""
    topics = tuple(topology.topic(version, table) for table in topology.tables if topology.enrichers(table))
    return LaneId(version, ENRICH, MODELS, topics) if topics else None


def committed_ordinal(url: MysqlUrl) -> int:
    """How many transactions MySQL has committed by now."""
    with session(url) as connection:
        return executed(connection, mariadb=Flavour.of(connection).mariadb).ordinal


class PositionsTail:
    """The positions topic, followed. Blocking; not safe for several threads.

    ``snapshots`` are the fills by name, as of when all requests below the offset ``snapshots_behind`` were answered.
    """

    def __init__(self, url: KafkaUrl, version: str) -> None:
        self._topic = internal_topic(version, "positions")
        self._consumer = Consumer(
            url.config(
                group_id=f"{version}.tailrace.watch",
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="latest",
            )
        )
        self._assigned = False
        self.last: Positions | None = None
        self.ends: Offsets = {}
        self.snapshots: Mapping[str, SnapshotState] = {}
        self.snapshots_behind = -1
        self._whole = False

    def poll(self, timeout: float) -> int:
        """Take in what has come, at most `BATCH` records; how many. Waits at most ``timeout`` seconds for them.

        Raises `Transient` where Kafka cannot be reached.
        """
        try:
            if not self._assigned:
                self._assign()
            messages = self._consumer.consume(BATCH, timeout)
        except KafkaException as error:
            raise classified(error.args[0], "reading positions") from error
        for message in messages:
            value = message.value()
            if message.error() is None and value is not None:
                self._take(msgspec.json.decode(value, type=Positions))
        return len(messages)

    def _assign(self) -> None:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, 0), timeout=OPERATION_SECONDS)
        self._consumer.assign([TopicPartition(self._topic, 0, max(low, high - TAIL))])
        self._assigned = True

    def _take(self, record: Positions) -> None:
        self._whole = self._whole or record.full
        if self._whole:
            self.ends = fold(self.ends, record)
            self.last = record
        if record.full:
            self.snapshots, self.snapshots_behind = record.snapshots, record.requests

    def close(self) -> None:
        self._consumer.close()


class GroupOffsets:
    """What consumer groups have committed."""

    def __init__(self, url: KafkaUrl) -> None:
        self._admin = AdminClient(url.config())

    def ends_of(self, topics: Sequence[str]) -> Offsets:
        """Where topics that are not written in transactions end now, by partition."""
        try:
            there = self._admin.list_topics(timeout=OPERATION_SECONDS).topics
            parts = [
                TopicPartition(topic, part) for topic in topics if topic in there for part in there[topic].partitions
            ]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            found = self._admin.list_offsets(dict.fromkeys(parts, latest)) if parts else {}
            return {(p.topic, p.partition): future.result(OPERATION_SECONDS).offset for p, future in found.items()}
        except KafkaException as error:
            raise classified(error.args[0], "asking where topics end") from error
        except TimeoutError as error:
            raise Transient("Kafka does not say in time where topics end") from error

    def of(self, lane: LaneId, ends: Offsets) -> Offsets:
        """Committed offsets of the lane's partitions that ``ends`` names; 0 for one without.

        Raises `Transient` where Kafka cannot be reached.
        """
        wanted = [part for part in ends if part[0] in lane.topics]
        found = committed(self._admin, lane.group, wanted) if wanted else []
        return dict.fromkeys(wanted, 0) | {(part.topic, part.partition): max(0, part.offset) for part in found}


def behind(lane: LaneId, ends: Offsets, committed: Offsets) -> int:
    """How many offsets the lane has yet to pass."""
    return sum(
        max(0, end - committed.get((topic, part), 0)) for (topic, part), end in ends.items() if topic in lane.topics
    )


@dataclass(frozen=True)
class Waited:
    """``waiting`` holds the lanes that had not passed when time ran out; ``filling`` the tables still being filled."""

    ordinal: int
    position: str
    waiting: dict[str, int]
    filling: list[str]
    captured: bool

    @property
    def done(self) -> bool:
        return self.captured and not self.waiting and not self.filling


def wait(
    mysql: MysqlUrl,
    kafka: KafkaUrl,
    lanes: Sequence[LaneId],
    *,
    version: str,
    timeout: float,
    enrichment: LaneId | None = None,
    progress: Callable[[Waited], None] = lambda _: None,
) -> Waited:
    """Return once everything committed before this call is applied by every lane, or after ``timeout`` seconds.

    A lane has passed a position when its committed offsets have reached every end that capture published for it. With
    ``enrichment``, what is made of those changes is waited for too: enrichment must have passed them, and the lanes
    the ends that its topics have then.
    """
    deadline = time.monotonic() + timeout
    wanted = _committed_by(mysql, deadline)
    tail, groups = PositionsTail(kafka, version), GroupOffsets(kafka)
    try:
        state = Waited(wanted, "", {lane.group: 0 for lane in lanes}, [], False)
        while True:
            state = _look(tail, groups, lanes, enrichment, wanted, state)
            if state.done or time.monotonic() >= deadline:
                return state
            progress(state)
    finally:
        tail.close()


def _committed_by(mysql: MysqlUrl, deadline: float) -> int:
    """`committed_ordinal`, asked again while MySQL is away; raises `Transient` where it stays away."""
    while True:
        try:
            return committed_ordinal(mysql)
        except Transient:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def _look(
    tail: PositionsTail,
    groups: GroupOffsets,
    lanes: Sequence[LaneId],
    enrichment: LaneId | None,
    wanted: int,
    before: Waited,
) -> Waited:
    try:
        tail.poll(0.05)
        if tail.last is None:
            return before
        filling = [name for name, state in tail.snapshots.items() if state.state != "done" and not state.id]
        captured = tail.last.ordinal >= wanted and bool(tail.snapshots)
        if not captured or filling:
            return Waited(wanted, tail.last.position, before.waiting, filling, captured)
        ends = dict(tail.ends)
        if enrichment is not None:
            unread = behind(enrichment, ends, groups.of(enrichment, ends))
            if unread:
                return Waited(wanted, tail.last.position, {enrichment.group: unread}, [], True)
            ends |= groups.ends_of([topic for lane in lanes for topic in lane.topics if (topic, 0) not in ends])
        left = {lane.group: behind(lane, ends, groups.of(lane, ends)) for lane in lanes}
        return Waited(wanted, tail.last.position, {g: n for g, n in left.items() if n}, [], True)
    except Transient:
        time.sleep(0.2)  # the broker is away: the deadline decides
        return before
