"""What the models of ``topics.yaml`` are made of."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from changes.errors import Misconfigured
from changes.tier import seconds


def _duration(text: str) -> str:
    try:
        seconds(text)
    except Misconfigured as error:
        raise ValueError(str(error)) from error
    return text


def _share(value: object) -> object:
    if not isinstance(value, str):
        return value
    number, percent, rest = value.partition("%")
    if not percent or rest or not number.replace(".", "", 1).isdigit():
        raise ValueError(f"`{value}` is no share: write `95%`, or a number from 0 to 1")
    return float(number) / 100


Duration = Annotated[str, AfterValidator(_duration)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
ColumnName = Annotated[str, Field(min_length=1)]
Names = list[ColumnName]


STRICT = ConfigDict(extra="forbid", frozen=True)
"""Of every model: what nobody knows is a mistake."""
