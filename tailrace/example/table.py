"""What the generator knows about one table of the example."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = str | int | float | bytes | None
"""What a driver takes as it is: decimals, dates and JSON are their text."""

Counts = Mapping[str, int]
"""Table name to its number of rows: a table with n rows holds the ids 1 … n."""

MakeRow = Callable[[random.Random, int, Counts], tuple[Value, ...]]
"""(randomness, ordinal from 1, counts) to the values of one row, in the order of `Table.columns`."""


@dataclass(frozen=True)
class Table:
    """One table: its columns in the order that `row` gives them, and its share of all rows.

    `texts` are the columns that a model reads, so that changing one costs an analysis or an embedding.
    `at_most` bounds tables that do not grow with the platform.
    """

    name: str
    columns: tuple[str, ...]
    row: MakeRow
    weight: float
    key: tuple[str, ...] = ("id",)
    nullable: frozenset[str] = frozenset()
    texts: tuple[str, ...] = ()
    at_most: int | None = None


def names(text: str) -> tuple[str, ...]:
    """Column names from one readable string."""
    return tuple(text.split())


def owner(parent_id: int, users: int) -> int:
    """The user who owns row `parent_id` of a loaded table.

    Arithmetic instead of a lookup, so that a child row (a message, a skill) agrees with its parent
    about the owner while rows are made one by one in flat memory.
    """
    return (parent_id * 7919) % users + 1
