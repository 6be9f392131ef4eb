"""Data quality: counts held against declared targets, and what is said of them. Pure.

A *part* is the least of which a share is told: a column, a rule, a place in a store, a lane. Each is held against its
measure's target by itself, so that many good rows elsewhere hide nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from changes.topology.quality import TargetsDecl

MeasureName = Literal["coverage", "completeness", "series", "consistency", "format", "logic", "freshness", "age"]
Standing = Literal["met", "missed", "undecided", "empty"]
"""``empty``: there was nothing to count, which speaks neither for nor against."""

MEASURES: Mapping[MeasureName, str] = {
    "coverage": "rows that are in a store, or have what should be made of them",
    "completeness": "values that are there, in columns that should be filled",
    "series": "intervals with a row, between the first row and the last",
    "consistency": "rows that are equal in all their stores",
    "format": "values that are what their column is declared to hold",
    "logic": "rows that fit together, and with their parents",
    "freshness": "changes that were visible within their tier's objective",
    "age": "lanes that are not too far behind",
}
"""What each measure counts, in the order in which they are told."""

EXAMPLES = 3
"""How many keys a part names at most."""

ExampleKey = Mapping[str, bool | int | float | str | None]


@dataclass(frozen=True)
class Counted:
    """What was counted of one part. Of ``total``, ``good`` are right and ``undecided`` may be either.

    ``total`` is ``None`` where nothing is known; then ``reason`` says why. ``table`` is "" for what is no table's.
    """

    measure: MeasureName
    table: str
    part: str
    good: int = 0
    total: int | None = None
    undecided: int = 0
    examples: Sequence[ExampleKey] = ()
    reason: str = ""


class Part(msgspec.Struct, frozen=True):
    """One part, judged. ``share`` is of what is decided; ``None`` where nothing is, as are unknown counts."""

    table: str
    part: str
    verdict: Standing
    share: float | None
    good: int | None
    total: int | None
    undecided: int | None
    examples: list[ExampleKey]
    reason: str


class Measure(msgspec.Struct, frozen=True):
    """One measure over all its parts. ``good`` and ``total`` are sums over the parts that are known."""

    measure: MeasureName
    verdict: Standing
    target: float
    share: float | None
    good: int
    total: int
    parts: list[Part]


class Quality(msgspec.Struct, frozen=True):
    """One version's quality; ``seconds`` is how long it took to measure."""

    verdict: Standing
    version: str
    seconds: float
    measures: list[Measure]


def standing(good: int, total: int | None, undecided: int, target: float) -> Standing:
    """Whether the share of ``good`` is ``target`` at least, whatever the undecided ones turn out to be."""
    if total is None:
        return "undecided"
    if total == 0:
        return "empty"
    if good / total >= target:
        return "met"
    return "missed" if (good + undecided) / total < target else "undecided"


def share(good: int, total: int | None, undecided: int) -> float | None:
    """Of what is decided."""
    decided = (total or 0) - undecided
    return round(good / decided, 6) if decided > 0 else None


def judged(counted: Iterable[Counted], targets: TargetsDecl) -> list[Measure]:
    """The measures of which there are parts, in the order of `MEASURES`."""
    by_measure: dict[MeasureName, list[Counted]] = {name: [] for name in MEASURES}
    for one in counted:
        by_measure[one.measure].append(one)
    return [_measure(name, found, target_of(name, targets)) for name, found in by_measure.items() if found]


def target_of(measure: MeasureName, targets: TargetsDecl) -> float:
    """The least share; every lane must be within the declared age."""
    return {
        "coverage": targets.coverage,
        "completeness": targets.completeness,
        "series": targets.series,
        "consistency": targets.consistency,
        "format": targets.format,
        "logic": targets.logic,
        "freshness": targets.freshness,
        "age": 1.0,
    }[measure]


def _measure(name: MeasureName, counted: Sequence[Counted], target: float) -> Measure:
    parts = [_part(one, target) for one in counted]
    known = [one for one in counted if one.total is not None]
    good, total = sum(one.good for one in known), sum(one.total or 0 for one in known)
    told = share(good, total, sum(one.undecided for one in known))
    return Measure(name, worst(part.verdict for part in parts), target, told, good, total, parts)


def _part(one: Counted, target: float) -> Part:
    known = one.total is not None
    return Part(
        one.table,
        one.part,
        standing(one.good, one.total, one.undecided, target),
        share(one.good, one.total, one.undecided),
        one.good if known else None,
        one.total,
        one.undecided if known else None,
        list(one.examples[:EXAMPLES]),
        one.reason,
    )


def worst(verdicts: Iterable[Standing]) -> Standing:
    """Missed where anything is, else undecided where anything is; nothing counted is no proof either."""
    found = set(verdicts) - {"empty"}
    if "missed" in found:
        return "missed"
    return "met" if found == {"met"} else "undecided"
