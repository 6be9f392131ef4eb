"""The quick audit of what was made of rows, in a world that goes on: sums, chains of proof, and what is remembered."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from audit_made_model import GENERATION, MADE_SCHEMA, MADE_TARGETS, MiniRecord, begun, identity_of, kept, spoilt
from audit_quick_model import QuickWorld, audited_quickly
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.compare import explained
from audit.kept import LIFETIME
from audit.look import Look
from changes.canonical import bucket_of
from changes.key import key_of
from changes.progress import Bucket
from streams.marks import Mark

OURS = range(100, 107)
"""Keys that nobody writes."""


def quick_world(seed: int, *, steps: int) -> QuickWorld:
    return begun(QuickWorld(), seed, steps=steps, ours=OURS)


def still() -> QuickWorld:
    world = quick_world(1, steps=0)
    world.settle()
    return world


def found_in(look: Look) -> set[tuple[int, object, str]]:
    return {
        (side.number, finding.key.values[0], explained(finding.found, finding.last).class_)
        for side in look.sides
        for finding in side.findings
    }


@given(st.integers(0, 1 << 32), st.integers(0, 300))
@settings(max_examples=300)
def test_no_interleaving_makes_a_difference(seed: int, steps: int) -> None:
    world = quick_world(seed, steps=steps)
    look = audited_quickly(world).look
    for side in look.sides:
        assert (side.findings, side.different, side.away) == ([], 0, "")
        assert look.digests.undecided(side.number) == 0
        assert side.compared >= len(OURS)
    assert world.views == 1, "sums said all: MySQL was asked for its columns only"


IN_STORE = ("missing", "altered", "older", "extra", "misplaced", "beyond")


def tamper(world: QuickWorld, store: int, what: str, key: int) -> tuple[int, str]:
    """Spoil one stored row that nobody writes, so that sums show it; the id and class that an audit must find."""
    found = spoilt(world, store, what, key)
    if found is not None:
        return found
    held, identity = world.stores[store], identity_of(world, store, key)
    row = held[identity]
    other_row = kept(MADE_TARGETS[store], key, (key + 500, 1), row.position if what == "altered" else 1)
    held[identity] = other_row
    return key, "altered" if what == "altered" else "stale"


@given(
    st.integers(0, 1 << 32),
    st.integers(0, 300),
    st.dictionaries(st.sampled_from(OURS), st.tuples(st.integers(0, 1), st.sampled_from(IN_STORE))),
)
@settings(max_examples=300)
def test_every_tampering_that_sums_show_is_found_and_nothing_else(
    seed: int, steps: int, tamperings: dict[int, tuple[int, str]]
) -> None:
    world = quick_world(seed, steps=steps)
    made = {(store, *tamper(world, store, what, key)) for key, (store, what) in tamperings.items()}
    assert found_in(audited_quickly(world).look) == made


@pytest.mark.parametrize(
    ("spoil", "class_"),
    [
        (lambda one: replace(one, generation=GENERATION - 1), "wrong generation"),
        (lambda one: replace(one, row=(77, 1)), "stale"),
        (lambda one: replace(one, row=(OURS[0], 2)), "stale"),
        (lambda one: replace(one, row=None), "missing"),
    ],
)
def test_what_the_topic_says_is_held_against_the_row(spoil: Callable[[MiniRecord], MiniRecord], class_: str) -> None:
    world = still()
    (at,) = [number for number, one in enumerate(world.said) if one.id == OURS[0]]
    world.said[at] = spoil(world.said[at])
    world.stores, world.applied = [{}, {}], [0, 0]
    world.settle()
    assert found_in(audited_quickly(world).look) == {(store, OURS[0], class_) for store in (0, 1)}


def verdicts(look: Look) -> list[tuple[int, str]]:
    return [(side.different, side.away) for side in look.sides]


EQUAL = [(0, ""), (0, "")]


def test_the_next_audit_reads_what_has_come_since(tmp_path: Path) -> None:
    world, memory = still(), tmp_path / "v" / "t.made.sqlite"
    first = audited_quickly(world, memory)
    for number in range(3):
        world.commit(number, (number, 2))
    world.settle()
    second = audited_quickly(world, memory)
    assert (first.taken, second.taken) == (len(world.log) - 3, 3)
    assert (verdicts(first.look), verdicts(second.look)) == (EQUAL, EQUAL)
    assert tamper(world, 0, "altered", OURS[0]) == (OURS[0], "altered")
    assert found_in(audited_quickly(world, memory).look) == {(0, OURS[0], "altered")}


def spoil_file(memory: Path, statement: str) -> None:
    with closing(sqlite3.connect(memory)) as db:
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda memory: memory.unlink(),
        lambda memory: memory.write_bytes(b"no database at all" * 100),
        lambda memory: memory.write_bytes(memory.read_bytes()[:4096] + bytes(len(memory.read_bytes()) - 4096)),
        lambda memory: spoil_file(memory, "DELETE FROM memory"),
        lambda memory: spoil_file(memory, "UPDATE memory SET told = 'what'"),
        lambda memory: spoil_file(memory, "DELETE FROM said"),
        lambda memory: spoil_file(memory, "UPDATE said SET high = 1"),
        lambda memory: spoil_file(memory, "UPDATE said SET basis = x''"),
        lambda memory: spoil_file(memory, "UPDATE asked SET low = 1"),
        lambda memory: spoil_file(memory, "DELETE FROM asked"),
    ],
    ids=["absent", "no database", "damaged", "nothing told", "nonsense", "said", "hash", "basis", "row hash", "rows"],
)
def test_a_memory_that_is_wrong_is_no_difference_and_is_made_anew(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    world, memory = still(), tmp_path / "t.made.sqlite"
    audited_quickly(world, memory)
    spoil(memory)
    assert verdicts(audited_quickly(world, memory).look) == EQUAL
    again = audited_quickly(world, memory)
    assert (again.taken, verdicts(again.look)) == (0, EQUAL)


@pytest.mark.parametrize(("identity", "later"), [("another", 1.0), ("i", LIFETIME), ("i", -1.0)])
def test_a_memory_of_something_else_or_of_old_is_not_gone_on_with(tmp_path: Path, identity: str, later: float) -> None:
    world, memory = still(), tmp_path / "t.made.sqlite"
    audited_quickly(world, memory, now=1e9)
    again = audited_quickly(world, memory, now=1e9 + later, identity=identity)
    assert (again.taken, verdicts(again.look)) == (len(world.log), EQUAL)


def test_two_audits_at_once_do_not_share_a_memory(tmp_path: Path) -> None:
    world, memory = still(), tmp_path / "t.made.sqlite"
    audited_quickly(world, memory)
    with closing(sqlite3.connect(memory, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = audited_quickly(world, memory)
    assert (found.taken, verdicts(found.look)) == (len(world.log), EQUAL)
    assert audited_quickly(world, memory).taken == 0


def test_a_count_that_nothing_explains_is_no_verdict() -> None:
    class Miscounted(QuickWorld):
        def counted(self, table: str, deadline: float) -> tuple[Mark, dict[int, Bucket]]:
            mark, found = super().counted(table, deadline)
            bucket = bucket_of(key_of(MADE_SCHEMA, {"id": OURS[0]}).canonical)
            return mark, found | {bucket: (found[bucket][0] + 1, *found[bucket][1:])}

    world = begun(Miscounted(), 1, steps=0, ours=OURS)
    world.settle()
    look = audited_quickly(world).look
    reason = "1 buckets of its table's topic differ from what capture counted, and none of their rows does"
    assert [(side.different, side.away.partition(":")[0]) for side in look.sides] == [(0, reason)] * 2
