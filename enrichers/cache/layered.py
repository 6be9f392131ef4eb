"""Two caches as one: a quick one that forgets before a lasting one."""

from collections.abc import Mapping, Sequence

from enrichers.cache.contract import Cache


class LayeredCache:
    """What is only ``behind`` is put ``before`` when it is asked for. ``behind`` is written first: what is ``before``
    alone would be lost with its lifetime, and then be paid for again. What is dropped while somebody reads it may
    stay ``before`` until its lifetime ends."""

    def __init__(self, before: Cache, behind: Cache) -> None:
        self._before = before
        self._behind = behind

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        found = dict(zip(keys, await self._before.get_many(keys), strict=True))
        missing = [key for key, value in found.items() if value is None]
        if missing:
            late = zip(missing, await self._behind.get_many(missing), strict=True)
            fresh = {key: value for key, value in late if value is not None}
            if fresh:
                await self._before.put_many(fresh)
                found |= fresh
        return [found[key] for key in keys]

    async def put_many(self, values: Mapping[str, bytes]) -> None:
        await self._behind.put_many(values)
        await self._before.put_many(values)

    async def drop_many(self, keys: Sequence[str]) -> None:
        await self._behind.drop_many(keys)
        await self._before.drop_many(keys)

    async def close(self) -> None:
        await self._before.close()
        await self._behind.close()
