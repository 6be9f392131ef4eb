"""Elasticsearch: the same documents in the same mapping, by plain bulks that look at nothing before they write."""

import time
from collections.abc import Sequence

import msgspec

from changes.record import Record
from sinks.elasticsearch import catalog, mappings
from sinks.elasticsearch.values import Encoder, id_of
from sinks.elasticsearch.wire import Wire

_PORTION = 1000


async def raw_upsert(url: str, place: str, batches: Sequence[Sequence[Record]]) -> None:
    """Index every record under ``place``, a place as in `Target.place`; it is made where it is missing."""
    wire = Wire(url, connections=4, timeout=60.0)
    try:
        first = batches[0][0]
        index = mappings.index_for(msgspec.structs.replace(first.target, place=place), first.schema)
        analyzers, version = await catalog.analyzers_of(wire), await catalog.version_of(wire)
        encoder = Encoder(index, await catalog.ensure(wire, index, analyzers, version))
        now = time.time_ns() // 1_000_000
        for batch in batches:
            for start in range(0, len(batch), _PORTION):
                lines: list[bytes] = []
                for record in batch[start : start + _PORTION]:
                    lines.append(msgspec.json.encode({"index": {"_id": id_of(index.key, record.key)}}))
                    lines.append(encoder.document(record, now))
                path = f"/{index.name}/_bulk?filter_path=errors"
                answer = await wire.ask("POST", path, b"\n".join((*lines, b"")), lines=True)
                if answer.body != b'{"errors":false}':
                    raise RuntimeError(f"documents were refused: {answer.body[:500]!r}")
    finally:
        await wire.close()
