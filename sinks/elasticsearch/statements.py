"""The bodies of requests, and what is taken from their answers: no I/O.

The guard reads before it writes: of each row the order and the sequence number that its document has, by id, which sees
what was written a moment ago; then one bulk in which every document is written only if nobody has touched it since.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from changes.canonical import BUCKETS
from changes.record import BucketSum, Record
from sinks.elasticsearch.errors import Cause
from sinks.elasticsearch.mappings import BURIED_AT, DELETED

REMOVE = "/_bulk?filter_path=items.*.status,items.*.error"
BULK = f"{REMOVE}&require_alias=true"
"""A missing index is not made by writing to it: it would have no mapping."""

LOOK = (
    "/_mget?_source_includes=_tr_gen,_tr_pos"
    "&filter_path=docs.found,docs._seq_no,docs._primary_term,docs._source,docs.error"
)
MGET = "/_mget"  # no `filter_path`: it would write the numbers of a source anew
SEARCH = "/_search?allow_partial_search_results=false"

MOST_IN_A_BUCKET = 1 << 21
"""Rows of which the halves of hashes, below 2³², add up exactly in the doubles that the server sums with."""

_GRAVES = 1000

_BURIED: dict[str, Any] = {"term": {DELETED: True}}
_TOLD: dict[str, Any] = {"exists": {"field": "_tr_pos"}}


class Prepared(NamedTuple):
    """A record on its way: its place in the batch, where it goes, and its document."""

    number: int
    record: Record
    alias: str
    id: str
    source: bytes


class Held(NamedTuple):
    """What a document says of itself, and the state of it that was seen."""

    order: tuple[int, int]
    seq_no: int
    primary_term: int


class _Guard(msgspec.Struct):
    generation: Any = msgspec.field(name="_tr_gen", default=0)
    position: Any = msgspec.field(name="_tr_pos", default=0)


class _Looked(msgspec.Struct):
    found: bool = False
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    primary_term: int = msgspec.field(name="_primary_term", default=0)
    source: _Guard | None = msgspec.field(name="_source", default=None)
    error: Cause | None = None


class Got(msgspec.Struct):
    """One document that was asked for by its id."""

    found: bool = False
    source: msgspec.Raw = msgspec.field(name="_source", default_factory=lambda: msgspec.Raw(b"{}"))
    error: Cause | None = None


class Item(msgspec.Struct):
    """What became of one document of a bulk."""

    status: int
    error: Cause | None = None


class Hit(msgspec.Struct):
    """One document that was walked to."""

    id: str = msgspec.field(name="_id")
    sort: list[Any]
    source: msgspec.Raw = msgspec.field(name="_source", default_factory=lambda: msgspec.Raw(b"{}"))
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    primary_term: int = msgspec.field(name="_primary_term", default=0)


class _Sum(msgspec.Struct):
    value: float


class _Bucket(msgspec.Struct):
    key: int
    doc_count: int
    h1: _Sum
    h2: _Sum


class _Buckets(msgspec.Struct):
    buckets: list[_Bucket]


class _Aggregated(msgspec.Struct):
    by: _Buckets


class _Hits(msgspec.Struct):
    hits: list[Hit]


class Page(msgspec.Struct):
    """A search's answer."""

    hits: _Hits
    pit_id: str = ""
    aggregations: _Aggregated | None = None


class _LookedAt(msgspec.Struct):
    docs: list[_Looked]


class _Found(msgspec.Struct):
    docs: list[Got]


class _Done(msgspec.Struct):
    items: list[dict[str, Item]]


page_of = msgspec.json.Decoder(Page).decode
_looked = msgspec.json.Decoder(_LookedAt).decode
_found = msgspec.json.Decoder(_Found).decode
_done = msgspec.json.Decoder(_Done).decode


def wanted(places: Sequence[tuple[str, str]]) -> bytes:
    """The body that asks for documents by (index or alias, id)."""
    return msgspec.json.encode({"docs": [{"_index": index, "_id": id_} for index, id_ in places]})


def held(answer: bytes) -> list[Held | Cause | None]:
    """What `LOOK` answered, document by document: ``None`` where there is none, a `Cause` where nobody could look."""
    return [_held(one) for one in _looked(answer).docs]


def _held(one: _Looked) -> Held | Cause | None:
    if one.error is not None:
        return one.error
    if not one.found:
        return None
    guard = one.source or _Guard()
    order = (_number(guard.generation), _number(guard.position))
    return Held(order, one.seq_no, one.primary_term)


def _number(value: Any) -> int:
    return value if type(value) is int else 0


def got(answer: bytes) -> list[Got]:
    return _found(answer).docs


def lands(record: Record, found: Held | None) -> bool:
    """The guard: nothing newer is there, or exactly what the record was told to write over."""
    return found is None or found.order <= record.order or found.order[1] == record.over


def bulk(landing: Sequence[tuple[Prepared, Held | None]]) -> bytes:
    """The body that writes each document if it is still in the state that was seen."""
    lines: list[bytes] = []
    for prepared, found in landing:
        place: dict[str, Any] = {"_index": prepared.alias, "_id": prepared.id}
        if found is None:
            action = {"create": place}
        else:
            action = {"index": {**place, "if_seq_no": found.seq_no, "if_primary_term": found.primary_term}}
        lines += (msgspec.json.encode(action), prepared.source)
    return b"\n".join((*lines, b""))


def removal(index: str, hits: Sequence[Hit]) -> bytes:
    """The body of a bulk that deletes documents which are still what was walked to."""
    lines = [
        msgspec.json.encode(
            {
                "delete": {
                    "_index": index,
                    "_id": hit.id,
                    "if_seq_no": hit.seq_no,
                    "if_primary_term": hit.primary_term,
                }
            }
        )
        for hit in hits
    ]
    return b"\n".join((*lines, b""))


def items(answer: bytes) -> list[Item]:
    return [item for one in _done(answer).items for item in one.values()]


def living(buckets: Collection[int] | None = None) -> dict[str, Any]:
    """The query for rows, of some buckets or all; those that somebody else wrote may be of any."""
    query: dict[str, Any] = {"must_not": _BURIED}
    if buckets is not None:
        of_them = {"terms": {"_tr_bucket": sorted(buckets)}}
        query["filter"] = {"bool": {"should": [of_them, {"bool": {"must_not": _TOLD}}]}}
    return {"bool": query}


def foreign() -> dict[str, Any]:
    """The query for rows that somebody else wrote."""
    return {"bool": {"must_not": [_BURIED, _TOLD]}}


def beyond(upto: int) -> dict[str, Any]:
    """The query for rows and tombstones that are stored under a newer position."""
    return {"range": {"_tr_pos": {"gt": upto}}}


def graves(before: int) -> bytes:
    """The body that finds some tombstones which were written before a time in ms."""
    query = {"bool": {"filter": [_BURIED, {"range": {BURIED_AT: {"lte": before}}}]}}
    found = {"size": _GRAVES, "track_total_hits": False, "seq_no_primary_term": True, "_source": False}
    return msgspec.json.encode({"query": query, "sort": ["_doc"], **found})


def page(
    query: Mapping[str, Any], pit: str, size: int, after: Sequence[Any] | None, source: bool | Sequence[str]
) -> bytes:
    """The body that goes on behind a document of which the place in the order was ``after``."""
    body = {
        "query": query,
        "pit": {"id": pit, "keep_alive": KEPT_OPEN},
        "size": size,
        "sort": ["_shard_doc"],
        "track_total_hits": False,
        "_source": source,
    }
    return msgspec.json.encode(body if after is None else {**body, "search_after": after})


KEPT_OPEN = "30m"
"""How long whoever compares rows may take between two pages."""


def tally(pit: str, upto: int) -> bytes:
    """The body that counts and sums rows up to a position, by bucket."""
    sums = {"h1": {"sum": {"field": "_tr_h1"}}, "h2": {"sum": {"field": "_tr_h2"}}}
    return msgspec.json.encode(
        {
            "query": {"bool": {"must_not": _BURIED, "filter": {"range": {"_tr_pos": {"lte": upto}}}}},
            "pit": {"id": pit, "keep_alive": KEPT_OPEN},
            "size": 0,
            "track_total_hits": False,
            "aggs": {"by": {"terms": {"field": "_tr_bucket", "size": BUCKETS}, "aggs": sums}},
        }
    )


def sums(found: Page) -> dict[int, BucketSum]:
    """What `tally` answered. Raises `OverflowError` where a bucket has too many rows for exact sums."""
    if found.aggregations is None:
        return {}
    for one in found.aggregations.by.buckets:
        if one.doc_count > MOST_IN_A_BUCKET:
            raise OverflowError(f"bucket {one.key} has {one.doc_count} rows: the server cannot sum them exactly")
    return {
        one.key: BucketSum(one.doc_count, int(one.h1.value), int(one.h2.value)) for one in found.aggregations.by.buckets
    }
