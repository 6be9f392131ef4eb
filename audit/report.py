"""What an audit found, in the shape that scripts rely on."""

from typing import Literal

import msgspec

Verdict = Literal["equal", "different", "undecided"]
Class = Literal[
    "missing", "extra", "altered", "stale", "wrong generation", "old mapping", "resurrected", "impossible position"
]


class Difference(msgspec.Struct, frozen=True):
    """One row that differs. ``columns`` are those whose values do, where both sides have the row.

    ``missing``: MySQL has the row, the store has not. ``extra``: the other way, or the row lies in a second place.
    ``resurrected``: an extra row whose last change was its delete. ``altered``: values differ. ``stale``: what is
    stored was made from an older state of the row. ``wrong generation``: made by an earlier (or no) generation of the
    model, prompt or code that is declared. ``old mapping``: written under an earlier declaration.
    ``impossible position``: stored under a position that no change of the row explains, so that the guard would
    refuse what comes.
    """

    class_: Class = msgspec.field(name="class")
    key: dict[str, bool | int | float | str | None]
    columns: list[str]


class Result(msgspec.Struct, frozen=True):
    """One table in one sink. ``differences`` lists at most `LISTED` of ``different`` in all.

    ``undecided`` counts keys that would not hold still: they changed between every read of MySQL and of the store.
    """

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
UNDECIDED_SHARE = 0.0001
"""The greatest share of keys that may stay undecided in a verdict of *equal*."""


class Report(msgspec.Struct, frozen=True):
    """One version's audit; ``seconds`` is how long it took."""

    verdict: Verdict
    version: str
    position: str
    depth: Literal["quick", "deep", "keys"]
    seconds: float
    results: list[Result]


def overall(results: list[Result]) -> Verdict:
    """Different where anything is, else undecided where anything is, else equal; nothing compared is no proof."""
    verdicts = {result.verdict for result in results}
    if "different" in verdicts:
        return "different"
    return "undecided" if "undecided" in verdicts or not verdicts else "equal"


def verdict_of(different: int, undecided: int, keys: int) -> Verdict:
    """The verdict on one target, of whose ``keys`` so many differ and so many stayed undecided."""
    if different:
        return "different"
    return "undecided" if undecided > keys * UNDECIDED_SHARE else "equal"
