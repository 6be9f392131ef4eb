"""What an audit found, in the shape that scripts rely on."""

from typing import Literal

import msgspec

Verdict = Literal["equal", "different", "undecided"]
Class = Literal["missing", "extra", "altered", "stale", "old mapping"]


class Difference(msgspec.Struct, frozen=True):
    """One row that differs. ``columns`` are those whose values do, where both sides have the row.

    ``missing``: MySQL has the row, the store has not. ``extra``: the other way. ``altered``: values differ.
    ``stale``: the values are those asked for, made from an older state of the row. ``old mapping``: written under an
    earlier declaration.
    """

    class_: Class = msgspec.field(name="class")
    key: dict[str, bool | int | float | str | None]
    columns: list[str]


class Result(msgspec.Struct, frozen=True):
    """One table in one sink. ``differences`` lists at most `LISTED` of ``different`` in all."""

    sink: str
    table: str
    place: str
    verdict: Verdict
    source_rows: int
    sink_rows: int
    compared: int
    undecided: int
    different: int
    differences: list[Difference]
    reason: str = ""


LISTED = 100


class Report(msgspec.Struct, frozen=True):
    """One version's audit; ``seconds`` is how long it took."""

    verdict: Verdict
    version: str
    position: str
    depth: Literal["quick", "deep"]
    seconds: float
    results: list[Result]


def overall(results: list[Result]) -> Verdict:
    """Different where anything is, else undecided where anything is, else equal; nothing compared is no proof."""
    verdicts = {result.verdict for result in results}
    if "different" in verdicts:
        return "different"
    return "undecided" if "undecided" in verdicts or not verdicts else "equal"
