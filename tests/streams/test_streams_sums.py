"""Capture's sums against a recount of the rows, for any history, any view, any crash."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from changes.canonical import BUCKETS, halves
from changes.progress import Bucket, SumsStep, TableSums
from streams.capture import sums
from streams.capture.batch import PlainBatch
from streams.capture.sums import STEP, Counts, Ledger, Told

TABLE, PRINT, LAYOUT = "t", "f" * 16, 3
Rows = dict[int, int]
"""By key, both as their hashes."""
Change = tuple[int | None, int | None]
"""(key before, key after): a change of key is one change."""


def recount(rows: Rows) -> dict[int, Bucket]:
    found: dict[int, Bucket] = {}
    for key, row in rows.items():
        count, high, low = found.get(key % BUCKETS, (0, 0, 0))
        more = halves(row)
        found[key % BUCKETS] = count + 1, high + more[0], low + more[1]
    return found


def told_of(topic: list[tuple[str, bytes]]) -> dict[int, Bucket] | None:
    told = Told()
    for key, value in topic:
        told.take(key, value)
    return told.tables[TABLE][1].buckets() if TABLE in told.tables else None


@dataclass
class World:
    """A table's history, a change a transaction; the ledger has taken in the first ``at`` and saved the first
    ``saved``. ``states`` holds the rows behind each."""

    rng: Random
    states: list[Rows] = field(default_factory=lambda: [{}])
    log: list[tuple[int | None, int | None, int | None, int | None]] = field(default_factory=list)
    topic: list[tuple[str, bytes]] = field(default_factory=list)
    at: int = 0
    saved: int = 0
    view: tuple[int, int] | None = None
    closed: list[int] | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(Told())

    def write(self) -> None:
        rows = dict(self.states[-1])
        old = self.rng.choice([None, *rows])
        new = self.rng.choice([None, old, self.rng.randrange(6) * 512])
        if new != old and new in rows:
            return
        row = self.rng.randrange(1 << 64)
        before = None if old is None else rows.pop(old)
        if new is not None:
            rows[new] = row
        self.log.append((old, before, new, None if new is None else row))
        self.states.append(rows)

    def read(self) -> None:
        changes = self.log[self.at : self.at + self.rng.randrange(1, 4)]
        batch = PlainBatch(changed=[(LAYOUT, *change) for change in changes] + [(LAYOUT + 1, None, None, 3, 3)])
        self.ledger.take(TABLE, PRINT, batch, LAYOUT)
        self.at += len(changes)

    def commit(self) -> None:
        self.topic += self.ledger.due()
        self.saved = self.at
        found = told_of(self.topic)
        assert found == (recount(self.states[self.saved]) if self.ledger.knows(TABLE) else None)

    def crash(self) -> None:
        told = Told()
        for key, value in self.topic:
            told.take(key, value)
        self.ledger, self.at = Ledger(told), self.saved
        self.view = self.closed = None

    def seed(self) -> None:
        """The next step of a table's reading, where one can be taken."""
        if self.view is None:
            if not self.ledger.knows(TABLE):
                self.ledger.open_window(TABLE)
                seen = self.rng.randrange(self.at, len(self.log) + 1)
                self.view = seen, self.rng.randrange(seen, len(self.log) + 1)
        elif self.closed is None:
            if self.at >= self.view[1]:
                keys = self.ledger.close_window(TABLE)
                self.closed = None if keys is None else list(keys)
                self.view = None if keys is None else self.view
        else:
            part = Counts()
            for key, row in self.states[self.view[0]].items():
                if key not in self.closed:
                    part.add(key, row)
            self.ledger.join(TABLE, part, PRINT)
            self.view = self.closed = None

    def forget(self) -> None:
        self.ledger.forget(TABLE)

    def steps(self, number: int) -> Iterator[None]:
        moves = [self.write, self.read, self.read, self.commit, self.seed, self.crash, self.forget]
        pace = [self.rng.randrange(1, 8) for _ in moves[:-2]] + [self.rng.randrange(2), self.rng.randrange(2)]
        for _ in range(number):
            self.rng.choices(moves, pace)[0]()
            yield


@given(st.integers(0, 1 << 32))
@settings(max_examples=300)
def test_any_history_view_and_crash_ends_in_a_recount(seed: int) -> None:
    world = World(Random(seed))
    for _ in world.steps(150):
        pass
    while world.at < len(world.log):
        world.read()
    while not world.ledger.knows(TABLE):
        world.seed()
    world.commit()
    assert told_of(world.topic) == recount(world.states[-1])


def test_what_was_hashed_of_other_columns_counts_no_more() -> None:
    ledger = Ledger(Told())
    ledger.open_window(TABLE)
    ledger.close_window(TABLE)
    assert ledger.join(TABLE, Counts(), PRINT)
    assert ledger.due() == [(TABLE, msgspec.json.encode(TableSums(TABLE, PRINT, {})))]
    assert not ledger.wants(TABLE, "0" * 16)
    assert ledger.due() == [(TABLE, msgspec.json.encode(TableSums(TABLE, "", None)))]


def test_a_view_of_other_columns_than_the_changes_is_not_joined() -> None:
    ledger = Ledger(Told())
    ledger.open_window(TABLE)
    assert ledger.wants(TABLE, PRINT)
    ledger.close_window(TABLE)
    assert not ledger.join(TABLE, Counts(), "0" * 16)
    assert not ledger.knows(TABLE)


def test_only_buckets_that_changed_are_told_and_now_and_then_all() -> None:
    ledger = Ledger(Told())
    ledger.open_window(TABLE)
    ledger.change(TABLE, None, None, 5, 1 << 32 | 7)
    ledger.close_window(TABLE)
    ledger.join(TABLE, Counts(), PRINT)
    ledger.due()
    told = []
    for number in range(sums.FULL_EVERY + 1):
        ledger.change(TABLE, None, None, 6 + 1024 * number, 1)
        told.append([key for key, _ in ledger.due()])
    assert told == [[f"{STEP}{number}"] for number in range(sums.FULL_EVERY)] + [[TABLE]]
    ledger.change(TABLE, 5, 1 << 32 | 7, None, None)
    ((key, value),) = ledger.due()
    assert (key, value) == (f"{STEP}{sums.FULL_EVERY}", msgspec.json.encode(SumsStep({TABLE: {5: (0, 0, 0)}})))
    assert ledger.due() == []


def test_step_keys_come_again_only_behind_what_replaces_them() -> None:
    assert sums.RING >= 2 * sums.FULL_EVERY
