"""The console's web application: the page, its live stream, and what it hands on to the agents.

    GET  /                                     the page
    GET  /static/…                             what it is made of
    GET  /events                               server-sent events: a `watching.Frame` each second
    GET  /metrics                              what every agent's metrics say
    GET  /api/{version}/trend|audits|incidents|letters, /audits/{id}, /differences/{id}
    GET  /api/{version}/audits/{id}.html       the report as a page
    POST /api/{version}/audits|repairs|letters/retry|letters/discard

The last two lines are `tailrace.agent.api`'s, handed on. Which requests are answered at all, `guard` decides.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from httpx import codes
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from changes.errors import Transient
from tailrace.agent.api import AuditOrder, LetterOrder, RepairOrder, SideBySide
from tailrace.console.agents import Agents, Answer
from tailrace.console.guard import HEADERS, REPORT_POLICY, Refused, refusal
from tailrace.console.masking import masked
from tailrace.console.metrics import joined
from tailrace.console.watching import Watching

STATIC = Path(__file__).with_name("static")
LARGEST_BODY = 1 << 20

READ: Mapping[str, tuple[str, ...]] = {
    "trend": ("since_ms",),
    "audits": ("limit", "why"),
    "incidents": ("limit",),
    "letters": ("sink",),
}
"""What is handed on as it stands, and its parameters."""
CHANGES: Mapping[str, type[msgspec.Struct]] = {
    "audits": AuditOrder,
    "repairs": RepairOrder,
    "letters/retry": LetterOrder,
    "letters/discard": LetterOrder,
}


def application(agents: Agents, watching: Watching, token: str | None) -> Starlette:
    """The console over some agents; read-only where there is no ``token``. ``watching`` runs as long as it does."""
    console = _Console(agents, watching)

    @asynccontextmanager
    async def running(_: Starlette) -> AsyncIterator[None]:
        asking = asyncio.create_task(watching.run())
        try:
            yield
        finally:
            watching.stop()
            await asking
            await agents.close()

    routes = [
        Route("/", console.page),
        Route("/events", console.events),
        Route("/metrics", console.metrics),
        *(Route(f"/api/{{version}}/{path}", console.handed_on, methods=["GET"], name=path) for path in READ),
        Route("/api/{version}/audits/{id:path}.html", console.report),
        Route("/api/{version}/audits/{id}", console.audit),
        Route("/api/{version}/differences/{id}", console.differences),
        *(Route(f"/api/{{version}}/{path}", console.change, methods=["POST"], name=path) for path in CHANGES),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {Transient: _away, HTTPException: _in_words, msgspec.DecodeError: _misunderstood}
    app = Starlette(routes=routes, lifespan=running, exception_handlers=handlers)
    app.add_middleware(_Guarded, token=token)
    return app


class _Console:
    def __init__(self, agents: Agents, watching: Watching) -> None:
        self._agents, self._watching = agents, watching

    async def page(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def events(self, _: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            yield b"retry: 1000\n\n"
            async for frame in self._watching.frames():
                yield b"data: " + msgspec.json.encode(frame) + b"\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def metrics(self, _: Request) -> Response:
        async def told(version: str) -> str | None:
            try:
                return await self._agents.metrics(version)
            except Transient:
                return None  # which `tailrace_agent_up` says

        texts = await asyncio.gather(*map(told, self._agents.versions))
        text = joined(dict(zip(self._agents.versions, texts, strict=True)))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def handed_on(self, request: Request) -> Response:
        path = request.url.path.rsplit("/", 1)[1]
        return await self._asked(request, f"/{path}", READ[path])

    async def audit(self, request: Request) -> Response:
        return await self._asked(request, f"/audits/{_id(request)}")

    async def report(self, request: Request) -> Response:
        response = await self._asked(request, f"/audits/{_id(request)}.html")
        response.headers["content-security-policy"] = REPORT_POLICY
        return response

    async def differences(self, request: Request) -> Response:
        answer = await self._answer(request, f"/differences/{_id(request)}", ("sink", "table"))
        if answer.status != codes.OK:
            return _passed(answer)
        rows = masked(msgspec.json.decode(answer.body, type=list[SideBySide]))
        return Response(msgspec.json.encode(rows), media_type="application/json")

    async def change(self, request: Request) -> Response:
        path = request.url.path.split("/", 3)[3]
        if int(request.headers.get("content-length", LARGEST_BODY + 1)) > LARGEST_BODY:
            raise HTTPException(413, f"the request has more than {LARGEST_BODY >> 20} MB, or does not say its length")
        try:
            order = msgspec.json.decode(await request.body(), type=CHANGES[path])
        except msgspec.DecodeError as error:
            raise HTTPException(400, str(error)) from error
        return await self._asked(request, f"/{path}", body=msgspec.json.encode(order))

    async def _asked(
        self, request: Request, path: str, names: tuple[str, ...] = (), body: bytes | None = None
    ) -> Response:
        return _passed(await self._answer(request, path, names, body))

    async def _answer(
        self, request: Request, path: str, names: tuple[str, ...] = (), body: bytes | None = None
    ) -> Answer:
        version = request.path_params["version"]
        if version not in self._agents.versions:
            raise HTTPException(404, f"there is no version `{version}`")
        parameters = {name: request.query_params[name] for name in names if name in request.query_params}
        return await self._agents.ask(version, path, parameters, body)


class _Guarded:
    """Refuses what `guard.refusal` refuses, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        request = Request(scope)
        refused = refusal(request.method, request.headers, self._token)
        app: ASGIApp = self._app if refused is None else _refused(refused)
        await app(scope, receive, with_headers)


def _id(request: Request) -> str:
    """The audit's id, of letters, digits and dashes only: it becomes part of a path."""
    found = str(request.path_params["id"])
    return "".join(sign for sign in found if sign.isalnum() or sign in "-_")


def _passed(answer: Answer) -> Response:
    return Response(answer.body, answer.status, headers={"content-type": answer.kind or "application/json"})


def _refused(refused: Refused) -> Response:
    return JSONResponse({"error": refused.reason}, refused.status)


async def _away(_: Request, error: Exception) -> Response:
    return _refused(Refused(503, str(error)))


async def _misunderstood(_: Request, error: Exception) -> Response:
    return _refused(Refused(502, f"the agent's answer is not understood: {error}"))


async def _in_words(_: Request, error: Exception) -> Response:
    status, reason = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
    return _refused(Refused(status, reason))
