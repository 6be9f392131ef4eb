"""How the conformance suite treats MongoDB."""

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from bson import Decimal128, Int64, ObjectId
from conformance import Change, Others, Servers, target_of, with_row
from pymongo import AsyncMongoClient

from changes.canonical import Value
from changes.record import Outcome, Record
from changes.target import Target
from sinks.contract import Sink
from sinks.mongodb.sink import MongoSink
from sinks.mongodb.values import encoder

_MID_BATCH = 40_000
"""Bytes: in the midst of the suite's batch, and more than anything else asks for."""


class Way:
    """A way to a server, on which a connection can be made to break off in the midst of a batch."""

    def __init__(self, host: str, port: int) -> None:
        self.breaking = threading.Event()
        self._to = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            server = socket.create_connection(self._to)
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                passed += len(data) if self.breaking.is_set() else 0
                if passed > _MID_BATCH:
                    other.sendall(data[: len(data) // 2])
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):  # the other thread was faster
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class MongoHarness:
    refused: Mapping[str, Sequence[Value]] = {}
    spoilt: Sequence[tuple[str, Value]] = [
        *((type_, True) for type_ in ("int", "decimal(10,2)", "double", "date", "datetime", "json", "blob", "text")),
        *((type_, [1.0, 2.0]) for type_ in ("int", "decimal(10,2)", "bit(1)", "time", "timestamp", "tinyblob")),
        ("int", "ten"),
        ("bit(1)", 1),
        ("decimal(10,2)", "NaN"),
        ("datetime", "yesterday"),
        ("datetime(3)", "0000-00-00T00:00:00Z"),
        *(("made", value) for value in ([0.1, -2.5], [0.1, -2.5, 0.0, 0.0], "0.1", True)),
    ]

    def __init__(self, stack: Servers, beside: Others) -> None:
        self.url = beside.url("mongodb")
        parts = urlsplit(self.url)
        self._way = Way(parts.hostname or "127.0.0.1", parts.port or 27017)
        options = f"{parts.query}&" if parts.query else ""
        login, at, _ = parts.netloc.rpartition("@")
        direct = parts._replace(
            netloc=f"{login}{at}127.0.0.1:{self._way.port}", query=f"{options}directConnection=true"
        )
        self.through = direct.geturl()

    def build(self) -> Sink:
        return MongoSink(self.through)

    def target(self, place: str) -> Target:
        return target_of("mongodb", place, user="user_id")

    @asynccontextmanager
    async def poison(self, records: Sequence[Record]) -> AsyncIterator[list[Record]]:
        """Somebody's unique index, and somebody's document that has its value already."""
        async with self.collection(records[0].target) as collection:
            index = await collection.create_index("title", unique=True)
            taken = ObjectId()
            await collection.insert_one({"_id": taken, "title": "taken"})
            yield [with_row(record, title="taken") for record in records]
            await collection.drop_index(index)
            await collection.delete_one({"_id": taken})

    async def interrupt(self, sink: Sink, batch: Sequence[Record]) -> list[Outcome]:
        self._way.breaking.set()
        try:
            return await sink.write(batch)
        finally:
            self._way.breaking.clear()

    async def forget_generations(self, target: Target) -> None:
        async with self.collection(target) as collection:
            await collection.update_many({}, {"$unset": {"_tr_gen": ""}})

    async def change(self, target: Target, changes: Sequence[Change]) -> None:
        async with self.collection(target) as collection:
            for id_, column, value in changes:
                encode, given = encoder(column), value
                if encode is not None and value is not None:
                    with contextlib.suppress(ValueError, TypeError, AttributeError):  # no value of its column
                        given = encode(value)
                if value == "NaN":
                    given = Decimal128(value)
                # The stand-in leaves a number alone that is the same as a double, so the old one goes first.
                await collection.update_one({"_id": Int64(id_)}, {"$unset": {column.name: ""}})
                await collection.update_one({"_id": Int64(id_)}, {"$set": {column.name: given}})

    @asynccontextmanager
    async def collection(self, target: Target) -> AsyncIterator[Any]:
        async with AsyncMongoClient[dict[str, Any]](self.url) as client:
            yield client.get_default_database()[target.place]
