"""Acknowledged in order, whatever is done first."""

from hypothesis import given
from hypothesis import strategies as st

from streams.enrich.turns import Turn, Turns


@given(st.permutations(range(12)))
def test_what_is_acknowledged_is_always_a_beginning_of_what_came(order: list[int]) -> None:
    turns: Turns[int] = Turns()
    taken = [turns.take("p", 1, number, 1) for number in range(12)]
    acknowledged: list[int] = []
    for count, number in enumerate(order, 1):
        acknowledged += turns.done(taken[number])
        done = set(order[:count])
        assert acknowledged == [*range(next(n for n in range(13) if n not in done))]


def test_a_turn_is_done_when_all_its_parts_are() -> None:
    turns: Turns[str] = Turns()
    first, second = turns.take("p", 1, "a", 2), turns.take("p", 1, "b", 0)
    assert [*turns.done(second)] == []
    assert [*turns.done(first)] == []
    assert [*turns.done(first)] == ["a", "b"]


def test_queues_are_apart() -> None:
    turns: Turns[str] = Turns()
    turns.take("p", 1, "a", 1)
    other = turns.take("q", 1, "b", 1)
    assert [*turns.done(other)] == ["b"]


def test_a_new_generation_forgets_what_was_not_done() -> None:
    turns: Turns[str] = Turns()
    old: Turn[str] = turns.take("p", 1, "a", 1)
    new = turns.take("p", 2, "a", 1)
    assert [*turns.done(old)] == []
    assert [*turns.done(new)] == ["a"]
    assert [*turns.done(old)] == []
