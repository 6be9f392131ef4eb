"""Calls to one Weaviate server: data over gRPC, the schema over HTTP. Errors come out as ours; nothing is retried.

Weaviate's own client is not used for calls: it waits and tries again by itself for half a minute, and reads dates and
numbers into other types (docs/decisions/0012-weaviate-guard.md).
"""

import json
from collections.abc import Awaitable, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import grpc  # type: ignore[import-untyped]
import httpx
from weaviate.proto.v1 import batch_pb2, weaviate_pb2_grpc

from changes.errors import Misconfigured, Transient
from sinks.weaviate import wire
from sinks.weaviate.errors import classify_grpc, classify_http
from sinks.weaviate.statements import Found

_LOOKS = "it looks like `http://user:key@host:port?grpc=port`"
_MESSAGE = 104_858_000
"""Bytes of a message that a server takes unless it is told otherwise."""
_OPTIONS = (
    ("grpc.enable_retries", 0),
    # A server that comes back is seen at once, however long it was away.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A new channel is a new connection: otherwise it is given the old one, behind which nobody may be any more.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)


class Client:
    """``timeout`` in seconds, for each call. ``longest`` is how many bytes of a message the server takes."""

    def __init__(self, url: str, timeout: float) -> None:
        try:
            parts = urlsplit(url)
            port = int(parse_qs(parts.query).get("grpc", ["50051"])[0])
            host, secure = parts.hostname, {"http": False, "https": True}[parts.scheme]
            base = f"{parts.scheme}://{host}:{parts.port or (443 if secure else 8080)}/v1"
        except (ValueError, KeyError) as error:  # its text may hold a part of the key
            raise Misconfigured(f"Weaviate: the URL cannot be read: {_LOOKS}") from error
        if not host:
            raise Misconfigured(f"Weaviate: the URL names no host: {_LOOKS}")
        key = unquote(parts.password or "")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._address, self._secure, self._timeout = f"{host}:{port}", secure, timeout
        self._http = httpx.AsyncClient(base_url=base, headers=self._headers, timeout=timeout)
        self._channel: Any = None
        self._stub: Any = None
        self.longest = _MESSAGE

    @property
    def address(self) -> str:
        return self._address

    async def connect(self) -> None:
        """Raises `Transient` where the server is away, `Misconfigured` where it does not know our key."""
        about = await self._ask("GET", "/meta")
        self.longest = int(about.get("grpcMaxMessageSize") or _MESSAGE)

    async def class_(self, place: str) -> dict[str, Any] | None:
        """A class as the server describes it; ``None`` where there is none."""
        return await self._ask("GET", f"/schema/{place}", absent=True)  # type: ignore[no-any-return]

    async def make_class(self, described: dict[str, Any]) -> None:
        await self._ask("POST", "/schema", described)

    async def change_class(self, described: dict[str, Any]) -> None:
        await self._ask("PUT", f"/schema/{described['class']}", described)

    async def add_property(self, place: str, described: dict[str, Any]) -> None:
        await self._ask("POST", f"/schema/{place}/properties", described)

    async def by_ids(
        self, place: str, ids: Sequence[str], properties: Sequence[str] | None, vectors: Sequence[str] = ()
    ) -> dict[str, Found]:
        """Those of the objects that there are, by their ids."""
        if not ids:
            return {}
        reply = await self._call("Search", wire.by_ids(place, ids, properties, vectors))
        return {one.id: one for one in wire.found(reply)}

    async def page(
        self, place: str, after: str | None, limit: int, properties: Sequence[str] | None, vectors: Sequence[str]
    ) -> tuple[list[Found], int]:
        """The next objects beyond ``after`` in the order of ids, and how many bytes they came in."""
        reply = await self._call("Search", wire.page(place, after, limit, properties, vectors))
        return wire.found(reply), reply.ByteSize()

    async def insert(self, objects: Sequence[batch_pb2.BatchObject]) -> dict[int, str]:
        """Put objects in place of what was there; what the server says of those that it refuses, by their number."""
        return wire.errors(await self._call("BatchObjects", wire.bulk(objects)))

    async def expire(self, place: str, before: int) -> int:
        """Remove tombstones that were written before this second; how many it were."""
        reply = await self._call("BatchDelete", wire.expiry(place, before))
        return int(reply.successful)

    async def close(self) -> None:
        await self._drop()
        await self._http.aclose()

    async def _call(self, method: str, request: Any) -> Any:
        if self._stub is None:
            self._channel = self._connection()
            self._stub = weaviate_pb2_grpc.WeaviateStub(self._channel)  # type: ignore[no-untyped-call]
        through = self._channel
        answer: Awaitable[Any] = getattr(self._stub, method)(
            request, metadata=tuple(self._headers.items()), timeout=self._timeout
        )
        try:
            return await answer
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            if code == "DEADLINE_EXCEEDED" and self._channel is through:
                await self._drop()  # nobody may be at the other end any more
            raise classify_grpc(code, error.details() or "") from error

    def _connection(self) -> Any:
        if self._secure:
            return grpc.aio.secure_channel(self._address, grpc.ssl_channel_credentials(), options=_OPTIONS)
        return grpc.aio.insecure_channel(self._address, options=_OPTIONS)

    async def _drop(self) -> None:
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, absent: bool = False) -> Any:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise Transient(f"Weaviate: {str(error) or type(error).__name__}") from error
        if absent and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            wait = answer.headers.get("retry-after", "")
            raise classify_http(answer.status_code, answer.text, float(wait) if wait.isdigit() else None)
        try:
            return answer.json() if answer.content else None
        except json.JSONDecodeError as error:
            raise Misconfigured("Weaviate: what answers at this address is no Weaviate") from error
