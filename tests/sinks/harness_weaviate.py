"""How the conformance suite treats Weaviate."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from conformance import Change, Others, Servers, target_of, with_row

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.schema import Kind
from changes.target import Target
from sinks.contract import Sink
from sinks.weaviate.sink import WeaviateSink


class WeaviateHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        *(("bigint", value) for value in ("1_0", "ten", " 1", "1.5", "")),
        *(("decimal(65,30)", value) for value in ("1e999999999", "NaN", "")),
        ("decimal(10,2)", 1e300),
        ("date", "1000-01-01T00:00:01Z"),
        ("datetime", "1000-01-01T00:00:00+01:00"),
        *(("time", value) for value in ("", "01:00:00ZZ", "1:00:00")),
        ("json", "{"),
        *((type_, "AAAA=A") for type_ in ("tinyblob", "bit(12)")),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
        self.url = beside.url("weaviate")
        grpc = parse_qs(urlsplit(self.url).query)["grpc"][0]
        self._line = Line(int(grpc))
        self._by_line = self.url.replace(f"grpc={grpc}", f"grpc={self._line.port}")

    def build(self) -> Sink:
        return WeaviateSink(self._by_line)

    def target(self, place: str) -> Target:
        return target_of("weaviate", place.capitalize())

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        yield [with_row(record, title=7) for record in records]

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        self._line.cut_after(40_000)  # the look at what is stored is 15 kB, the bulk more than 100
        return await sink.write(batch)

    async def forget_generations(self, target: Target) -> None:
        async with rest(self.url) as client:
            for found in await objects(client, target.place):
                del found["properties"]["_tr_gen"]
                await put(client, found)

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        async with rest(self.url) as client:
            described = (await client.get(f"/schema/{target.place}")).raise_for_status().json()
            types = {one["name"]: one["dataType"][0] for one in described["properties"]}
            found = {int(one["properties"]["rowId"]): one for one in await objects(client, target.place)}
            for id_, column, value in changes:
                one = found[id_]
                if column.kind is Kind.VECTOR:
                    _set(one.setdefault("vectors", {}), column.name, value)
                else:
                    _set(one["properties"], column.name, None if value is None else _as(types[column.name], value))
                await put(client, one)


def rest(url: str) -> httpx.AsyncClient:
    """Weaviate's HTTP interface, as any application would use it."""
    parts = urlsplit(url)
    headers = {"Authorization": f"Bearer {parts.password}"}
    return httpx.AsyncClient(base_url=f"http://{parts.hostname}:{parts.port}/v1", headers=headers, timeout=60)


async def objects(client: httpx.AsyncClient, place: str) -> list[dict[str, Any]]:
    """All objects of a class, of which there must be few."""
    asked = {"class": place, "limit": 5000, "include": "vector"}
    found: list[dict[str, Any]] = (await client.get("/objects", params=asked)).raise_for_status().json()["objects"]
    return found


async def put(client: httpx.AsyncClient, one: dict[str, Any]) -> None:
    sent = {name: one[name] for name in ("class", "id", "properties", "vectors") if name in one}
    answer = await client.put(f"/objects/{one['class']}/{one['id']}", json=sent)
    assert answer.is_success, answer.text


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        del values[name]
    else:
        values[name] = value


def _as(type_: str, value: Any) -> Any:
    """A value as JSON for a property of this type."""
    match type_:
        case "number":
            return float(value)
        case "date":
            text = f"{value}T00:00:00" if len(value) == 10 else value
            return text if re.search(r"(Z|[+-]\d\d:\d\d)$", text) else f"{text}Z"
        case "text":
            return value if isinstance(value, str) else json.dumps(value)
    return value


class Line:
    """Forwards to a port of this machine, and can be cut once so many bytes more have gone that way."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._left: int | None = None
        self._guard = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, number: int) -> None:
        with self._guard:
            self._left = number

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            server = socket.create_connection(("127.0.0.1", self._to))
            for one, other, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._forward, args=(one, other, counted), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, counted: bool) -> None:
        with one, contextlib.suppress(OSError):
            while data := one.recv(4096):
                if counted and self._spent(len(data)):
                    break
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def _spent(self, number: int) -> bool:
        with self._guard:
            if self._left is None:
                return False
            self._left -= number
            if self._left > 0:
                return False
            self._left = None
            return True
