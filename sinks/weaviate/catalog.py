"""Classes as the targets need them: created, or widened, never narrowed. Several processes may be at it at once."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from changes.errors import Misconfigured
from sinks.weaviate import META
from sinks.weaviate.client import Client
from sinks.weaviate.schema import TOKENIZATIONS, Layout, class_of, meta_class, missing, ours, types_of, vector

_NOT_SERVED = "tokenizer is not enabled"


async def ensure(client: Client, layout: Layout) -> dict[str, str]:
    """Create or widen the class of ``layout``; its properties, with their types."""
    place = layout.target.place
    described = await client.class_(place)
    if described is None:
        described = await _made(client, place, [class_of(layout, one) for one in TOKENIZATIONS])
    types = types_of(described)
    if not ours(types):
        raise Misconfigured(
            f"Weaviate: the class `{place}` is there and was not made by Tailrace: declare another `place`,"
            " or remove the class and have it filled anew"
        )
    for variants in zip(*(missing(layout, types, one) for one in TOKENIZATIONS), strict=True):
        name = variants[0]["name"]
        try:
            await _served(lambda one: client.add_property(place, one), variants)
        except Misconfigured:
            if name not in types_of(await client.class_(place) or {}):
                raise
    if lacking := [name for name in layout.vectors if name not in _vectors(described)]:
        described = await client.class_(place) or {}
        wanted = {**_vectors(described), **{name: vector() for name in lacking}}
        try:
            await client.change_class(described | {"vectorConfig": wanted})
        except Misconfigured:
            if not set(lacking) <= _vectors(await client.class_(place) or {}).keys():
                raise
    return types_of(await client.class_(place) or {})


async def ensure_meta(client: Client) -> None:
    if await client.class_(META) is None:
        await _made(client, META, [meta_class(META)])


async def _made(client: Client, place: str, variants: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The class as the server describes it once it is there."""
    try:
        await _served(client.make_class, variants)
    except Misconfigured:
        described = await client.class_(place)
        if described is None:  # else another process was quicker
            raise
        return described
    return await client.class_(place) or {}


async def _served(make: Callable[[dict[str, Any]], Awaitable[None]], variants: Sequence[dict[str, Any]]) -> None:
    """Make the first of the variants whose tokenization the server has enabled."""
    for variant in variants[:-1]:
        try:
            return await make(variant)
        except Misconfigured as error:
            if _NOT_SERVED not in str(error):
                raise
    return await make(variants[-1])


def _vectors(described: dict[str, Any]) -> dict[str, Any]:
    return described.get("vectorConfig") or {}
