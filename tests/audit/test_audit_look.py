"""An audit of a world that goes on: whatever the interleaving, no difference but those that were made."""

import msgspec
from audit_model import TARGETS, World, audited, stored
from hypothesis import given, settings
from hypothesis import strategies as st

keys, values, users = st.integers(0, 5), st.integers(0, 3), st.integers(1, 2)
changes = st.lists(st.tuples(keys, st.one_of(st.none(), st.tuples(values, users))), max_size=12)
steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "delete", "show", "publish", "deliver", "deliver"]), keys, values, users
    ),
    max_size=120,
)
OURS = range(100, 110)


def world_of(history: list[tuple[int, tuple[int, int] | None]], later: list[tuple[str, int, int, int]]) -> World:
    world = World()
    for key, row in history:
        world.commit(key, row)
    for key in OURS:
        world.commit(key, (key, 1))
    world.settle()
    world.steps = list(reversed(later))
    return world


@given(changes, steps)
@settings(max_examples=150)
def test_no_interleaving_makes_a_difference(
    history: list[tuple[int, tuple[int, int] | None]], later: list[tuple[str, int, int, int]]
) -> None:
    look = audited(world_of(history, later), rounds=100)
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
    changes, steps, st.dictionaries(st.sampled_from(OURS), st.tuples(st.integers(0, 1), st.sampled_from(TAMPERINGS)))
)
@settings(max_examples=150)
def test_every_tampering_is_found_and_nothing_else(
    history: list[tuple[int, tuple[int, int] | None]],
    later: list[tuple[str, int, int, int]],
    tamperings: dict[int, tuple[int, str]],
) -> None:
    world = world_of(history, later)
    made = {(store, *tamper(world, store, what, key)) for key, (store, what) in tamperings.items()}
    look = audited(world, rounds=100)
    found = {
        (side.number, finding.key.values[0], finding.found.class_) for side in look.sides for finding in side.findings
    }
    assert found == made


def test_a_store_that_is_away_is_undecided_and_the_other_is_audited() -> None:
    world = world_of([], [])
    world.stores[0].pop(("", 100))
    look = audited(world, away=True)
    assert [side.away for side in look.sides] == ["", "the store is away"]
    assert [side.different for side in look.sides] == [1, 0]


def test_a_key_that_never_holds_still_stays_undecided() -> None:
    world = world_of([], [])

    def busy() -> None:
        world.commit(100, (len(world.log), 1))
        world.visible = world.published = len(world.log)
        world.deliver(0)
        world.deliver(1)

    world.tick = busy  # type: ignore[method-assign]
    look = audited(world, rounds=3)
    assert [(side.different, look.digests.undecided(side.number)) for side in look.sides] == [(0, 1), (0, 1)]
