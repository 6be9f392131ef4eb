"""A cache in this process: for tests, and for runs that shall leave nothing behind."""

from collections.abc import Mapping, Sequence


class MemoryCache:
    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self._values.get(key) for key in keys]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        self._values.update(values)

    async def drop_many(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._values.pop(key, None)

    async def close(self) -> None:
        self._values.clear()
