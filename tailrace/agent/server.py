"""The agent's socket: HTTP for this user alone. What is asked and answered stands in `tailrace.agent.api`."""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from audit.entry import AuditDetail, Why
from audit.html import page
from audit.incidents import Scope, Spot
from audit.report import Class
from changes.errors import Misconfigured, Transient
from tailrace.agent import api
from tailrace.agent.agent import Agent, told
from tailrace.agent.auditor import Job

LONGEST_PATH = 100
"""Bytes of a UNIX socket's path that every system takes."""
LISTED = 100
Asked = TypeVar("Asked")


class NotFound(Exception):
    """There is no such thing here."""


class Conflict(Exception):
    """It cannot be done beside what is under way."""


class BadOrder(Exception):
    """What was asked for makes no sense."""


REFUSALS: dict[type[Exception], int] = {
    BadOrder: 400,
    msgspec.MsgspecError: 400,
    NotFound: 404,
    Conflict: 409,
    Transient: 503,
    Misconfigured: 503,
}


async def serve(agent: Agent, path: Path) -> None:
    """Answer at ``path`` until cancelled. Raises `Transient` where another agent answers there already,
    `Misconfigured` where no socket can be at such a path."""
    config = uvicorn.Config(
        application(agent),
        loop="none",
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
    )
    server = _Server(config)
    with _listening(path) as listener:
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Signals are for whoever runs the agent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise Misconfigured(
            f"the agent's socket would be `{path}`, which is longer than a socket's path may be: "
            "set `TAILRACE_HOME` to a shorter folder"
        )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)  # left by one that was killed
        else:
            raise Transient(f"another agent answers at `{path}`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(before)
        listener.listen(64)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def application(agent: Agent) -> Starlette:
    answers = Answers(agent)
    routes = [
        Route("/state", answers.state),
        Route("/trend", answers.trend),
        Route("/audits", answers.audits),
        Route("/audits", answers.audit, methods=["POST"]),
        Route("/audits/{id}.html", answers.page),
        Route("/audits/{id}", answers.detail),
        Route("/differences/{id}", answers.differences),
        Route("/repairs", answers.repair, methods=["POST"]),
        Route("/incidents", answers.incidents),
        Route("/letters", answers.letters),
        Route("/letters/retry", answers.retry, methods=["POST"]),
        Route("/letters/discard", answers.discard, methods=["POST"]),
        Route("/metrics", answers.metrics),
    ]
    return Starlette(routes=routes, exception_handlers={**dict.fromkeys(REFUSALS, _refused), HTTPException: _unserved})


async def _unserved(_: Request, error: Exception) -> Response:
    """No such route, or not by this verb."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json(api.Refusal(str(error)), status)


async def _refused(_: Request, error: Exception) -> Response:
    status = next(status for kind, status in REFUSALS.items() if isinstance(error, kind))
    return _json(api.Refusal(str(error)), status)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class Answers:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def state(self, _: Request) -> Response:
        return _json(self._agent.state())

    async def trend(self, request: Request) -> Response:
        return _json(self._agent.pulse.trend(_number(request, "since_ms", 0)))

    async def metrics(self, _: Request) -> Response:
        return Response(self._agent.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    # -- audits ---------------------------------------------------------------------------------------------------

    async def audits(self, request: Request) -> Response:
        limit, wanted = _number(request, "limit", LISTED), _chosen(request, "why", get_args(Why))
        listed = [audit for audit in self._agent.history.listed() if audit.why in wanted][:limit]
        there = {audit.id for audit in listed}
        pending = [job.audit for job in reversed(self._agent.pending) if job.id not in there and job.why in wanted]
        return _json([*pending, *listed][:limit])

    async def audit(self, request: Request) -> Response:
        order = await _order(request, api.AuditOrder)
        self._known(order.sinks, order.tables)
        flush = self._agent.slow(order.sinks)
        job = Job(order.depth, "asked", tables=tuple(order.tables), sinks=tuple(order.sinks), flush=flush)
        self._agent.ask(job)
        return _json(api.Accepted(job.id), 202)

    async def detail(self, request: Request) -> Response:
        return _json(await self._found(request))

    async def page(self, request: Request) -> Response:
        detail = await self._found(request)
        if detail.report is None:
            raise NotFound(f"the audit `{detail.id}` has no report")
        declared = self._agent.topology.tables
        personal = {name: table.columns.personal for name, table in declared.items()}
        made = {
            target.table: personal[target.source]
            for target in self._agent.topology.derived_targets(self._agent.version)
        }
        return HTMLResponse(page(detail.report, personal | made))

    async def _found(self, request: Request) -> AuditDetail:
        id_ = request.path_params["id"]
        found = await asyncio.to_thread(self._agent.history.detail, id_)
        if found is not None:
            return found
        for job in self._agent.pending:
            if job.id == id_:
                return AuditDetail(job.id, job.depth, job.why, job.audit.began_ms, dry_run=job.dry_run)
        raise NotFound(f"there is no audit `{id_}`, or it is no longer kept")

    async def incidents(self, request: Request) -> Response:
        found = self._agent.history.incidents(_number(request, "limit", LISTED))
        return _json([told(incident) for incident in found])

    # -- differences ----------------------------------------------------------------------------------------------

    async def differences(self, request: Request) -> Response:
        scope = request.query_params.get("sink", ""), request.query_params.get("table", "")
        detail = await self._found(request)
        listed: dict[str, list[tuple[Class, Spot]]] = {}
        for result in detail.report.results if detail.report is not None else ():
            if (result.sink, result.table) == scope:
                listed.setdefault(result.place, []).extend(
                    (one.class_, self._seen(scope, one.class_, Spot(one.key, result.place)))
                    for one in result.differences
                )
        targets = self._agent.topology.every_target(self._agent.version)
        found: list[api.SideBySide] = []
        for target in targets:
            if (target.sink, target.table) == scope and listed.get(target.name):
                found += await self._agent.sides.read(target, listed[target.name])
        return _json(found)

    def _seen(self, scope: Scope, class_: Class, spot: Spot) -> Spot:
        """Where the row was seen, as far as an open incident remembers it."""
        for incident in self._agent.history.open:
            if (incident.sink, incident.table, incident.class_) == (*scope, class_):
                for known in incident.spots:
                    if known.id == spot.id:
                        return known
        return spot

    async def repair(self, request: Request) -> Response:
        order = await _order(request, api.RepairOrder)
        if order.cap < 1:
            raise BadOrder("`cap` is at least 1")
        if order.keys == []:
            raise BadOrder("`keys` names no row: leave it out for all that differ")
        unfinished = {job.id for job in self._agent.pending if job.why == "repair"}
        # What has an outcome is over for whoever asks, though the agent may still count behind it.
        if unfinished - {audit.id for audit in self._agent.history.listed()}:
            raise Conflict("a repair is under way")
        detail = await asyncio.to_thread(self._agent.history.detail, order.audit)
        if detail is None:
            raise NotFound(f"there is no audit `{order.audit}`, or it is no longer kept")
        targets = self._agent.topology.every_target(self._agent.version)
        mine = [one for one in targets if (one.sink, one.table) == (order.sink, order.table)]
        if not mine:
            raise BadOrder(f"nothing of `{order.table}` goes to `{order.sink}`")
        job = Job(
            "keys",
            "repair",
            sinks=(order.sink,),
            flush=self._agent.slow([order.sink]),
            cap=order.cap,
            only=order.table,
            dry_run=order.dry_run,
        )
        if order.keys is None:
            job = replace(job, depth="quick" if detail.depth == "quick" else "deep", tables=(mine[0].source,))
        else:
            scope, names = (order.sink, order.table), [one.name for one in mine]
            job = replace(
                job, spots=tuple((scope, spot) for key in order.keys for spot in self._spots(scope, key, names))
            )
        self._agent.ask(job)
        return _json(api.Accepted(job.id), 202)

    def _spots(self, scope: Scope, key: dict[str, api.Scalar], targets: Sequence[str]) -> list[Spot]:
        """The places of a row that open incidents name; else in every target of the scope where its key says."""
        seen = {
            (spot.target, spot.place): spot
            for incident in self._agent.history.open
            if (incident.sink, incident.table) == scope
            for spot in incident.spots
            if spot.key == key
        }
        return [*seen.values()] or [Spot(key, target) for target in targets]

    # -- dead letters ---------------------------------------------------------------------------------------------

    async def letters(self, request: Request) -> Response:
        return _json(await self._agent.letters.listed(request.query_params.get("sink", "")))

    async def retry(self, request: Request) -> Response:
        order = await _order(request, api.LetterOrder)
        return _json(await self._agent.letters.retry(order.ids))

    async def discard(self, request: Request) -> Response:
        order = await _order(request, api.LetterOrder)
        return _json(await self._agent.letters.discard(order.ids))

    def _known(self, sinks: Sequence[str], tables: Sequence[str]) -> None:
        topology = self._agent.topology
        for what, given, there in (("sink", sinks, topology.sinks), ("table", tables, tuple(topology.tables))):
            for name in given:
                if name not in there:
                    raise BadOrder(f"there is no {what} `{name}`: there are {', '.join(there)}")


async def _order(request: Request, kind: type[Asked]) -> Asked:
    return msgspec.json.decode(await request.body(), type=kind)


def _chosen(request: Request, name: str, there: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a parameter, with commas between them; all that there are where it is left out."""
    words = tuple(filter(None, request.query_params.get(name, "").split(",")))
    if unknown := [word for word in words if word not in there]:
        raise BadOrder(f"`{name}` knows no `{unknown[0]}`: there are {', '.join(there)}")
    return words or there


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    if text and not text.isdigit():
        raise BadOrder(f"`{name}` is a whole number, not `{text}`")
    return int(text) if text else otherwise
