"""Elasticsearch: every index, as the bytes of its answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import parse_qs

import httpx
import msgspec

from audit.isolation.stores.answers import Answer, Found, Search, Seeing
from audit.isolation.stores.http import client, refused
from changes.errors import Transient
from sinks.elasticsearch.errors import cause_of, classify

_INDEX = "tailrace-canary"
_PAGE = 1000


class _Hit(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    index: str = msgspec.field(name="_index")
    source: msgspec.Raw = msgspec.field(name="_source", default_factory=lambda: msgspec.Raw(b"{}"))


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Page(msgspec.Struct):
    hits: _Hits
    scroll: str = msgspec.field(name="_scroll_id", default="")


def enter(url: str) -> Answer:
    """Who am I, which everybody may ask whom the server knows; one without security has no such question."""
    known = refused(url, "/_security/_authenticate", ca=_ca)
    return known if known.met != "unknown" else refused(url, "/_cat/indices?format=json", ca=_ca)


def plant(url: str, token: str) -> None:
    with _client(url) as ask:
        ask("PUT", f"/{_INDEX}", {"settings": {"number_of_replicas": 0}}, allow=400)  # 400: it is there
        ask("POST", f"/{_INDEX}/_doc?refresh=true", {"token": token})


def remove(url: str) -> None:
    with _client(url) as ask:
        ask("DELETE", f"/{_INDEX}", allow=404)


def search(url: str, tokens: Sequence[str]) -> Found:
    seen = Search(tokens)
    walk(url, seen)
    return seen.found()


def walk(url: str, seen: Seeing) -> None:
    """Show all documents; tombstones and what aliases hide are among them. Raises `Transient` or `Misconfigured`."""
    with _client(url) as ask:
        ask("POST", "/_refresh")
        page = msgspec.json.decode(ask("POST", f"/_all/_search?scroll=1m&size={_PAGE}", {"sort": ["_doc"]}), type=_Page)
        while page.hits.hits:
            for hit in page.hits.hits:
                seen.see(f"index `{hit.index}`", hit.id, bytes(hit.source))
            page = msgspec.json.decode(
                ask("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page.scroll}), type=_Page
            )
        ask("DELETE", "/_search/scroll", {"scroll_id": page.scroll}, allow=404)


@contextmanager
def _client(url: str) -> Iterator["_Ask"]:
    try:
        with client(url, ca=_ca) as http:
            yield _Ask(http)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Transient(f"Elasticsearch: {error or type(error).__name__}") from error


def _ca(query: str) -> str | None:
    (found,) = parse_qs(query).get("ca_certs", [None])
    return found


class _Ask:
    """The answer's bytes, where it is a success or of the status that is allowed."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, method: str, path: str, body: object = None, *, allow: int = 0) -> bytes:
        answer = self._http.request(method, path, json=body)
        if not answer.is_success and answer.status_code != allow:
            raise classify(answer.status_code, cause_of(answer.content), document=False)
        return answer.content
