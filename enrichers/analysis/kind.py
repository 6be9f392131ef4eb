"""What kinds of analyses have in common: a typed result, instructions for a model, and rules for when there is none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_TEXT, MOST_ITEM, MOST_ITEMS = 4000, 200, 40
"""Characters of a text, of a list's item, and items of a list that are kept."""


def clean(text: str, most: int) -> str:
    """``text`` without what some store would refuse (NUL, half a surrogate pair) and without blanks around it."""
    return text.replace("\0", "").encode("utf-8", "replace").decode().strip()[:most].strip()


def _text(value: Any) -> Any:
    if value is None:
        return ""
    return clean(value, MOST_TEXT) if isinstance(value, str) else value


def _items(value: Any) -> Any:
    """A list without blanks and repetitions; models write a single item without the list now and then."""
    if value is None or isinstance(value, str):
        value = [value or ""]
    if not isinstance(value, list | tuple):
        return value
    items = [clean(item, MOST_ITEM) if isinstance(item, str) else item for item in value]
    seen = {item.casefold(): item for item in reversed(items) if isinstance(item, str)}
    kept = [item for item in items if not isinstance(item, str) or (item and seen[item.casefold()] is item)]
    return tuple(kept[:MOST_ITEMS])


def _share(value: Any) -> Any:
    """0 to 1; a number of percent is taken for what it means."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value / 100 if 1 < value <= 100 else value


Text = Annotated[str, BeforeValidator(_text)]
Items = Annotated[Sequence[str], BeforeValidator(_items)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1, allow_inf_nan=False)]


class Analysis(BaseModel):
    """The fields of one kind; ``confidence_score`` is 0 to 1.

    What a model adds is left out, not refused: a paid answer with a field too many is still an answer.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    confidence_score: Share = 0.5


Texts = Mapping[str, str]
"""The declared columns that hold any text, by name."""


@dataclass(frozen=True)
class AnalysisKind:
    """``instructions`` say what each field is to hold; ``prompt_version`` is raised when they change, ``rules_version``
    when ``rules`` would make something else. ``rules`` is pure and takes any texts."""

    name: str
    result: type[Analysis]
    prompt_version: int
    instructions: str
    rules_version: int
    rules: Callable[[Texts], Analysis]
