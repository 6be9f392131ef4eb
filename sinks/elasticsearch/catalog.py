"""Creating and widening indexes."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from changes.errors import Misconfigured, Transient
from sinks.elasticsearch.errors import GONE, cause_of, classify
from sinks.elasticsearch.mappings import (
    ANALYZERS,
    Analyzers,
    Found,
    Index,
    additions,
    alias_body,
    creation,
    meta,
    outgrown,
)
from sinks.elasticsearch.wire import Wire

log = logging.getLogger(__name__)

OLDEST = (8, 0)


class _Version(msgspec.Struct):
    number: str = ""


class _Root(msgspec.Struct):
    version: _Version = msgspec.field(default_factory=_Version)


async def version_of(wire: Wire) -> tuple[int, int]:
    """The server's major and minor version. Raises `Misconfigured` for one that is too old, or something else."""
    answer = await wire.ask("GET", "/")
    try:
        number = msgspec.json.decode(answer.body, type=_Root).version.number
        major, minor, *_ = (int(part) for part in number.split(".")[:2])
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise Misconfigured("Elasticsearch: what answers under its URL is no Elasticsearch") from error
    if (major, minor) < OLDEST:
        raise Misconfigured(f"Elasticsearch {number} is too old: 8 or newer is needed")
    return major, minor


async def analyzers_of(wire: Wire) -> Analyzers:
    """The best that the server has."""
    for one in ANALYZERS[:-1]:
        if await _has(wire, one.index) and await _has(wire, one.search):
            return one
    return ANALYZERS[-1]


async def _has(wire: Wire, analyzer: str) -> bool:
    body = msgspec.json.encode({"analyzer": analyzer, "text": "a"})
    return (await wire.ask("POST", "/_analyze", body, allow=(400,))).status == 200


async def ensure(wire: Wire, index: Index, analyzers: Analyzers, version: tuple[int, int]) -> Mapping[str, Any]:
    """Create or widen an index; the fields that it has then, as they are mapped."""
    name = await behind(wire, index.alias) or index.name
    found = await _find(wire, index, name)
    if found is None:
        await _create(wire, index, creation(index, analyzers, version))
        found = await _find(wire, index, name)
        if found is None:
            raise Transient(f"Elasticsearch: the index `{name}` went away as it was made")
    # Made by another process a moment ago, or just started: until its shard is there, whoever searches is refused.
    await wire.ask("GET", f"/_cluster/health/{name}?wait_for_status=yellow&timeout=60s")
    lacking = additions(index, analyzers, found)
    if lacking or found.meta != meta(index):
        await _put(wire, "PUT", f"/{name}/_mapping", {"_meta": meta(index), "properties": lacking})
    if index.alias not in found.aliases:
        if await behind(wire, index.alias) not in (None, name):
            raise Transient(f"Elasticsearch: `{index.alias}` was given to another index meanwhile")
        if found.aliases:
            raise Misconfigured(
                f"Elasticsearch: `{index.alias}` is gone, and `{name}` is kept as {', '.join(sorted(found.aliases))}:"
                " drop that, or give it the alias by hand"
            )
        seen_as = {"index": name, "alias": index.alias, **alias_body()}
        await _put(wire, "POST", "/_aliases", {"actions": [{"add": seen_as}]})
    if found.durability != "request":
        await _put(wire, "PUT", f"/{name}/_settings", {"index.translog.durability": "request"})
    for column in outgrown(index, analyzers, found):
        log.warning(
            "`%s` of `%s` is another type than when it was first stored: it is kept right, and searched as it was then;"
            " for more choose another `place` and replay",
            column,
            name,
        )
    return {**found.properties, **lacking}


async def _put(wire: Wire, method: str, path: str, body: dict[str, Any]) -> None:
    await wire.ask(method, path, msgspec.json.encode(body))


async def _create(wire: Wire, index: Index, body: dict[str, Any]) -> None:
    answer = await wire.ask("PUT", f"/{index.name}", msgspec.json.encode(body), allow=(400,))
    if answer.status != 400:
        return
    cause = cause_of(answer.body)
    if cause.type == "invalid_alias_name_exception":
        raise Misconfigured(
            f"Elasticsearch: `{index.alias}` is an index of somebody else's; remove it or choose another `place`"
        )
    if cause.type != "resource_already_exists_exception":  # by a process that opens at the same time
        raise classify(answer.status, cause, document=False)


class _Mappings(msgspec.Struct):
    meta: dict[str, Any] = msgspec.field(name="_meta", default_factory=dict)
    properties: dict[str, dict[str, Any]] = {}


class _Translog(msgspec.Struct):
    durability: str = "request"


class _OfIndex(msgspec.Struct):
    translog: _Translog = msgspec.field(default_factory=_Translog)


class _Settings(msgspec.Struct):
    index: _OfIndex


class _Described(msgspec.Struct):
    aliases: dict[str, Any]
    mappings: _Mappings
    settings: _Settings


async def behind(wire: Wire, alias: str) -> str | None:
    """The index that an alias stands for; ``None`` where there is no such alias."""
    answer = await wire.ask("GET", f"/_alias/{alias}", allow=(GONE,))
    return None if answer.status == GONE else next(iter(msgspec.json.decode(answer.body, type=dict[str, Any])))


async def _find(wire: Wire, index: Index, name: str) -> Found | None:
    answer = await wire.ask("GET", f"/{name}", allow=(GONE,))
    if answer.status == GONE:
        return None
    described = msgspec.json.decode(answer.body, type=dict[str, _Described])
    one = described.get(name)
    if one is None:
        raise Misconfigured(f"Elasticsearch: `{name}` is an alias of somebody else's; choose another `place`")
    return Found(one.mappings.meta, one.mappings.properties, tuple(one.aliases), one.settings.index.translog.durability)
