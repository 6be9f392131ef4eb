"""Whether what was written in one version is seen in another: decided from what searches found. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex

from audit.isolation.places import Place
from audit.isolation.report import Finding, Judged, fail, undecided
from audit.isolation.stores.answers import Found

_END = "z"
"""Ends every token: no version's is then the beginning of another's."""


@dataclass(frozen=True)
class Searched:
    """One place, searched for all tokens; ``found`` is None where it could not be, ``said`` why."""

    at: Place
    found: Found | None
    said: str = ""

    def tokens(self) -> set[str]:
        return set() if self.found is None else {hit.token for hit in self.found.hits}


def tokens_of(versions: Sequence[str]) -> dict[str, str]:
    """A canary for each version: text that is nowhere yet, and that every store keeps as it is."""
    run = token_hex(6)
    return {version: f"tailrace-canary-{run}-{version}-{_END}" for version in versions}


def judged(
    version: str, tokens: Mapping[str, str], searched: Sequence[Searched], unplanted: Mapping[Place, str]
) -> Judged:
    """What the searches say of ``version``'s canary: it is in its own places, and in no other version's.

    That a search finds nothing proves something only of a place where it finds what is known to be there: the canary
    of that place's own version. ``unplanted`` names the places that took none, and why.
    """
    looked = sum(one.found.looked_at for one in searched if one.found is not None)
    findings = [finding for one in searched for finding in _place(version, tokens, one, unplanted)]
    return Judged(looked, tuple(findings))


def _place(version: str, tokens: Mapping[str, str], one: Searched, unplanted: Mapping[Place, str]) -> list[Finding]:
    at = one.at
    if one.found is None:
        return [undecided(f"{at.name} could not be searched: {one.said}", at.at, "mend that and look again")]
    findings = [
        fail(
            f"the canary of `{version}` was found in {at.name}, {hit.where}",
            at.at,
            f"find out what carries rows of `{version}` there; that place shows them to `{at.version}`",
        )
        for hit in one.found.hits
        if at.version != version and hit.token == tokens[version]
    ]
    findings += [
        undecided(f"a part of {at.name} could not be searched: {part}", at.at, "grant the right to read it")
        for part in one.found.unread
    ]
    if at in unplanted:
        findings.append(
            undecided(
                f"{at.name} takes no canary of its own, so that finding no other there proves nothing: {unplanted[at]}",
                at.at,
                "grant the right to write it, for as long as this takes",
            )
        )
    elif tokens[at.version] not in one.tokens():
        findings.append(
            undecided(
                f"the search of {at.name} does not even find the canary of its own version",
                at.at,
                "see whether something empties or hides what is written there",
            )
        )
    return findings


def unarrived(version: str, lanes: Sequence[str]) -> Judged:
    """The row that was written to MySQL did not come through these lanes in time."""
    return Judged(
        0,
        tuple(
            undecided(
                f"the canary row of `{version}` did not pass the lane `{lane}` in time",
                lane,
                "see `tailrace status`, or give it longer with `--timeout`",
            )
            for lane in lanes
        ),
    )
