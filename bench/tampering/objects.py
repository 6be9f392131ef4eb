"""Weaviate: a row is an object, with its vectors beside its properties."""

import base64
from typing import Any
from urllib.parse import urlsplit

import httpx

from bench.tampering.store import BEYOND, Held, Row
from changes.key import key_of
from changes.position import to_text
from changes.schema import Column, Kind, TableSchema
from changes.target import Target
from sinks.weaviate.schema import property_of
from sinks.weaviate.statements import object_id

_KEY = "_tr_key"


class Objects:
    """Of rows whose key is a BIGINT, which is text here."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        headers = {"Authorization": f"Bearer {parts.password}"}
        base = f"http://{parts.hostname}:{parts.port}/v1/objects"
        self._client = httpx.Client(base_url=base, headers=headers, timeout=60)

    def take(self, target: Target, row: Row) -> Held:
        answer = self._client.get(_path(target, row), params={"include": "vector"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise LookupError(row.id)
        found = answer.raise_for_status().json()
        return {**found["properties"], **found.get("vectors", {})}

    def put(self, target: Target, row: Row, held: Held) -> None:
        vectors = {name: value for name, value in held.items() if isinstance(value, list)}
        properties: dict[str, Any] = {name: value for name, value in held.items() if name not in vectors}
        (column,) = row.key
        properties |= {property_of(column): str(row.id), _KEY: base64.b64encode(_canonical(row)).decode()}
        made = {"class": target.place, "id": object_id(_canonical(row)), "properties": properties, "vectors": vectors}
        there = self._client.head(_path(target, row)).status_code != httpx.codes.NOT_FOUND
        answer = self._client.put(_path(target, row), json=made) if there else self._client.post("", json=made)
        answer.raise_for_status()

    def drop(self, target: Target, row: Row) -> None:
        self._client.delete(_path(target, row)).raise_for_status()

    def name(self, column: str) -> str:
        return property_of(column)

    def raised(self, held: Held) -> Held:
        return {**held, "_tr_pos": to_text(BEYOND)}

    def close(self) -> None:
        self._client.close()


def _path(target: Target, row: Row) -> str:
    return f"/{target.place}/{object_id(_canonical(row))}"


def _canonical(row: Row) -> bytes:
    columns = tuple(Column(name, Kind.INTEGER, "bigint") for name in row.key)
    return key_of(TableSchema("", "", columns, tuple(row.key)), row.key).canonical
