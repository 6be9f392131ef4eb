"""An audit of a world that goes on: whatever the interleaving, no difference but those that were made."""

from random import Random

import msgspec
from audit_model import TARGETS, World, audited, stored
from hypothesis import given, settings
from hypothesis import strategies as st

OURS = range(100, 106)
"""Keys that nobody writes."""


def world_of(seed: int, *, steps: int) -> World:
    """A world whose lane may be anywhere behind its history when the audit begins."""
    world = World(rng=Random(seed))
    for key in OURS:
        world.commit(key, (key, 1))
    world.settle()
    world.steps = steps
    world.pace = [world.rng.randrange(1, 8) for _ in world.pace]
    for _ in range(world.rng.randrange(30)):
        world.tick()
    return world


@given(st.integers(0, 1 << 32), st.integers(0, 300))
@settings(max_examples=200)
def test_no_interleaving_makes_a_difference(seed: int, steps: int) -> None:
    look = audited(world_of(seed, steps=steps), rounds=100)
    for side in look.sides:
        assert (side.findings, side.different, side.away) == ([], 0, "")
        assert look.digests.undecided(side.number) == 0


TAMPERINGS = ("missing", "altered", "extra", "misplaced", "old mapping", "stale", "beyond")


def tamper(world: World, store: int, what: str, key: int) -> tuple[int, str]:
    """Spoil one row that nobody writes; the id and class that an audit must find."""
    held, one = world.stores[store], TARGETS[store]
    (identity,) = [identity for identity in held if identity[1] == key]
    row = held[identity]
    if what == "missing":
        del held[identity]
    elif what == "altered":
        held[identity] = msgspec.structs.replace(row, row=dict(row.row) | {"v": -1})
    elif what in {"extra", "misplaced"}:
        new = stored(one, key if what == "misplaced" else key + 1000, (1, 2), 1)
        held[new.place, key if what == "misplaced" else key + 1000] = new
        if one.sink == "postgres" and what == "misplaced":
            return key, "altered"
        return (key if what == "misplaced" else key + 1000), "extra"
    elif what == "old mapping":
        held[identity] = msgspec.structs.replace(row, mapping=1)
    elif what == "stale":
        held[identity] = msgspec.structs.replace(row, hash=row.hash ^ 1)
    else:
        held[identity] = msgspec.structs.replace(row, position=1 << 62)
        return key, "impossible position"
    return key, what


@given(
    st.integers(0, 1 << 32),
    st.integers(0, 300),
    st.dictionaries(st.sampled_from(OURS), st.tuples(st.integers(0, 1), st.sampled_from(TAMPERINGS))),
)
@settings(max_examples=200)
def test_every_tampering_is_found_and_nothing_else(
    seed: int, steps: int, tamperings: dict[int, tuple[int, str]]
) -> None:
    world = world_of(seed, steps=steps)
    made = {(store, *tamper(world, store, what, key)) for key, (store, what) in tamperings.items()}
    look = audited(world, rounds=100)
    found = {
        (side.number, finding.key.values[0], finding.found.class_) for side in look.sides for finding in side.findings
    }
    assert found == made


def test_a_store_that_is_away_is_undecided_and_the_other_is_audited() -> None:
    world = world_of(0, steps=0)
    world.stores[0].pop(("", 100))
    look = audited(world, away=True)
    assert [side.away for side in look.sides] == ["", "the store is away"]
    assert [side.different for side in look.sides] == [1, 0]


def test_a_key_that_never_holds_still_stays_undecided() -> None:
    world = world_of(0, steps=0)

    def busy() -> None:
        world.commit(100, (len(world.log), 1))
        world.visible = world.published = len(world.log)
        world.deliver(0)
        world.deliver(1)

    world.tick = busy  # type: ignore[method-assign]
    look = audited(world, rounds=3)
    assert [(side.different, look.digests.undecided(side.number)) for side in look.sides] == [(0, 1), (0, 1)]
