"""What a quick audit of a table's rows goes by: capture's own count of MySQL's rows."""

from collections.abc import Collection, Iterator, Sequence, Set

from audit.counts import Counts
from audit.expected import place_of
from audit.ledger import COUNTING, Stand, Told
from audit.tally import Behind, State
from audit.truth import Lacking, Truth
from changes.envelope import Delivered, Headers, decode, decode_key, headers_from
from changes.key import Key, key_of
from changes.position import SNAPSHOT_ROW, unpack
from changes.progress import KeyValue
from changes.target import Target
from streams.follow import Follower
from streams.kafka import KafkaUrl, read_topic


class RowLedger:
    """Capture's sums are of the rows that stores should hold, so they are compared as they are."""

    against = "what capture counted"
    strange: Set[int] = frozenset()
    remembers = False

    def __init__(
        self,
        truth: Truth,
        targets: Sequence[Target],
        topic: str,
        follower: Follower,
        counts: Counts,
        kafka: KafkaUrl,
    ) -> None:
        self._truth, self._targets, self._topic = truth, targets, topic
        self._follower, self._counts, self._kafka = follower, counts, kafka
        self._table = targets[0].table
        self._seen: set[bytes] = set()
        self._behind: list[Behind] = []

    def stand(self, deadline: float) -> Stand:
        found = self._counts.at_mark(self._table, deadline)
        if found is None:
            raise Lacking(COUNTING)
        mark, sums = found
        self._follower.start(mark.ends)
        self._seen = set()
        self._behind = [Behind(target) for target in self._targets]
        return Stand(mark, sum(rows for rows, _, _ in sums.values()), sums)

    def behind(self, number: int) -> Behind:
        return self._behind[number]

    def catch_up(self) -> None:
        schema = self._truth.schema
        for message in self._follower.drain():
            headers = headers_from(message.headers())
            key = key_of(schema, decode_key(message.key() or b"")).canonical
            value = message.value()
            change = None if value is None else decode(value)
            rows = [row for row in (change.before, change.after) if row is not None] if change is not None else []
            state = None
            if key not in self._seen and change is not None:
                state = self._state(headers, change)
            self._seen.add(key)
            for behind in self._behind:
                behind.first(key, state)
                for row in rows:
                    behind.named(key, row)

    def _state(self, headers: Headers, change: Delivered) -> State | None:
        """The row at the mark, by the first record of its key behind it.

        A row that a request told had not changed: as it is told it was.
        """
        if unpack(headers.position)[2] == SNAPSHOT_ROW:
            return None if change.after is None else State(change.after, headers.hash)
        if change.before is None:
            return None
        return State(change.before, self._counts.hash_of(self._table, headers.schema, change.before))

    def doubted(self) -> Iterator[tuple[bytes, list[KeyValue]]]:
        return iter(())

    def told(self, buckets: Collection[int]) -> dict[Key, Told]:
        """From the whole topic."""
        schema = self._truth.schema
        found: dict[Key, Told] = {}
        for message in read_topic(self._kafka, self._topic):
            key = key_of(schema, decode_key(message.key() or b""))
            if key.bucket not in buckets:
                continue
            value, headers = message.value(), headers_from(message.headers())
            after = None if value is None else decode(value).after
            if after is None:
                found[key] = Told(0, 0, None)
            else:
                places = tuple(place_of(target, after) for target in self._targets)
                found[key] = Told(headers.hash, headers.position, places)
        return found

    def row_bucket(self, key: Key) -> int:
        return key.bucket

    def distrust(self) -> None:
        """Nothing is."""

    def keep(self) -> None:
        """Nothing is kept."""
