"""Rows of the community's self-government: proposals, votes, points."""

import random

from tailrace.example import words
from tailrace.example.table import Counts, Table, Value, names, owner
from tailrace.example.values import (
    awkward,
    below,
    decimal,
    document,
    moment,
    pick,
    prose,
    seldom,
)


def _proposal(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        owner(n, counts["users"]),
        awkward(rng, f"{pick(rng, words.PROPOSALS)} #{n}", 200),
        None if seldom(rng, 0.1) else prose(rng, words.DUTIES, 3),
        pick(rng, ("policy", "budget", "membership", "technical")),
        pick(rng, ("draft", "voting", "voting", "passed", "rejected", "executed")),
        decimal(rng, 9, 6, 0.6),
        None if seldom(rng, 0.2) else document(rng, ["赞成", "反对", "弃权"]),
        None if seldom(rng, 0.1) else moment(rng),
        None if seldom(rng, 0.3) else moment(rng),
        moment(rng, 3),
        moment(rng, 3),
    )


def _vote(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        below(rng, counts["dao_proposals"]) + 1,
        below(rng, counts["users"]) + 1,
        pick(rng, ("for", "for", "against", "abstain")),
        decimal(rng, 30, 10, 50.0),
        None if seldom(rng, 0.6) else awkward(rng, pick(rng, words.ANSWERS), 2000),
        moment(rng, 6),
    )


def _points(rng: random.Random, n: int, counts: Counts) -> tuple[Value, ...]:
    return (
        n,
        below(rng, counts["users"]) + 1,
        pick(rng, ("earned", "spent", "granted", "revoked")),
        decimal(rng, 20, 4, 500.0),
        decimal(rng, 24, 4, 5000.0),
        None if seldom(rng, 0.4) else pick(rng, (0, 1 << 53, (1 << 63) - 1, -(1 << 63), n)),
        None if seldom(rng, 0.3) else awkward(rng, pick(rng, words.NOTES), 255),
        moment(rng, 3),
    )


TABLES = (
    Table(
        "dao_proposals",
        names("id user_id title body category status quorum vote_options opens_at closes_at created_at updated_at"),
        _proposal,
        weight=0.4,
        nullable=frozenset({"body", "vote_options", "opens_at", "closes_at"}),
    ),
    Table(
        "dao_votes",
        names("id proposal_id user_id choice weight reason cast_at"),
        _vote,
        weight=3,
        nullable=frozenset({"reason"}),
    ),
    Table(
        "dao_points",
        names("id user_id change_type amount balance reference_id note created_at"),
        _points,
        weight=2,
        nullable=frozenset({"reference_id", "note"}),
    ),
)
