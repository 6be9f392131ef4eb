"""Conformance, the guard: whatever order, repetition and portion changes come in, a row is as its newest one says."""

import itertools

from conformance import Stage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changes.position import LAST_GENERATION


async def test_the_same_batch_twice_is_as_once(stage: Stage) -> None:
    batch = [stage.put(10, id=1, user_id=1, title="a"), stage.put(11, id=2, user_id=2, title="b")]
    assert await stage.write(*batch) == ["applied", "applied"]
    once = await stage.all()
    assert await stage.write(*batch) == ["applied", "applied"]
    assert await stage.all() == once


async def test_an_older_change_is_stale(stage: Stage) -> None:
    assert await stage.write(stage.put(20, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(19, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(18, id=1, user_id=1)) == ["stale"]
    assert await stage.titles() == {1: "new"}


async def test_positions_that_are_one_as_doubles_are_told_apart(stage: Stage) -> None:
    position = 2**62 + 1
    assert float(position) == float(position - 1)
    assert await stage.write(stage.put(position, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(position - 1, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(position - 1, id=1, user_id=1)) == ["stale"]
    assert await stage.write(stage.gone(position + 1, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(position, id=1, user_id=1, title="late")) == ["stale"]


async def test_an_equal_position_lands(stage: Stage) -> None:
    await stage.write(stage.put(20, id=1, user_id=1, title="first"))
    assert await stage.write(stage.put(20, id=1, user_id=1, title="repaired")) == ["applied"]
    assert await stage.titles() == {1: "repaired"}
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(20, id=1, user_id=1, title="again")) == ["applied"]
    assert await stage.titles() == {1: "again"}


async def test_an_older_generation_loses_whatever_its_position(stage: Stage) -> None:
    await stage.write(stage.put(20, generation=2, id=1, user_id=1, title="new"))
    assert await stage.write(stage.put(30, generation=1, id=1, user_id=1, title="old")) == ["stale"]
    assert await stage.write(stage.gone(30, generation=1, id=1, user_id=1)) == ["stale"]
    assert await stage.write(stage.put(19, generation=2, id=1, user_id=1, title="old")) == ["stale"]
    held = await stage.held(id=1, user_id=1)
    assert held is not None
    assert (held.row["title"], held.generation, held.position) == ("new", 2, 20)


async def test_a_newer_generation_wins_whatever_its_position(stage: Stage) -> None:
    await stage.write(stage.put(30, generation=9, id=1, user_id=1, title="old"))
    assert await stage.write(stage.put(20, generation=10, id=1, user_id=1, title="new")) == ["applied"]
    assert await stage.write(stage.put(20, generation=10, id=1, user_id=1, title="same")) == ["applied"]
    assert await stage.titles() == {1: "same"}
    last = stage.put(1, generation=LAST_GENERATION, id=1, user_id=1, title="last")
    assert await stage.write(last) == ["applied"]
    (held,) = await stage.all()
    assert (held.generation, held.position) == (LAST_GENERATION, 1)


async def test_a_tombstone_is_of_its_generation(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1}
    await stage.write(stage.put(30, generation=1, **row))
    assert await stage.write(stage.gone(20, generation=2, **row)) == ["applied"]
    assert await stage.all() == []
    assert await stage.write(stage.put(40, generation=1, **row)) == ["stale"]
    assert await stage.write(stage.gone(40, generation=1, **row)) == ["stale"]
    assert await stage.write(stage.put(19, generation=2, **row)) == ["stale"]
    assert await stage.write(stage.put(20, generation=2, **row)) == ["applied"]
    assert await stage.write(stage.gone(10, generation=3, **row), stage.put(5, generation=4, **row)) == ["applied"] * 2
    assert [held.generation for held in await stage.all()] == [4]


async def test_the_guard_yields_at_exactly_the_position_that_a_record_names(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1, "title": "right"}
    await stage.write(stage.put(1 << 62, **row | {"title": "wrong"}))
    assert await stage.write(stage.put(20, **row)) == ["stale"]
    assert await stage.write(stage.put(20, over=(1 << 62) - 1, **row)) == ["stale"]
    assert await stage.write(stage.gone(20, over=(1 << 62) - 1, **row)) == ["stale"]
    assert await stage.write(stage.put(20, over=1 << 62, **row)) == ["applied"]
    (held,) = await stage.all()
    assert (held.row["title"], held.position) == ("right", 20)
    assert await stage.write(stage.put(19, **row), stage.gone(19, **row)) == ["stale"] * 2


async def test_the_guard_yields_to_a_delete_too_and_a_tombstone_to_a_row(stage: Stage) -> None:
    row = {"id": 1, "user_id": 1, "title": "right"}
    await stage.write(stage.put(1 << 62, generation=9, **row))
    assert await stage.write(stage.gone(20, over=1 << 62, **row)) == ["applied"]
    assert await stage.all() == []
    assert await stage.write(stage.put(19, **row)) == ["stale"]
    await stage.write(stage.gone(1 << 62, **row))
    assert await stage.write(stage.put(21, **row)) == ["stale"]
    assert await stage.write(stage.put(21, over=1 << 62, **row)) == ["applied"]
    assert [held.position for held in await stage.all()] == [21]


async def test_within_a_batch_the_newest_generation_wins(stage: Stage) -> None:
    outcomes = await stage.write(
        stage.put(10, generation=2, id=1, user_id=1, title="new"),
        stage.put(90, generation=1, id=1, user_id=1, title="late"),
    )
    assert outcomes == ["applied", "stale"]
    assert await stage.titles() == {1: "new"}


async def test_a_late_upsert_does_not_resurrect_a_deleted_row(stage: Stage) -> None:
    await stage.write(stage.put(10, id=1, user_id=1, title="a"))
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(15, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.held(id=1, user_id=1) is None
    assert await stage.all() == []


async def test_a_delete_of_a_row_that_never_came_is_remembered(stage: Stage) -> None:
    assert await stage.write(stage.gone(20, id=1, user_id=1)) == ["applied"]
    assert await stage.write(stage.put(19, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.write(stage.gone(18, id=1, user_id=1)) == ["stale"]
    assert await stage.all() == []


async def test_an_upsert_newer_than_the_tombstone_brings_the_row_back(stage: Stage) -> None:
    await stage.write(stage.gone(20, id=1, user_id=1))
    assert await stage.write(stage.put(21, id=1, user_id=1, title="back")) == ["applied"]
    assert await stage.titles() == {1: "back"}
    assert await stage.write(stage.put(20, id=1, user_id=1, title="late")) == ["stale"]
    assert await stage.write(stage.gone(22, id=1, user_id=1)) == ["applied"]
    assert await stage.all() == []


async def test_several_changes_of_one_row_in_a_batch_end_in_the_last(stage: Stage) -> None:
    outcomes = await stage.write(
        stage.put(10, id=1, user_id=1, title="a"),
        stage.put(11, id=2, user_id=1, title="neighbour"),
        stage.gone(12, id=1, user_id=1),
        stage.put(13, id=1, user_id=1, title="b"),
        stage.put(13, id=1, user_id=1, title="c"),
        stage.put(9, id=1, user_id=1, title="late"),
    )
    assert outcomes == ["applied"] * 5 + ["stale"]
    assert await stage.titles() == {1: "c", 2: "neighbour"}


async def test_a_row_that_moves_leaves_nothing_where_it_was(stage: Stage) -> None:
    old = {"id": 1, "user_id": 1, "title": "a"}
    await stage.write(stage.put(10, **old))
    moved = stage.put(11, before=old, id=1, user_id=2, title="a")
    assert set(await stage.write(moved)) == {"applied"}
    assert await stage.write(stage.put(10, **old)) == ["stale"]
    assert [row.row["user_id"] for row in await stage.all()] == [2]


_examples = itertools.count()
_step = st.tuples(st.integers(0, 2), st.one_of(st.none(), st.text("abc", max_size=2)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(_step, min_size=1, max_size=8))
async def test_any_order_repetition_and_portion_of_a_history_ends_in_its_last_state(
    shared: Stage, data: st.DataObject, history: list[tuple[int, str | None]]
) -> None:
    first = next(_examples) * 10
    changes, wanted = [], {}
    for position, (which, title) in enumerate(history, 1):
        row = {"id": first + which, "user_id": 1, "title": title}
        changes.append(shared.gone(position, **row) if title is None else shared.put(position, **row))
        wanted[first + which] = None if title is None else (title, position)
    repeated = changes + data.draw(st.lists(st.sampled_from(changes), max_size=4))
    arrived = data.draw(st.permutations(repeated))
    while arrived:
        size = data.draw(st.integers(1, len(arrived)))
        await shared.write(*arrived[:size])
        arrived = arrived[size:]
    for id_, expected in wanted.items():
        held = await shared.held(id=id_, user_id=1)
        assert (None if held is None else (held.row["title"], held.position)) == expected
