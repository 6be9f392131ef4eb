"""Expected rows against stored rows: pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from audit.report import LISTED, Class, Difference
from changes.canonical import Value, canonical_row, row_hash
from changes.key import Key
from changes.record import StoredRow
from changes.schema import Column, TableSchema
from changes.target import Target

Identity = tuple[str, bytes]
"""(place, canonical key)."""


@dataclass
class Expectation:
    """What one target should hold: for each row the hash of its projection and of the whole captured row."""

    target: Target
    schema: TableSchema
    rows: dict[Identity, tuple[int, int]] = field(default_factory=dict)
    source_rows: int = 0

    def add(self, place: str, key: Key, row: Mapping[str, Value], whole: int) -> None:
        self.rows[place, key.canonical] = row_hash(self.target.columns(self.schema), row), whole
        self.source_rows += 1


@dataclass
class Comparison:
    """The tally of one target. ``suspects`` are stored rows whose values differ, to be explained column by column."""

    compared: int = 0
    sink_rows: int = 0
    different: int = 0
    found: list[Difference] = field(default_factory=list)
    suspects: list[StoredRow] = field(default_factory=list)

    def note(self, class_: Class, key: Mapping[str, bool | int | float | str | None], columns: list[str]) -> None:
        self.different += 1
        if len(self.found) < LISTED:
            self.found.append(Difference(class_, dict(key), columns))


def judge(expected: Expectation, stored: StoredRow, tally: Comparison) -> None:
    """Compare one stored row with what is expected of it, and strike that off."""
    tally.sink_rows += 1
    wanted = expected.rows.pop((stored.place, stored.key.canonical), None)
    if wanted is None:
        tally.note("extra", named(expected.target, stored.key.values), [])
        return
    tally.compared += 1
    if row_hash(expected.target.columns(expected.schema), stored.row) != wanted[0]:
        tally.suspects.append(stored)
    elif stored.mapping != expected.target.mapping:
        tally.note("old mapping", named(expected.target, stored.key.values), [])
    elif stored.hash != wanted[1]:
        tally.note("stale", named(expected.target, stored.key.values), [])


def named(target: Target, values: Sequence[Value]) -> dict[str, bool | int | float | str | None]:
    """A key as reports show it."""
    return {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in zip(target.key, values, strict=True)
        if not isinstance(value, list)  # no vector is a key
    }


def left_over(expected: Expectation) -> Iterator[bytes]:
    """The canonical keys of rows that the store should hold and does not; none of a cache are missed."""
    if expected.target.keep == "mirror":
        yield from (key for _, key in expected.rows)


def differing(columns: Sequence[Column], one: Mapping[str, Value], other: Mapping[str, Value]) -> list[str]:
    """The names of the columns whose canonical values differ."""
    return [column.name for column in columns if canonical_row((column,), one) != canonical_row((column,), other)]
