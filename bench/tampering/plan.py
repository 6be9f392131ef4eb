"""Which rows of which stores are spoilt, how, and what an audit must say of it: pure.

Rows are spoilt that nobody else writes, so that nothing but a repair mends them, and each once only.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from audit.report import Class
from changes.target import Edge, Target
from changes.topology import Topology
from changes.topology.model import EmbedDecl

FIRST = 5_000_001
"""The least first key value of the rows that are spoilt; the generator and the traffic number theirs from 1."""

Kind = Literal[
    "altered", "deleted", "extra", "put back", "vector swapped", "relationship removed", "lifetime given",
    "position raised",
]  # fmt: skip
CLASSES: Mapping[Kind, Class] = {
    "altered": "altered",
    "deleted": "missing",
    "extra": "extra",
    "put back": "stale",
    "vector swapped": "altered",
    "relationship removed": "altered",
    "lifetime given": "altered",
    "position raised": "impossible position",
}
_BESIDE_THE_SUMS: frozenset[Kind] = frozenset({"altered", "vector swapped", "relationship removed", "lifetime given"})
"""What leaves positions and hashes as they are: a quick audit has nothing to see there."""

Where = tuple[str, str, int]
"""(sink, table as reports call it, first value of the key)."""


class Planted(NamedTuple):
    """The rows of one table that can be spoilt: copies of one of its rows.

    ``texts`` are columns of text, of which the first tells the copies apart and is read by whatever is made of them;
    ``unique`` are others that MySQL wants to be unique.
    """

    texts: tuple[str, ...]
    unique: tuple[str, ...] = ()


PLANTED: Mapping[str, Planted] = {
    "users": Planted(("username",), ("user_id", "email")),
    "user_profiles": Planted(("bio",)),
    "resumes": Planted(("title",)),
    "resume_skills": Planted(("skill_name",)),
    "companies": Planted(("name",)),
    "jobs": Planted(("title",)),
    "ai_conversations": Planted(("user_input", "model_name")),
    "ai_analysis_results": Planted(("input_content",)),
    "ai_service_configs": Planted(("model_name",), ("service_name",)),
    "dao_proposals": Planted(("title",)),
    "dao_votes": Planted(("reason",)),
    "dao_points": Planted(("note",)),
    "company_ratings": Planted(("agency",)),
    "company_risks": Planted(("description",)),
    "company_compliance": Planted(("regulation",)),
}
MADE = "provider"
"""The column of text that all results have."""


@dataclass(frozen=True)
class Spot:
    """One row of one target, and what is done to it. ``number`` is the first value of its key, ``other`` that of the
    row which comes out of it (``extra``) or lends it its vector (``vector swapped``), else 0; ``column`` is what is
    changed."""

    target: Target
    kind: Kind
    number: int
    other: int = 0
    column: str = ""

    @property
    def where(self) -> Where:
        found = self.other if self.kind == "extra" else self.number
        return self.target.sink, self.target.table, found


def planned(topology: Topology, version: str, rng: random.Random, number: int) -> list[Spot]:
    """``number`` spots: every sink as often, and in each every kind that there can be."""
    numbers = itertools.count(FIRST)
    return [
        Spot(target, kind, next(numbers), next(numbers) if kind in _TWO else 0, _column(topology, target, kind))
        for target, kind in itertools.islice(_turns(topology, version, rng), number)
    ]


_TWO: frozenset[Kind] = frozenset({"extra", "vector swapped"})


def _turns(topology: Topology, version: str, rng: random.Random) -> Iterator[tuple[Target, Kind]]:
    """One sink after the other, each with the kind that is its turn and a target that takes it; for ever."""
    taking: dict[str, dict[Kind, list[Target]]] = {}
    for target in topology.every_target(version):
        if target.source in PLANTED and target.keep == "mirror":  # what has a lifetime may go by itself
            for kind in _kinds(topology, target):
                taking.setdefault(target.sink, {}).setdefault(kind, []).append(target)
    turns = {sink: itertools.cycle(rng.sample(list(kinds), len(kinds))) for sink, kinds in taking.items()}
    while turns:
        for sink, kinds in turns.items():
            kind = next(kinds)
            yield rng.choice(taking[sink][kind]), kind


def _kinds(topology: Topology, target: Target) -> Iterator[Kind]:
    yield from ("altered", "deleted", "put back", "position raised")
    if target.user not in target.key:  # else it would be a file of its own
        yield "extra"
    if _vectors(topology, target):
        yield "vector swapped"
    if target.edges:
        yield "relationship removed"
    if target.sink == "redis":
        yield "lifetime given"


def _vectors(topology: Topology, target: Target) -> list[str]:
    """The vectors that are made of what tells the planted rows apart."""
    made = None if target.of is None else topology.tables[target.source].enrich[target.of]
    told = PLANTED[target.source].texts[0]
    return [name for name, read in made.vectors.items() if told in read] if isinstance(made, EmbedDecl) else []


def _column(topology: Topology, target: Target, kind: Kind) -> str:
    if kind == "vector swapped":
        return _vectors(topology, target)[0]
    if target.of is not None:
        return MADE
    received = (name for name in PLANTED[target.source].texts if target.only is None or name in target.only)
    return next(received)


def numbers_of(spots: Sequence[Spot]) -> dict[str, list[int]]:
    """The rows that must be in MySQL, by table."""
    found: dict[str, list[int]] = {}
    for spot in spots:
        lending = [spot.other] if spot.kind == "vector swapped" else []
        found.setdefault(spot.target.source, []).extend([spot.number, *lending])
    return found


def in_the_sums(spots: Sequence[Spot]) -> dict[Where, Class]:
    """What a quick audit must find."""
    return {spot.where: CLASSES[spot.kind] for spot in spots if spot.kind not in _BESIDE_THE_SUMS}


def expected(spots: Sequence[Spot], targets: Sequence[Target]) -> dict[Where, Class]:
    """What a deep audit must find.

    A node that is deleted takes along the relationships to it that other rows made: those rows' are broken too.
    """
    found: dict[Where, Class] = {}
    for spot in spots:
        found[spot.where] = CLASSES[spot.kind]
        for other in targets if spot.kind == "deleted" else ():
            if other.sink == spot.target.sink and any(_leads(edge, other, spot.target) for edge in other.edges):
                found[other.sink, other.table, spot.number] = "altered"
    return found


def _leads(edge: Edge, other: Target, target: Target) -> bool:
    """Whether ``edge`` leads from what was made of a row to the row's own node."""
    return other.source == target.source and (edge.end, (edge.end_key,)) == (target.place, target.key)
