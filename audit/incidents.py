"""Differences that audit after audit sees again, told as one: pure.

An incident is of one class in one table of one sink. It opens with the first audit that sees such a difference and
closes with the first that could see it and does not. Not every audit could: a quick one does not see values that were
edited beside their hash, one of named keys only sees these, and of a cache a quick one looks at a sample. Incidents of
records, not of rows, are `audit.accounts`' alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from audit.report import Class
from changes.progress import KeyValue

Depth = Literal["quick", "deep", "keys"]
"""``keys``: only rows that were named, each by value on both sides."""

Lost = Literal["unaccounted"]
UNACCOUNTED: Lost = "unaccounted"
"""The class of incidents of records: nobody says what became of them."""

Scope = tuple[str, str]
"""Sink and table."""

KEPT = 100
"""Rows that an incident remembers."""


class Spot(msgspec.Struct, frozen=True):
    """Where a row differs: its key, the target of its sink, and the place in it, ``None`` where only its key says."""

    key: dict[str, KeyValue]
    target: str
    place: str | None = None

    @property
    def id(self) -> bytes:
        """The same row of the same target, wherever it lies."""
        return msgspec.json.encode([self.target, sorted(self.key.items())])


Looked = Mapping[Scope, Collection[bytes]]
"""The `Spot.id` of the rows that an audit of ``keys`` looked at."""


class Incident(msgspec.Struct, frozen=True):
    """Differences of one class in one table of one sink, from the audit that saw them first to the one that saw none.

    ``rows`` is how many were listed last, ``spots`` at most `KEPT` of them; ``whole`` says that those are all there
    were. ``depth`` is the deepest that has seen it: what only values show no quick audit closes. ``audits`` is how many
    saw it. Times are in milliseconds since 1970; ``closed_ms`` is ``None`` while it is open. Of one that is
    `UNACCOUNTED` ``rows`` are records, without ``spots``, and counts take the place of audits.
    """

    id: str
    sink: str
    table: str
    class_: Class | Lost = msgspec.field(name="class")
    opened_ms: int
    last_ms: int
    closed_ms: int | None
    opened_by: str
    last_by: str
    closed_by: str | None
    depth: Depth | Literal["accounts"]
    rows: int
    whole: bool
    audits: int
    spots: list[Spot]


@dataclass(frozen=True)
class Seen:
    """What one audit saw of one table in one sink. ``sure``: what it does not list was not there, as far as its depth
    tells. ``whole``: it lists all that it found."""

    sink: str
    table: str
    found: Mapping[Class, Sequence[Spot]]
    sure: bool
    whole: bool

    @property
    def scope(self) -> Scope:
        return self.sink, self.table


@dataclass(frozen=True)
class Step:
    """``open`` are all that are open behind the audit, ``opened`` those among them that are new."""

    open: list[Incident]
    opened: list[Incident]
    closed: list[Incident]


def step(
    open_: Sequence[Incident],
    seen: Iterable[Seen],
    *,
    audit: str,
    depth: Depth,
    at_ms: int,
    looked: Looked | None = None,
    sampled: Collection[Scope] = (),
) -> Step:
    """The incidents behind an audit. ``looked`` is what one of ``keys`` looked at; of the ``sampled`` scopes a quick
    one saw a part."""
    left: dict[tuple[str, str, Class | Lost], Incident] = {(one.sink, one.table, one.class_): one for one in open_}
    opened: list[Incident] = []
    closed: list[Incident] = []
    for one in seen:
        here = (looked or {}).get(one.scope, ())
        for class_, spots in one.found.items():
            before = left.get((one.sink, one.table, class_))
            if before is None:
                new = Incident(
                    id=f"{audit}.{one.sink}.{one.table}.{class_.replace(' ', '-')}",
                    sink=one.sink,
                    table=one.table,
                    class_=class_,
                    opened_ms=at_ms,
                    last_ms=at_ms,
                    closed_ms=None,
                    opened_by=audit,
                    last_by=audit,
                    closed_by=None,
                    depth=depth,
                    rows=len(spots),
                    whole=one.whole and len(spots) <= KEPT,
                    audits=1,
                    spots=list(spots[:KEPT]),
                )
                opened.append(new)
                left[one.sink, one.table, class_] = new
            else:
                left[one.sink, one.table, class_] = _again(before, one, spots, audit, depth, at_ms, here)
        for name, before in list(left.items()):
            if name[:2] != one.scope or name[2] in one.found or name[2] == UNACCOUNTED:
                continue
            after = _not_seen(before, one, depth, here, sampled=one.scope in sampled)
            if after is None:
                del left[name]
                closed.append(msgspec.structs.replace(before, closed_ms=at_ms, closed_by=audit))
            else:
                left[name] = after
    return Step(list(left.values()), opened, closed)


def _again(
    before: Incident,
    seen: Seen,
    spots: Sequence[Spot],
    audit: str,
    depth: Depth,
    at_ms: int,
    looked: Collection[bytes],
) -> Incident:
    """``before``, seen once more."""
    places = {spot.id: spot.place for spot in before.spots}
    spots = [spot if spot.place is not None else Spot(spot.key, spot.target, places.get(spot.id)) for spot in spots]
    told = msgspec.structs.replace(before, last_ms=at_ms, last_by=audit, audits=before.audits + 1)
    if depth == "keys":
        there = {spot.id for spot in spots}
        beside = [spot for spot in before.spots if spot.id not in looked and spot.id not in there]
        all_ = [*spots, *beside]
        rows = len(all_) if before.whole else max(before.rows, len(all_))
        return msgspec.structs.replace(told, rows=rows, whole=before.whole and len(all_) <= KEPT, spots=all_[:KEPT])
    if depth == "quick" and before.depth != "quick":
        # a quick audit may see a part of what values show: the rest is not gone for that
        there = {spot.id for spot in spots}
        all_ = [*(spot for spot in before.spots if spot.id not in there), *spots]
        whole = before.whole and seen.whole and len(all_) <= KEPT
        return msgspec.structs.replace(told, rows=max(before.rows, len(all_)), whole=whole, spots=all_[:KEPT])
    return msgspec.structs.replace(
        told, depth=depth, rows=len(spots), whole=seen.whole and len(spots) <= KEPT, spots=list(spots[:KEPT])
    )


def _not_seen(
    before: Incident, seen: Seen, depth: Depth, looked: Collection[bytes], *, sampled: bool
) -> Incident | None:
    """``before``, of which an audit of its scope saw nothing; ``None`` where that closes it."""
    if not seen.sure:
        return before
    if depth == "keys":
        beside = [spot for spot in before.spots if spot.id not in looked]
        if before.whole and not beside:
            return None
        gone = len(before.spots) - len(beside)
        return msgspec.structs.replace(before, rows=max(1, before.rows - gone), spots=beside)
    if not seen.whole:  # it may be among what was not listed
        return before
    if depth == "quick" and (before.depth != "quick" or sampled):
        return before
    return None


def unsaid(
    incidents: Iterable[Incident], told: Collection[tuple[str, str]]
) -> list[tuple[Literal["opened", "closed"], Incident]]:
    """What nobody has received yet, of alerts that were ``told`` (incident and event). That one is closed is news only
    to whoever knows that it was opened."""
    found: list[tuple[Literal["opened", "closed"], Incident]] = []
    for one in incidents:
        if one.closed_ms is None:
            if (one.id, "opened") not in told:
                found.append(("opened", one))
        elif (one.id, "opened") in told and (one.id, "closed") not in told:
            found.append(("closed", one))
    return found


def to_look_at_again(open_: Iterable[Incident], sampled: Collection[Scope]) -> list[Incident]:
    """Those that no quick audit closes though their rows are all known: their keys are to be looked at."""
    return [
        one for one in open_ if one.whole and one.spots and (one.depth != "quick" or (one.sink, one.table) in sampled)
    ]
