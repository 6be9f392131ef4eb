"""What is kept for lanes, in an index of its own: a document for each."""

from typing import NamedTuple
from urllib.parse import quote

import msgspec

from changes.errors import Misconfigured, Transient
from sinks.elasticsearch import META_INDEX
from sinks.elasticsearch.errors import CONFLICT, GONE, cause_of, classify
from sinks.elasticsearch.wire import Wire

_ROUNDS = 10
_CREATION = {
    "settings": {
        "index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "hidden": True,
            "translog.durability": "request",
        }
    },
    "mappings": {"enabled": False},
}


class _Body(msgspec.Struct):
    lane: str
    stamp: str


class _Kept(msgspec.Struct):
    found: bool = False
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    primary_term: int = msgspec.field(name="_primary_term", default=0)
    source: _Body | None = msgspec.field(name="_source", default=None)


class _Seen(NamedTuple):
    stamp: str | None
    condition: str


async def stamped(wire: Wire, lane: str) -> str | None:
    seen = await _look(wire, lane)
    return None if seen is None else seen.stamp


async def stamp(wire: Wire, lane: str, text: str) -> str | None:
    """Keep ``text``; what it replaced. Raises `Transient` where others keep stamping the same lane."""
    body = msgspec.json.encode(_Body(lane, text))
    for _ in range(_ROUNDS):
        seen = await _look(wire, lane)
        if seen is None:
            await _create(wire)
            continue
        answer = await wire.ask("PUT", f"{_path(lane)}?{seen.condition}", body, allow=(CONFLICT,))
        if answer.status != CONFLICT:
            return seen.stamp
    raise Transient(f"Elasticsearch: others keep writing the stamp of `{lane}`")


async def _look(wire: Wire, lane: str) -> _Seen | None:
    """What is kept, and the condition under which it may be replaced; ``None`` where the index is missing."""
    answer = await wire.ask("GET", _path(lane), allow=(GONE,))
    if answer.status == GONE and (cause := cause_of(answer.body)).type:
        if cause.type == "index_not_found_exception":
            return None
        raise classify(answer.status, cause, document=False)
    try:
        kept = msgspec.json.decode(answer.body, type=_Kept)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"Elasticsearch: what `{META_INDEX}` holds for `{lane}` is no stamp: {error}") from error
    if not kept.found or kept.source is None:
        return _Seen(None, "op_type=create")
    return _Seen(kept.source.stamp, f"if_seq_no={kept.seq_no}&if_primary_term={kept.primary_term}")


async def _create(wire: Wire) -> None:
    answer = await wire.ask("PUT", f"/{META_INDEX}", msgspec.json.encode(_CREATION), allow=(400,))
    if answer.status == 400 and (cause := cause_of(answer.body)).type != "resource_already_exists_exception":
        raise classify(answer.status, cause, document=False)


def _path(lane: str) -> str:
    return f"/{META_INDEX}/_doc/{quote(lane, safe='')}"
