"""Reproducible rows for the example schema: how many of each table, and the rows themselves.

Pure: no driver, no I/O, memory does not grow with the number of rows.
"""
# ruff: noqa: S311 - sample data has to be reproducible, not unpredictable

import random
from collections.abc import Iterator

from tailrace.example import conversations, governance, hiring, operations, people
from tailrace.example.table import Counts, Table, Value

_PARTS = (people, hiring, conversations, operations, governance)

TABLES: dict[str, Table] = {table.name: table for part in _PARTS for table in part.TABLES}
"""Every table of `schema.sql` by name, parents before children."""

LEAST = 10
MOST = 10_000_000

# The first rows go one each to these, in this order: with LEAST rows or more, every table that
# others refer to has a row to be referred to.
_FIRST = (
    "users", "companies", "jobs", "resumes", "ai_conversations",
    "dao_proposals", "user_profiles", "resume_skills", "ai_messages", "user_behaviors",
)  # fmt: skip

# What a bounded table cannot take goes here: events have no bound.
_OVERFLOW = "user_behaviors"


def plan(total_rows: int) -> dict[str, int]:
    """Split `total_rows` over the tables; the counts add up to it exactly.

    A table may get no row when there are few. Raises `ValueError` outside LEAST … MOST.
    """
    if not LEAST <= total_rows <= MOST:
        raise ValueError(f"`rows` must be {LEAST} to {MOST}, not {total_rows}")
    weights = sum(table.weight for table in TABLES.values())
    spread = total_rows - len(_FIRST)
    counts = {}
    for table in TABLES.values():
        share = int(spread * table.weight / weights) + (table.name in _FIRST)
        counts[table.name] = share if table.at_most is None else min(share, table.at_most)
    counts["user_profiles"] = min(counts["user_profiles"], counts["users"])
    counts["resume_skills"] = min(counts["resume_skills"], counts["resumes"] * people.SKILLS_EACH)
    counts["role_permissions"] = min(counts["role_permissions"], counts["permissions"] * len(operations.ROLES))
    counts[_OVERFLOW] += total_rows - sum(counts.values())
    return counts


def rows(table: str, counts: Counts, seed: int) -> Iterator[tuple[Value, ...]]:
    """The `counts[table]` rows of one table, each in the order of its `columns`, by ascending ordinal.

    The same (table, counts, seed) gives the same rows, whatever other tables were generated before.
    """
    spec = TABLES[table]
    rng = random.Random(f"{seed}:{table}")
    for ordinal in range(1, counts[table] + 1):
        yield spec.row(rng, ordinal, counts)
