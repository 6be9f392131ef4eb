"""How the conformance suite treats Elasticsearch."""

import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
from conformance import Change, Others, Servers, target_of, with_row

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.schema import Column, Kind
from changes.target import Target
from sinks.contract import Sink
from sinks.elasticsearch import index_of
from sinks.elasticsearch.sink import ElasticsearchSink

_CUT_AFTER = 20_000


class Relay:
    """A port through which the server is reached, and which can break off in mid-request."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname or "", parts.port or 9200)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = parts._replace(netloc=f"127.0.0.1:{self._listening.getsockname()[1]}").geturl()
        self.cutting = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            server = socket.create_connection(self._upstream)
            threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed = passed + len(data) if self.cutting else 0
                if asking and passed > _CUT_AFTER:
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()


class ElasticsearchHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        *((type_, True) for type_ in ("date", "time", "datetime", "timestamp", "varchar(9)", "json", "blob")),
        *((type_, [1.0, 2.0, 0.5]) for type_ in ("int", "decimal(10,2)", "double", "text", "time")),
        ("int", "1_0"),
        ("int", "ten"),
        ("tinyblob", 0),
        ("bit(1)", "yes"),
        ("decimal(10,2)", "1e999999999"),
        ("date", "1000-01-01T00:00:01"),
        ("date", "0000-00-00"),
        ("json", "{"),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
        self.url = beside.url("elasticsearch")
        self.relay = Relay(self.url)

    def build(self) -> Sink:
        return ElasticsearchSink(self.relay.url)

    def target(self, place: str) -> Target:
        return target_of("elasticsearch", place)

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, title={"no": "text"}) for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        self.relay.cutting = True
        try:
            return await sink.write(batch)
        finally:
            self.relay.cutting = False

    async def forget_generations(self, target: Target) -> None:
        documents = await self._documents(target)
        for fields in documents.values():
            del fields["_tr_gen"]
        await self._replace(target, documents)

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        documents = await self._documents(target)
        for id_, column, value in changes:
            put(documents[str(id_)], column, value)
        await self._replace(target, {str(id_): documents[str(id_)] for id_, _, _ in changes})

    async def _documents(self, target: Target) -> dict[str, dict[str, Any]]:
        """Every document by its id: its fields as their JSON."""
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            await client.post(f"/{index_of(target)}/_refresh")
            answer = await client.post(f"/{index_of(target)}/_search", json={"size": 10_000})
        hits = msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])["hits"]
        found = msgspec.json.decode(hits, type=dict[str, msgspec.Raw])["hits"]
        return {
            msgspec.json.decode(one["_id"]): msgspec.json.decode(one["_source"], type=dict[str, msgspec.Raw])
            for one in msgspec.json.decode(found, type=list[dict[str, msgspec.Raw]])
        }

    async def _replace(self, target: Target, documents: Mapping[str, Mapping[str, Any]]) -> None:
        lines = b"".join(
            b'{"index":{"_id":%b}}\n%b\n' % (msgspec.json.encode(id_), msgspec.json.encode(fields))
            for id_, fields in documents.items()
        )
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            path = f"/{index_of(target)}/_bulk"
            answer = await client.post(path, content=lines, headers={"content-type": "application/x-ndjson"})
        assert not answer.json()["errors"], answer.text


def put(fields: dict[str, Any], column: Column, value: Value) -> None:
    """Another value into a document's fields, as somebody would who writes it the way it stands there."""
    aside = msgspec.json.decode(fields.pop("_tr_vectors", b"{}"), type=dict[str, msgspec.Raw])
    fields.pop(column.name, None)
    aside.pop(column.name, None)
    if column.kind is Kind.JSON and isinstance(value, str) and value[:1] in {"{", "["} and len(value) > 1:
        fields[column.name] = msgspec.Raw(value.encode())
    elif column.kind is Kind.VECTOR and isinstance(value, list):
        aside[column.name] = msgspec.Raw(msgspec.json.encode(value))
    elif value is not None:
        fields[column.name] = msgspec.Raw(msgspec.json.encode(value))
    if aside:
        fields["_tr_vectors"] = msgspec.Raw(msgspec.json.encode(aside))
