"""What an audit and the lanes tell of the quality of stores: coverage, consistency, freshness, age. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit.compare import named
from audit.deep import Audited
from audit.quality import EXAMPLES, Counted, ExampleKey
from audit.repair import row_of
from audit.report import Result
from audit.side import Finding, Side
from changes.target import Target
from changes.tier import Tier

Personal = Mapping[str, Collection[str]]
"""Personal columns by table."""


@dataclass(frozen=True)
class LaneTold:
    """What is known of one lane: of ``timed`` changes ``fresh`` were visible in time; ``None`` where it says nothing.

    ``lag`` is how many seconds it is behind, ``None`` where nobody knows.
    """

    sink: str
    tier: Tier
    timed: int | None
    fresh: int | None
    lag: float | None

    @property
    def name(self) -> str:
        return f"{self.sink} {self.tier.name}"


def of_audit(audited: Audited, targets: Sequence[Target], personal: Personal) -> Iterator[Counted]:
    """Coverage of every place that is to hold all rows, and consistency of every table, or of what is made of it."""
    report = audited.report
    keeps = {(target.sink, target.table, target.place): target.keep for target in targets}
    for result in report.results:
        if keeps.get((result.sink, result.table, result.place)) == "mirror":
            findings = _of(audited.findings.get(result.table, ()), result)
            yield _coverage(result, findings, personal)
    for table in dict.fromkeys(result.table for result in report.results):
        results = [result for result in report.results if result.table == table]
        yield _consistency(table, results, audited.findings.get(table, ()), personal)


def unaudited(targets: Sequence[Target], reason: str) -> Iterator[Counted]:
    """The same where there was no audit."""
    for target in targets:
        if target.keep == "mirror":
            yield Counted("coverage", target.table, f"{target.sink} {target.place}", reason=reason)
    for table in dict.fromkeys(target.table for target in targets):
        yield Counted("consistency", table, "all its stores", reason=reason)


def of_lanes(lanes: Sequence[LaneTold], oldest: float) -> Iterator[Counted]:
    """Freshness and age of every lane; ``oldest`` is the greatest number of seconds that one may be behind."""
    for lane in lanes:
        if lane.timed is None:
            yield Counted("freshness", "", lane.name, reason="the lane does not say how it is")
        else:
            objective = f"within {lane.tier.fresh:g} s"
            yield Counted("freshness", "", f"{lane.name}: {objective}", lane.fresh or 0, lane.timed)
    for lane in lanes:
        if lane.lag is None:
            yield Counted("age", "", lane.name, reason="nobody knows how far behind it is")
        else:
            late = lane.lag > oldest
            yield Counted("age", "", lane.name, int(not late), 1, reason=f"{lane.lag:.1f} s behind" if late else "")


def _coverage(result: Result, findings: Sequence[tuple[Side, Finding]], personal: Personal) -> Counted:
    """Of MySQL's rows, those of which the place has what it should; differences that were not kept are undecided."""
    part = f"{result.sink} {result.place}"
    if not result.source_rows and result.verdict == "undecided":
        return Counted("coverage", result.table, part, reason=result.reason or "nothing could be compared")
    missing = [(side, finding) for side, finding in findings if finding.found.class_ == "missing"]
    absent = _rows(missing)
    total, lacking = result.source_rows, min(len(absent), result.source_rows)
    open_ = min(total - lacking, result.undecided + result.different - len(findings))
    good = total - lacking - open_
    return Counted("coverage", result.table, part, good, total, open_, _examples(missing, personal), result.reason)


def _consistency(
    table: str, results: Sequence[Result], findings: Sequence[tuple[Side, Finding]], personal: Personal
) -> Counted:
    """Of MySQL's rows, those that differ nowhere."""
    total = max(result.source_rows for result in results)
    reason = "; ".join(dict.fromkeys(f"{one.sink}: {one.reason}" for one in results if one.verdict == "undecided"))
    if not total and reason:
        return Counted("consistency", table, "all its stores", reason=reason)
    different = min(len(_rows(findings)), total)
    left = sum(result.different for result in results) - len(findings)
    open_ = min(total - different, left + sum(result.undecided for result in results))
    examples = _examples(findings, personal)
    good = total - different - open_
    return Counted("consistency", table, "all its stores", good, total, open_, examples, reason)


def _of(findings: Sequence[tuple[Side, Finding]], result: Result) -> list[tuple[Side, Finding]]:
    return [
        (side, finding)
        for side, finding in findings
        if (side.target.sink, side.target.place) == (result.sink, result.place)
    ]


def _rows(findings: Sequence[tuple[Side, Finding]]) -> set[tuple[object, ...]]:
    """The rows that findings are about: chunks of one row are one."""
    return {tuple(row_of(side.target, finding.key)[0]) for side, finding in findings}


def _examples(findings: Sequence[tuple[Side, Finding]], personal: Personal) -> list[ExampleKey]:
    shown: list[ExampleKey] = []
    for side, finding in findings:
        key = named(side.target, finding.key.values)
        if key not in shown and not set(key) & set(personal.get(side.target.source, ())):
            shown.append(key)
        if len(shown) == EXAMPLES:
            break
    return shown
