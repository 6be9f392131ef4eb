"""Weaviate: every object of every class, as the bytes of its answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import msgspec

from audit.isolation.stores.answers import Answer, Found, Search, Seeing
from audit.isolation.stores.http import client, refused
from changes.errors import Transient
from sinks.weaviate.errors import classify_http

_CLASS = "TailraceCanary"
_PORT = 8080
_PAGE = 500
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


class _Class(msgspec.Struct):
    name: str = msgspec.field(name="class")


class _Schema(msgspec.Struct):
    classes: list[_Class] | None = None


class _Object(msgspec.Struct):
    id: str
    properties: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


class _Page(msgspec.Struct):
    objects: list[_Object] | None = None


def enter(url: str) -> Answer:
    return refused(url, "/v1/schema", bearer=True, port=_PORT)


def plant(url: str, token: str) -> None:
    with _client(url) as ask:
        described = {"class": _CLASS, "vectorizer": "none", "properties": [{"name": "token", "dataType": ["text"]}]}
        ask("POST", "/v1/schema", described, allow=422)  # 422: it is there
        ask("POST", "/v1/objects", {"class": _CLASS, "properties": {"token": token}})


def remove(url: str) -> None:
    with _client(url) as ask:
        ask("DELETE", f"/v1/schema/{_CLASS}", allow=400)  # 400: there is none


def search(url: str, tokens: Sequence[str]) -> Found:
    seen = Search(tokens)
    walk(url, seen)
    return seen.found()


def walk(url: str, seen: Seeing) -> None:
    """Show all objects of every class. Raises `Transient` or `Misconfigured`."""
    with _client(url) as ask:
        for one in msgspec.json.decode(ask("GET", "/v1/schema"), type=_Schema).classes or []:
            after = _BEFORE_ALL
            while objects := _page(ask, one.name, after):
                for found in objects:
                    seen.see(f"class `{one.name}`", found.id, bytes(found.properties))
                after = objects[-1].id


def _page(ask: "_Ask", name: str, after: str) -> list[_Object]:
    told = ask("GET", f"/v1/objects?class={name}&limit={_PAGE}&after={after}")
    return msgspec.json.decode(told, type=_Page).objects or []


@contextmanager
def _client(url: str) -> Iterator["_Ask"]:
    try:
        with client(url, bearer=True, port=_PORT) as http:
            yield _Ask(http)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Transient(f"Weaviate: {error or type(error).__name__}") from error


class _Ask:
    """The answer's bytes, where it is a success or of the status that is allowed."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, method: str, path: str, body: object = None, *, allow: int = 0) -> bytes:
        answer = self._http.request(method, path, json=body)
        if not answer.is_success and answer.status_code != allow:
            raise classify_http(answer.status_code, answer.text)
        return answer.content
