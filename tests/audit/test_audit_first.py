"""The first look in turns: cut anywhere, killed anywhere, it finds what one that was left alone does."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from audit_model import KEYS, SCHEMA, TARGETS, MiniFollower, MiniView, World, audited, sides_of
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.digests import Digests
from audit.look import Look
from audit.truth import RowsTruth
from changes.canonical import Value
from changes.errors import Transient
from changes.schema import Column, Kind, TableSchema

OURS = range(100, 108)
"""Keys that nobody writes."""


def world_of(seed: int, steps: int) -> World:
    world = World(rng=Random(seed))
    for key in OURS:
        world.commit(key, (key, 1))
    world.settle()
    world.steps = steps
    return world


@given(st.integers(0, 1 << 32), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_a_view_for_each_page_makes_no_difference(seed: int, steps: int) -> None:
    look = audited(world_of(seed, steps), rounds=100, turn=0.0)
    for side in look.sides:
        assert (side.findings, side.different, side.away) == ([], 0, "")
        assert look.digests.undecided(side.number) == 0
    assert look.source_rows >= len(OURS)


@dataclass(frozen=True)
class Dying(MiniView):
    """A view of a server that is lost once so many rows were read of it; ``read`` are their keys."""

    lasts: int = 0
    read: list[int] = field(default_factory=list)

    def pages(self, after: tuple[Value, ...] | None = None) -> Iterator[list[list[Value]]]:
        for columns in super().pages(after):
            if len(self.read) >= self.lasts:
                raise Transient("the connection is lost")
            self.read.append(int(str(columns[0][0])))
            yield columns


@dataclass
class Attempt:
    """An audit that may end early: its look, the keys that it read of MySQL, what it told."""

    world: World
    path: Path
    lasts: int = 1 << 30
    identity: str = "one"
    schema: TableSchema = SCHEMA
    read: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    died: bool = False

    def __post_init__(self) -> None:
        digests = Digests(self.path)
        self.look = Look(
            self.opening, self.world, MiniFollower(self.world), "t", sides_of(self.world), RowsTruth(TARGETS),
            timeout=1.0, keep=100, tell=self.told.append, digests=digests, identity=self.identity, turn=0.0,
        )  # fmt: skip
        try:
            asyncio.run(self.run())
            assert [digests.undecided(side.number) for side in self.look.sides] == [0, 0]
        except Transient:
            self.died = True
        finally:
            digests.close()

    async def run(self) -> None:
        await self.look.everything()
        await self.look.again(100, pause=0.0)
        self.look.digests.finish()

    @contextmanager
    def opening(self, covers: int) -> Iterator[MiniView]:
        with self.world.opening(covers) as view:
            yield Dying(view.held, view.offset, schema=self.schema, lasts=self.lasts, read=self.read)

    @property
    def found(self) -> list[tuple[str, int, str]]:
        return [
            (side.target.sink, int(str(finding.key.values[0])), finding.found.class_)
            for side in self.look.sides
            for finding in side.findings
        ]


def spoil(world: World) -> list[tuple[str, int, str]]:
    """Three of our rows, whatever has been read of MySQL by then."""
    first, second = world.stores
    (left,) = [identity for identity in first if identity[1] == OURS[0]]
    first[left] = msgspec.structs.replace(first[left], row=dict(first[left].row) | {"v": -1})
    (right,) = [identity for identity in second if identity[1] == OURS[-1]]
    del second[right]
    (last,) = [identity for identity in first if identity[1] == OURS[-1]]
    del first[last]
    return [("postgres", OURS[0], "altered"), ("postgres", OURS[-1], "missing"), ("sqlite", OURS[-1], "missing")]


@given(st.integers(0, 1 << 32), st.integers(0, 200), st.integers(1, len(OURS) - 1))
@settings(max_examples=40, deadline=None)
def test_an_audit_that_was_killed_is_gone_on_with_behind_what_was_read(seed: int, steps: int, lasts: int) -> None:
    with TemporaryDirectory() as folder:
        world, path = world_of(seed, steps), Path(folder) / "t.sqlite"
        killed = Attempt(world, path, lasts=lasts)
        assert len(killed.read) == lasts
        assert killed.died
        expected = spoil(world)
        for _ in range(50):
            world.tick()
        second = Attempt(world, path)
        assert sorted(second.found) == expected
        assert not second.read or second.read[0] > killed.read[-1]
        assert second.told[0] == f"t: an audit that was left is gone on with, {lasts} rows of MySQL are read"
        assert not path.exists()


def test_an_audit_that_was_killed_again_and_again_ends(tmp_path: Path) -> None:
    world, path = world_of(5, 400), tmp_path / "t.sqlite"
    expected = spoil(world)
    attempts = []
    while not attempts or attempts[-1].died:
        attempts.append(Attempt(world, path, lasts=1))
        assert len(attempts) < 40
    assert sorted(attempts[-1].found) == expected
    read = [key for one in attempts for key in one.read]
    assert read == sorted(set(read)), "no key was read twice"
    assert set(OURS) <= set(read) <= {*OURS, *range(KEYS)}


WIDER = TableSchema("d", "t", (*SCHEMA.columns[:2], Column("u", Kind.INTEGER, "bigint")), ("id",))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"identity": "another"}, "what is audited has changed"),
        ({"schema": WIDER}, "its columns have changed"),
    ],
)
def test_one_of_something_else_is_begun_anew_and_says_so(tmp_path: Path, other: dict[str, Any], why: str) -> None:
    world, path = world_of(5, 0), tmp_path / "t.sqlite"
    assert Attempt(world, path, lasts=3, **other).died
    expected = spoil(world)
    second = Attempt(world, path)
    assert second.told[-1] == f"t: the audit begins anew: {why}"
    assert set(OURS) <= set(second.read)
    assert sorted(second.found) == expected


def test_differences_that_were_named_before_it_was_killed_are_named_again(tmp_path: Path) -> None:
    world, path = world_of(5, 0), tmp_path / "t.sqlite"
    expected = spoil(world)

    @dataclass
    class KilledLate(Attempt):
        async def run(self) -> None:
            await self.look.everything()
            await self.look.again(100, pause=0.0)
            raise Transient("killed before it could tell")

    first = KilledLate(world, path)
    assert first.died
    assert sorted(first.found) == expected
    second = Attempt(world, path)
    assert second.read == []
    assert sorted(second.found) == expected
    assert [(side.compared, side.sink_rows) for side in second.look.sides] == [
        (side.compared, side.sink_rows) for side in first.look.sides
    ]
