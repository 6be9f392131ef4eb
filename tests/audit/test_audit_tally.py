"""Sums against sums while writes go on: whatever the store had taken up when each of its rows was read."""

from dataclasses import dataclass
from random import Random

from audit_model import SCHEMA, TARGETS, stored
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.expected import place_of
from audit.tally import Behind, Spot, State, tally
from changes.canonical import Value, halves, row_hash
from changes.key import key_of
from changes.progress import Bucket
from changes.record import BucketSum, StoredRow, StoredSums

Values = dict[str, Value]
State_ = dict[int, Values]
"""By id."""


def canonical(number: int) -> bytes:
    return key_of(SCHEMA, {"id": number}).canonical


def sums_of(rows: list[tuple[int, int]]) -> dict[int, BucketSum]:
    """Of (bucket, hash)."""
    found: dict[int, BucketSum] = {}
    for bucket, hash_ in rows:
        found[bucket] = found.get(bucket, BucketSum()) + BucketSum(1, *halves(hash_))
    return found


@dataclass
class History:
    """A change a position; ``states[n]`` are the rows behind the first ``n``."""

    changes: list[tuple[int, Values | None, Values | None]]
    states: list[State_]

    @classmethod
    def of(cls, rng: Random, length: int) -> "History":
        history = cls([], [{}])
        for _ in range(length):
            rows = dict(history.states[-1])
            number = rng.randrange(8)
            before = rows.pop(number, None)
            after: Values | None = {"id": number, "v": rng.randrange(9), "u": rng.randrange(1, 3)}
            if before is not None and rng.random() < 0.3:
                after = None
            if after is not None:
                rows[number] = after
            history.changes.append((number, before, after))
            history.states.append(rows)
        return history

    def source(self, at: int) -> dict[int, Bucket]:
        rows = [(key_of(SCHEMA, row).bucket, row_hash(SCHEMA.columns, row)) for row in self.states[at].values()]
        return {bucket: (one.count, one.h1, one.h2) for bucket, one in sums_of(rows).items()}

    def store(self, sink: int, at: int) -> dict[Spot, StoredRow | int]:
        """What a store holds once it has taken up ``at`` changes: by spot a row, or a tombstone's position."""
        held: dict[Spot, StoredRow | int] = {}
        for position, (number, before, after) in enumerate(self.changes[:at], 1):
            if before is not None:
                held[place_of(TARGETS[sink], before), canonical(number)] = position
            if after is not None:
                row = stored(TARGETS[sink], number, (int(str(after["v"])), int(str(after["u"]))), position)
                held[row.place, canonical(number)] = row
        return held

    def behind(self, sink: int, mark: int) -> Behind:
        found = Behind(TARGETS[sink])
        seen: set[int] = set()
        for number, before, after in self.changes[mark:]:
            if number not in seen:
                state = None if before is None else State(before, row_hash(SCHEMA.columns, before))
                found.first(canonical(number), state)
            seen.add(number)
            for row in (before, after):
                if row is not None:
                    found.named(canonical(number), row)
        return found


def looked_at(held: dict[Spot, StoredRow | int], upto: int) -> StoredSums:
    rows = [row for row in held.values() if isinstance(row, StoredRow) and row.position <= upto]
    beyond = {
        (place, key): key_of(SCHEMA, {"id": next(n for n in range(99) if canonical(n) == key)}).bucket
        for (place, key), row in held.items()
        if (row.position if isinstance(row, StoredRow) else row) > upto
    }
    return StoredSums(sums_of([(row.key.bucket, row.hash) for row in rows]), beyond)


def torn(rng: Random, history: History, sink: int, mark: int) -> dict[Spot, StoredRow | int]:
    """Each spot as it was at some moment of its own, behind the mark."""
    length = len(history.changes)
    moments = {at: history.store(sink, at) for at in range(mark, length + 1)}
    spots = {spot for held in moments.values() for spot in held}
    found = {}
    for spot in sorted(spots):
        row = moments[rng.randrange(mark, length + 1)].get(spot)
        if row is not None:
            found[spot] = row
    return found


@given(st.integers(0, 1 << 32), st.integers(0, 1), st.integers(0, 30))
@settings(max_examples=300)
def test_no_moment_of_reading_makes_a_difference(seed: int, sink: int, length: int) -> None:
    rng = Random(seed)
    history = History.of(rng, length)
    mark = rng.randrange(length + 1)
    held = torn(rng, history, sink, mark)
    found = tally(history.source(mark), looked_at(held, mark), history.behind(sink, mark))
    assert found.differing == set()
    assert found.rows == len(history.states[mark])


@given(
    st.integers(0, 1 << 32), st.integers(0, 1), st.integers(1, 30), st.sampled_from(["gone", "extra", "old", "high"])
)
@settings(max_examples=300)
def test_what_a_store_lacks_or_has_too_much_shows_in_its_bucket(seed: int, sink: int, length: int, what: str) -> None:
    rng = Random(seed)
    history = History.of(rng, length)
    mark = rng.randrange(length + 1)
    held = torn(rng, history, sink, mark)
    still = [
        spot
        for spot, row in held.items()
        if isinstance(row, StoredRow) and not any(canonical(n) == spot[1] for n, _, _ in history.changes[mark:])
    ]
    row = stored(TARGETS[sink], 50, (1, 1), 1)
    if what == "extra" or not still:
        held[row.place, canonical(50)] = row
    else:
        spot = rng.choice(still)
        row = held[spot]  # type: ignore[assignment]
        if what == "gone":
            del held[spot]
        else:
            (number,) = row.key.values
            other = stored(TARGETS[sink], int(str(number)), (77, int(str(row.row["u"]))), row.position)
            raised = StoredRow(row.key, row.place, 1 << 62, row.hash, row.mapping, row.row)
            held[spot] = other if what == "old" else raised
    found = tally(history.source(mark), looked_at(held, mark), history.behind(sink, mark))
    assert found.differing == {row.key.bucket}


def test_a_place_may_stand_for_its_row_and_a_row_whose_hash_is_lost_is_no_verdict() -> None:
    row: Values = {"id": 1, "v": 2, "u": 1}
    hash_, bucket = row_hash(SCHEMA.columns, row), key_of(SCHEMA, row).bucket
    source = {bucket: (1, *halves(hash_))}
    newer = StoredSums({}, {("1", b""): bucket})
    known, lost = Behind(TARGETS[1]), Behind(TARGETS[1])
    known.first(canonical(1), State(row, hash_))
    lost.first(canonical(1), State(row, None))
    assert tally(source, newer, known).differing == set()
    assert tally(source, newer, lost).differing == {bucket}
    assert tally(source, newer, Behind(TARGETS[1])).differing == {bucket}
