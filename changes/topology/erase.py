"""What ``topics.yaml`` declares of erasing a person: what becomes of a table's rows."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from changes.topology.fields import STRICT, ColumnName

Mistake = tuple[tuple[str | int, ...], str]
"""Where below ``erase`` it is, and what it is."""


class EraseDecl(BaseModel):
    """``rows``: those whose column ``by`` holds the person's id (the table's ``user`` unless it is named) are deleted,
    kept, or cleared: the columns in ``set`` then take the values that stand there. A word alone is ``rows``.
    """

    model_config = STRICT

    rows: Literal["delete", "clear", "keep"] = "delete"
    by: ColumnName | None = None
    set: dict[ColumnName, str | int | float | None] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _of_a_word(cls, told: Any) -> Any:
        return {"rows": told} if isinstance(told, str) else told

    @model_validator(mode="after")
    def _fits(self) -> "EraseDecl":
        if (self.rows == "clear") != bool(self.set):
            raise ValueError("`set` and `rows: clear` go together: say what the columns are to hold instead")
        return self


def erase_problems(erase: EraseDecl | None, user: str | None, key: list[str]) -> Iterator[Mistake]:
    """The mistakes in a table's declaration; ``user`` and ``key`` are the table's."""
    if erase is None:
        return
    if erase.by is None and user is None:
        yield (), "say in `by` which column holds the person's id: the table declares no `user`"
    for name in erase.set:
        if name in key:
            yield ("set", name), f"`{name}` is of the key, which is not changed: delete the rows, or keep them"
