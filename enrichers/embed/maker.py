"""What makes vectors of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Embedded:
    """One text's vector, ``None`` where it has none: nothing in it can be read, or its making ``failed``."""

    vector: list[float] | None
    tokens: int
    failed: bool = False


class Maker(Protocol):
    """Safe for concurrent use. ``dims`` is how many numbers a vector has, ``fails`` whether making one may fail."""

    @property
    def provider(self) -> str: ...
    @property
    def dims(self) -> int: ...
    @property
    def fails(self) -> bool: ...
    @property
    def means(self) -> Mapping[str, object]:
        """All that decides which vector a text has."""

    def ready(self) -> bool:
        """As `Enricher.ready`."""

    def cost(self, tokens: int) -> float:
        """Of so many tokens, in the currency of the endpoints' prices."""

    async def open(self) -> None: ...

    async def vectors(self, texts: Sequence[str]) -> list[Embedded]:
        """One for each text, in order. Raises `Transient` where nothing is to be had now."""

    async def close(self) -> None: ...
