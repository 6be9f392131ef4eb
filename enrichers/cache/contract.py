"""What a cache promises."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Bytes by key. Every call raises `Transient` where the store is away: nothing is known then, and the same call
    may come again."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """What was put under each key, in order; ``None`` where nothing is."""

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        """Remember; what was there is replaced."""

    async def drop_many(self, keys: Sequence[str]) -> None:
        """Forget, for good: somebody's data is erased. What is not there is no error."""

    async def close(self) -> None:
        """Release everything; idempotent, never raises."""
