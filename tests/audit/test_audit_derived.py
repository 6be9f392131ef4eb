"""An audit of what was made of rows, in a world that goes on: no difference but those that were made."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from audit_made_model import (
    GENERATION,
    MadeWorld,
    MiniRecord,
    audited_made,
    identity_of,
    made_world,
    spoilt,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.compare import explained

OURS = range(100, 107)
"""Keys that nobody writes."""


@given(st.integers(0, 1 << 32), st.integers(0, 300))
@settings(max_examples=200)
def test_no_interleaving_makes_a_difference(seed: int, steps: int) -> None:
    look = audited_made(made_world(seed, steps=steps, ours=OURS))
    for side in look.sides:
        assert (side.findings, side.different, side.away) == ([], 0, "")
        assert look.digests.undecided(side.number) == 0


IN_STORE = ("missing", "altered", "swapped", "extra", "misplaced", "wrong generation", "old mapping", "beyond")


def tamper(world: MadeWorld, store: int, what: str, key: int) -> tuple[int, str]:
    """Spoil one stored row that nobody writes; the id and class that an audit must find."""
    found = spoilt(world, store, what, key)
    if found is not None:
        return found
    held, identity = world.stores[store], identity_of(world, store, key)
    row = held[identity]
    changed = {
        "altered": msgspec.structs.replace(row, row=dict(row.row) | {"m": [float(key), 0.25]}),
        "swapped": msgspec.structs.replace(row, row=dict(row.row) | {"m": [float(key + 1), 0.5]}),
        "wrong generation": msgspec.structs.replace(row, generation=GENERATION - 1),
        "old mapping": msgspec.structs.replace(row, mapping=1),
    }
    held[identity] = changed[what]
    return key, "altered" if what == "swapped" else what


@given(
    st.integers(0, 1 << 32),
    st.integers(0, 300),
    st.dictionaries(st.sampled_from(OURS), st.tuples(st.integers(0, 1), st.sampled_from(IN_STORE))),
)
@settings(max_examples=200)
def test_every_tampering_in_a_store_is_found_and_nothing_else(
    seed: int, steps: int, tamperings: dict[int, tuple[int, str]]
) -> None:
    world = made_world(seed, steps=steps, ours=OURS)
    made = {(store, *tamper(world, store, what, key)) for key, (store, what) in tamperings.items()}
    look = audited_made(world)
    found = {
        (side.number, finding.key.values[0], explained(finding.found, finding.last).class_)
        for side in look.sides
        for finding in side.findings
    }
    assert found == made


@pytest.mark.parametrize(
    ("spoil", "class_"),
    [
        (lambda one: replace(one, generation=GENERATION - 1), "wrong generation"),
        (lambda one: replace(one, row=(77, 1)), "stale"),
        (lambda one: replace(one, row=(OURS[0], 2)), "stale"),
        (lambda one: replace(one, row=None), "missing"),
        (lambda one: replace(one, id=one.id + 1000), "missing"),
    ],
)
def test_what_the_topic_says_is_held_against_the_row(spoil: Callable[[MiniRecord], MiniRecord], class_: str) -> None:
    world = made_world(1, steps=0, ours=OURS)
    world.settle()
    (at,) = [number for number, one in enumerate(world.said) if one.id == OURS[0]]
    was = world.said[at]
    world.said[at] = spoil(was)
    world.stores, world.applied = [{}, {}], [0, 0]
    world.settle()
    look = audited_made(world)
    found = {(finding.key.values[0], finding.found.class_) for side in look.sides for finding in side.findings}
    assert (OURS[0], class_) in found
    assert all(key in {OURS[0], OURS[0] + 1000} for key, _ in found)


def test_a_record_of_a_row_that_is_gone_is_a_difference_though_no_store_holds_it() -> None:
    world = made_world(1, steps=0, ours=OURS)
    world.settle()
    world.said.append(MiniRecord(len(world.said), 5000, (1, 1), 5))
    world.applied = [len(world.said)] * 2
    look = audited_made(world)
    assert [[(one.key.values[0], one.found.class_) for one in side.findings] for side in look.sides] == [
        [(5000, "extra")],
        [(5000, "extra")],
    ]
