"""What isolation's checks found, in the shape that scripts rely on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

Verdict = Literal["pass", "fail", "undecided"]
Check = Literal["database", "network", "data", "container"]
CHECKS: tuple[Check, ...] = get_args(Check)

_SHORTEST = 4
"""Letters of a secret that is blotted out: a shorter one stands in too many words."""
LISTED = 100
"""Findings of one result that are told apart; the others are counted in one."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is not as it should be (``fail``), or that could not be seen (``undecided``).

    In words for people: what it is, where, and what to do about it.
    """

    verdict: Literal["fail", "undecided"]
    what: str
    where: str
    advice: str


class Result(msgspec.Struct, frozen=True):
    """One check of one version: whether *others* can reach what is its own. ``looked_at`` is how many things (attempts,
    sockets, rows, files) it rests on."""

    version: str
    check: Check
    verdict: Verdict
    findings: list[Finding]
    looked_at: int


class Report(msgspec.Struct, frozen=True):
    verdict: Verdict
    results: list[Result]


@dataclass(frozen=True)
class Judged:
    """What a part of a check says: how much it looked at, and what it found."""

    looked_at: int = 0
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(self.looked_at + other.looked_at, (*self.findings, *other.findings))


def fail(what: str, where: str, advice: str) -> Finding:
    return Finding("fail", what, where, advice)


def undecided(what: str, where: str, advice: str) -> Finding:
    return Finding("undecided", what, where, advice)


def result(version: str, check: Check, parts: Iterable[Judged]) -> Result:
    """Failed where anything is, else undecided where anything is; what looked at nothing decided nothing."""
    whole = sum(parts, Judged())
    found = sorted(dict.fromkeys(whole.findings), key=lambda one: one.verdict != "fail")
    verdicts = {finding.verdict for finding in found}
    verdict: Verdict = (
        "fail" if "fail" in verdicts else "undecided" if "undecided" in verdicts or not whole.looked_at else "pass"
    )
    if len(found) > LISTED:
        more = f"{len(found) - LISTED} more findings"
        found = [*found[:LISTED], Finding(found[LISTED].verdict, more, "", "mend those above and look again")]
    return Result(version, check, verdict, found, whole.looked_at)


def report(results: Sequence[Result]) -> Report:
    """As for one result; no result is no proof."""
    verdicts = {one.verdict for one in results}
    if "fail" in verdicts:
        return Report("fail", list(results))
    return Report("undecided" if "undecided" in verdicts or not verdicts else "pass", list(results))


def without(found: Report, secrets: Iterable[str]) -> Report:
    """The same with each secret blotted out: what a server says of a refusal may repeat what it was told."""
    words = sorted((word for word in secrets if len(word) >= _SHORTEST), key=len, reverse=True)

    def blotted(text: str) -> str:
        for word in words:
            text = text.replace(word, "(secret)")
        return text

    def clean(one: Finding) -> Finding:
        return msgspec.structs.replace(one, what=blotted(one.what), where=blotted(one.where))

    cleaned = [
        msgspec.structs.replace(one, findings=[clean(finding) for finding in one.findings]) for one in found.results
    ]
    return Report(found.verdict, cleaned)
