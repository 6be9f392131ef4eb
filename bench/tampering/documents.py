"""The stores of documents: Redis, MongoDB, Elasticsearch."""

import json
from typing import Any

import httpx
import msgspec
from bson import Int64
from pymongo import MongoClient
from redis import Redis

from bench.tampering.store import BEYOND, Held, Row
from changes.position import TEXT_WIDTH, to_text
from changes.target import Target
from sinks.elasticsearch import index_of

_STAMP, _GENERATION = "stamp", 5


_DAYS = 30 * 86400


class RedisStore:
    """A row's value is JSON; its position is in the stamp beside it, behind a generation of 5 digits."""

    def __init__(self, url: str) -> None:
        self._client = Redis.from_url(url, decode_responses=True)

    def take(self, target: Target, row: Row) -> Held:
        place = target.place.format(**row.key)
        value, stamp = self._client.get(place), self._client.get(f"_tr:{place}")
        if value is None:
            raise LookupError(place)
        return {**json.loads(str(value)), _STAMP: stamp}

    def put(self, target: Target, row: Row, held: Held) -> None:
        place = target.place.format(**row.key)
        value = {name: value for name, value in held.items() if name != _STAMP}
        self._client.set(place, json.dumps(value | dict(row.key)))
        self._client.set(f"_tr:{place}", held[_STAMP])

    def drop(self, target: Target, row: Row) -> None:
        place = target.place.format(**row.key)
        self._client.delete(place, f"_tr:{place}")

    def limit(self, target: Target, row: Row) -> None:
        """Have the row's value go by itself, in some weeks."""
        if not self._client.expire(target.place.format(**row.key), _DAYS):
            raise LookupError(row.key)

    def name(self, column: str) -> str:
        return column

    def raised(self, held: Held) -> Held:
        stamp = held[_STAMP]
        return {**held, _STAMP: stamp[:_GENERATION] + to_text(BEYOND) + stamp[_GENERATION + TEXT_WIDTH :]}

    def close(self) -> None:
        self._client.close()


class MongoStore:
    def __init__(self, url: str) -> None:
        self._client: MongoClient[Held] = MongoClient(url)
        self._database = self._client.get_default_database()

    def take(self, target: Target, row: Row) -> Held:
        found = self._database[target.place].find_one({"_id": Int64(row.id)})
        if found is None:
            raise LookupError(row.id)
        return found

    def put(self, target: Target, row: Row, held: Held) -> None:
        self.drop(target, row)  # the stand-in of a MongoDB leaves a number alone that is the same as a double
        self._database[target.place].insert_one({**held, "_id": Int64(row.id), **row.key})

    def drop(self, target: Target, row: Row) -> None:
        self._database[target.place].delete_one({"_id": Int64(row.id)})

    def name(self, column: str) -> str:
        return column

    def raised(self, held: Held) -> Held:
        return {**held, "_tr_pos": Int64(BEYOND)}

    def close(self) -> None:
        self._client.close()


class ElasticsearchStore:
    """What is no text and no whole number is put back digit by digit as it was taken."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60)

    def take(self, target: Target, row: Row) -> Held:
        answer = self._client.get(self._path(target, row))
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise LookupError(row.id)
        found = msgspec.json.decode(answer.raise_for_status().content, type=dict[str, msgspec.Raw])
        source = msgspec.json.decode(found["_source"], type=dict[str, msgspec.Raw])
        return {name: _plain(value) for name, value in source.items()}

    def put(self, target: Target, row: Row, held: Held) -> None:
        body = msgspec.json.encode(held | dict(row.key))
        headers = {"content-type": "application/json"}
        self._client.put(self._path(target, row), content=body, headers=headers).raise_for_status()

    def drop(self, target: Target, row: Row) -> None:
        self._client.delete(self._path(target, row)).raise_for_status()

    @staticmethod
    def _path(target: Target, row: Row) -> str:
        return f"/{index_of(target)}/_doc/{row.id}?refresh=true"

    def name(self, column: str) -> str:
        return column

    def raised(self, held: Held) -> Held:
        return {**held, "_tr_pos": BEYOND}

    def close(self) -> None:
        self._client.close()


def _plain(raw: msgspec.Raw) -> Any:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str | int) else raw
