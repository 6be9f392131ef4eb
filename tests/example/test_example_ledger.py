"""The ledger's bookkeeping, against a plain replay of its steps."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tailrace.example.ledger import Entry, delete, next_step, rekey, touch

IDS = range(1, 6)


def test_first_touch_creates_with_one() -> None:
    step = touch(Entry(7), "x", 3)
    assert step.after == (Entry(7, n=1, alive=True, changes=1),)
    assert step.statements[0].text.startswith("INSERT INTO `tr_ledger`")
    assert step.statements[0].values == (7, 1, "x", 3)
    assert step.statements[1].values == (1, 1, 1, 7)
    assert [statement.bookkeeping for statement in step.statements] == [False, True]


def test_next_touch_updates() -> None:
    step = touch(Entry(7, n=4, alive=True, changes=5), None, 3)
    assert step.after == (Entry(7, n=5, alive=True, changes=6),)
    assert "`n` = `n` + 1" in step.statements[0].text


def test_a_second_life_counts_on() -> None:
    dead = delete(Entry(7, n=4, alive=True, changes=4)).after[0]
    assert dead == Entry(7, n=4, alive=False, changes=5)
    assert touch(dead, None, 3).after == (Entry(7, n=5, alive=True, changes=6),)


def test_a_key_change_ends_one_life_and_begins_another() -> None:
    step = rekey(Entry(1, n=3, alive=True, changes=3), Entry(2, n=8, alive=False, changes=9))
    assert step.after == (Entry(1, n=3, alive=False, changes=4), Entry(2, n=9, alive=True, changes=10))
    assert step.statements[0].values == (2, 9, 1)


@given(st.integers(0, 2**32), st.integers(1, 400))
def test_the_numbers_of_a_key_have_no_gap_and_no_repeat(seed: int, steps: int) -> None:
    """Replays the statements on a dict as MySQL would, and looks at what a topic would hold."""
    rng = random.Random(seed)
    truth = {row_id: Entry(row_id) for row_id in IDS}
    table: dict[object, int] = {}
    topic: dict[object, list[int | None]] = {row_id: [] for row_id in IDS}
    for _ in range(steps):
        first, other = rng.sample(IDS, 2)
        step = next_step(rng, truth[first], truth[other], users=9)
        for statement in step.statements:
            values = statement.values
            if statement.bookkeeping:
                continue
            if statement.text.startswith("INSERT"):
                assert values[0] not in table
                table[values[0]] = int(values[1] or 0)
                topic[values[0]].append(table[values[0]])
            elif statement.text.startswith("DELETE"):
                del table[values[0]]
                topic[values[0]].append(None)
            elif "SET `id`" in statement.text:
                del table[values[2]]
                assert values[0] not in table
                table[values[0]] = int(values[1] or 0)
                topic[values[2]].append(None)
                topic[values[0]].append(table[values[0]])
            else:
                table[values[2]] += 1
                topic[values[2]].append(table[values[2]])
        truth.update({entry.id: entry for entry in step.after})
    for row_id, records in topic.items():
        numbers = [n for n in records if n is not None]
        assert numbers == list(range(1, truth[int(str(row_id))].n + 1))
        assert len(records) == truth[int(str(row_id))].changes
    assert table == {entry.id: entry.n for entry in truth.values() if entry.alive}
