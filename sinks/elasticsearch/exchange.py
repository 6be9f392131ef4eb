"""Exchanging indexes behind one alias: in one request, while the old one takes no writes.

The name of an index stays, so what is behind an alias may be called otherwise. The old index takes no writes ever
after: whoever still meant it has a `Transient`, and finds the new one when it opens again.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from changes.target import Target
from sinks.contract import Swap
from sinks.elasticsearch import alias_of
from sinks.elasticsearch.catalog import behind
from sinks.elasticsearch.errors import GONE
from sinks.elasticsearch.mappings import alias_body
from sinks.elasticsearch.wire import Wire


async def hold(wire: Wire, indexes: Sequence[str]) -> None:
    """Returns once every write that was under way is over and any other is refused."""
    for index in indexes:
        await wire.ask("PUT", f"/{index}/_block/write")


async def free(wire: Wire, indexes: Sequence[str]) -> None:
    for index in indexes:
        await _ask(wire, "PUT", f"/{index}/_settings", {"index.blocks.write": None})


async def exchanged(wire: Wire, swaps: Sequence[Swap]) -> bool:
    return None not in [await behind(wire, alias_of(swap.kept)) for swap in swaps]


async def exchange(wire: Wire, swaps: Sequence[Swap]) -> None:
    """Nothing where it was done before. Aliases that others gave the old index are the new one's then."""
    if await exchanged(wire, swaps):
        return
    actions: list[dict[str, Any]] = []
    for swap in swaps:
        old, new = await behind(wire, alias_of(swap.live)), await behind(wire, alias_of(swap.shadow))
        for alias, body in (await _aliases(wire, old)).items():
            actions += [
                {"remove": {"index": old, "alias": alias, "must_exist": True}},
                {"add": {"index": new, "alias": alias, **body}},
            ]
        actions += [
            {"add": {"index": old, "alias": alias_of(swap.kept), **alias_body()}},
            {"remove": {"index": new, "alias": alias_of(swap.shadow), "must_exist": True}},
        ]
    await _ask(wire, "POST", "/_aliases", {"actions": actions})


async def drop(wire: Wire, targets: Sequence[Target]) -> None:
    for target in targets:
        if (index := await behind(wire, alias_of(target))) is not None:
            await wire.ask("DELETE", f"/{index}", allow=(GONE,))


class _Described(msgspec.Struct):
    aliases: dict[str, dict[str, Any]]


async def _aliases(wire: Wire, index: str | None) -> dict[str, dict[str, Any]]:
    answer = await wire.ask("GET", f"/{index}/_alias")
    (described,) = msgspec.json.decode(answer.body, type=dict[str, _Described]).values()
    return described.aliases


async def _ask(wire: Wire, method: str, path: str, body: dict[str, Any]) -> None:
    await wire.ask(method, path, msgspec.json.encode(body))
