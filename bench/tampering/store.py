"""What is done to a store, whichever it is: a row is taken out as it lies there, and something is put in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from changes.target import Target

BEYOND = 1 << 62
"""A position that no history reaches."""

Held = dict[str, Any]
"""All that a store holds of one row, by the names it has there, what Tailrace keeps beside the columns included."""


@dataclass(frozen=True)
class Row:
    """A row, by its key; ``owner`` is the user in whose file it is, where rows go into files."""

    key: Mapping[str, Any]
    owner: str

    @property
    def id(self) -> Any:
        """The value of a key of one column."""
        (value,) = self.key.values()
        return value


class Store(Protocol):
    """Reached as anybody could who has its password, and by no code of the sink."""

    def take(self, target: Target, row: Row) -> Held:
        """What is there. Raises `LookupError` where there is nothing."""

    def put(self, target: Target, row: Row, held: Held) -> None:
        """Have this there, and nothing else, under the row's key whatever ``held`` says of that."""

    def drop(self, target: Target, row: Row) -> None:
        """Have nothing there."""

    def name(self, column: str) -> str:
        """The name in `Held` of a column, or of a vector."""

    def raised(self, held: Held) -> Held:
        """The same under the position `BEYOND`."""

    def close(self) -> None: ...
