"""HTTP to one Elasticsearch, over its client's own transport, with answers as the bytes that came.

The client above it is left out on purpose: one of version 9 is refused by servers of version 8, it retries by itself,
and its JSON would turn the numbers of a document into doubles.
"""

import asyncio
import base64
import io
from collections.abc import Collection
from contextlib import nullcontext
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from elastic_transport import AiohttpHttpNode, HttpHeaders, NodeConfig, TlsError, TransportError

from changes.errors import Misconfigured, Transient
from sinks.elasticsearch.errors import cause_of, classify

_JSON, _LINES = "application/json", "application/x-ndjson"
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"
_LOOKS_LIKE = "it looks like `http://user:password@host:9200`"


_LARGE = 1 << 20


class _Body(io.BytesIO):
    """A large body: sent piece by piece, so that others have a turn meanwhile, and logged as its size."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, *how: str) -> str:
        """What the transport writes into its log of level DEBUG."""
        return f"({self._size} bytes)"


class Answer(NamedTuple):
    status: int
    body: bytes


class Wire:
    """At most ``connections`` requests at a time, of which all but one may be long ones; ``timeout`` in seconds.
    Nothing is tried twice."""

    def __init__(self, url: str, *, connections: int, timeout: float) -> None:
        self._node = AiohttpHttpNode(_config(url, connections, timeout))
        self._long = asyncio.Semaphore(max(1, connections - 1))

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        allow: Collection[int] = (),
        lines: bool = False,
        patience: float | None = None,
    ) -> Answer:
        """The answer, where it is a success or its status among ``allow``; ``lines``: the body is that of a bulk;
        ``patience``: seconds, for one that may be long.

        Raises `Transient`, `Misconfigured` or, where the body is too large, `Rejected`.
        """
        headers = HttpHeaders({"accept": _JSON, "content-type": _LINES if lines else _JSON})
        limit = self._node.config.request_timeout if patience is None else patience
        sent: Any = body if body is None or len(body) <= _LARGE else _Body(body)
        try:
            async with nullcontext() if patience is None else self._long:
                answer = await self._node.perform_request(method, path, sent, headers, limit)
        except TlsError as error:
            if _CERTIFICATE in str(error):
                raise Misconfigured(f"Elasticsearch: {error}; name its authority: `?ca_certs=<file>`") from error
            raise Transient(f"Elasticsearch: {error}") from error
        except (TransportError, OSError) as error:
            raise Transient(f"Elasticsearch: {str(error) or type(error).__name__}") from error
        status = answer.meta.status
        if not 200 <= status < 300 and status not in allow:
            raise classify(status, cause_of(answer.body), document=False)
        return Answer(status, answer.body)

    async def close(self) -> None:
        await self._node.close()


def _config(url: str, connections: int, timeout: float) -> NodeConfig:
    """Raises `Misconfigured`; its text holds no part of the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 9200)
        (ca_certs,) = parse_qs(parts.query).get("ca_certs", [None])
    except ValueError as error:
        raise Misconfigured(f"Elasticsearch: the URL cannot be read: {_LOOKS_LIKE}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misconfigured(f"Elasticsearch: the URL cannot be used: {_LOOKS_LIKE}")
    headers = HttpHeaders({"user-agent": "tailrace"})
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        return NodeConfig(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port,
            path_prefix=parts.path.rstrip("/"),
            headers=headers,
            connections_per_node=connections,
            request_timeout=timeout,
            ca_certs=ca_certs if parts.scheme == "https" else None,
        )
    except ValueError as error:
        raise Misconfigured(f"Elasticsearch: the URL cannot be used: {_LOOKS_LIKE}") from error
