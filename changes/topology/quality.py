"""What ``topics.yaml`` declares of data quality: rules for a table's rows, and the targets for shares.

The targets' defaults are those of the platform's own document on data quality; it names none for `freshness`, whose
objectives are those of the tiers.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from changes.tier import seconds
from changes.topology.fields import STRICT, ColumnName, Duration, Names, Share

FORMATS = ("email", "url", "phone", "json", "past")


def _format(told: str | list[str]) -> str | list[str]:
    if isinstance(told, str) and told not in FORMATS:
        raise ValueError(f"`{told}` is no format: there are {', '.join(FORMATS)}, or a list of values")
    if not told:
        raise ValueError("a list of values has one at least")
    return told


Format = Annotated[str | Names, AfterValidator(_format)]
Parent = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)?$")]
Mistake = tuple[tuple[str | int, ...], str]
"""Where below ``quality`` it is, and what it is."""


class TargetsDecl(BaseModel):
    """The least shares, and ``age``: how far behind a lane may be."""

    model_config = STRICT

    coverage: Share = 0.95
    completeness: Share = 0.90
    series: Share = 0.85
    consistency: Share = 0.98
    format: Share = 0.95
    logic: Share = 0.92
    freshness: Share = 0.95
    age: Duration = "24h"


class QualityDecl(BaseModel):
    """What is expected of a table's rows beside what the table's definition says.

    ``filled``: columns that may be NULL and should not be. ``formats``: what a text is, or the values that there are;
    ``past`` is a date that has come. ``ordered``: pairs of columns of which the first is never the greater.
    ``within``: the least and the greatest number. ``parents``: where a row with this value stands, ``table`` for its
    key or ``table.column``. ``series``: a time, and the interval in which there is at least one row.
    """

    model_config = STRICT

    filled: Names = []
    formats: dict[ColumnName, Format] = {}
    ordered: list[tuple[ColumnName, ColumnName]] = []
    within: dict[ColumnName, tuple[float, float]] = {}
    parents: dict[ColumnName, Parent] = {}
    series: dict[ColumnName, Duration] = {}


def parent_of(told: str, keys: Mapping[str, list[str]]) -> tuple[str, str]:
    """The table and the column that a declared parent names; ``keys`` are the declared tables'."""
    table, _, column = told.partition(".")
    return table, column or keys[table][0]


def quality_problems(quality: QualityDecl, keys: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """The mistakes in a table's declaration; ``keys`` are the declared tables'."""
    for name, told in quality.parents.items():
        if "." not in told and len(keys.get(told, ())) != 1:
            what = "has a key of several columns" if told in keys else "is not declared"
            yield ("parents", name), f"`{told}` {what}: name the column, as in `{told}.id`"
    for name, (least, greatest) in quality.within.items():
        if least > greatest:
            yield ("within", name), f"no number lies between {least} and {greatest}"
    for name, interval in quality.series.items():
        if seconds(interval) < 1 or seconds(interval) % 1:
            yield ("series", name), f"the interval `{interval}` is not in whole seconds"
