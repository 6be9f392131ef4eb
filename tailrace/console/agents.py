"""The versions' agents, asked through their sockets."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec

from changes.errors import Transient
from tailrace.agent.api import Refusal, State

STATE_SECONDS = 3.0
"""How long an agent may take to say how things are; it has that ready."""
ANSWER_SECONDS = 60.0
"""How long it may take to read rows of its stores, or dead letters."""

Parameters = Mapping[str, str]


class Answer(NamedTuple):
    """What an agent answered, to be handed on."""

    status: int
    kind: str
    body: bytes


class Agents:
    """The agents of some versions, by the sockets that they answer at. One connection pool for each."""

    def __init__(self, sockets: Mapping[str, Path]) -> None:
        self._sockets = dict(sockets)
        self._clients = {
            version: httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://agent", timeout=ANSWER_SECONDS
            )
            for version, path in sockets.items()
        }

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self._clients)

    async def state(self, version: str) -> State:
        """How the version stands. Raises `Transient` with the reason where its agent does not say so."""
        answer = await self.ask(version, "/state", seconds=STATE_SECONDS)
        if answer.status != httpx.codes.OK:
            raise Transient(_told(answer))
        try:
            return msgspec.json.decode(answer.body, type=State)
        except msgspec.DecodeError as error:
            raise Transient(f"the agent's answer is not understood: {error}") from error

    async def metrics(self, version: str) -> str:
        """Raises `Transient` where there are none."""
        answer = await self.ask(version, "/metrics", seconds=STATE_SECONDS)
        if answer.status != httpx.codes.OK:
            raise Transient(_told(answer))
        return answer.body.decode()

    async def ask(
        self,
        version: str,
        path: str,
        parameters: Parameters | None = None,
        body: bytes | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """GET, or POST where there is a ``body``. Whatever status comes is an answer; raises `Transient` where none
        comes."""
        try:
            response = await self._clients[version].request(
                "GET" if body is None else "POST",
                path,
                params=parameters,
                content=body,
                headers={} if body is None else {"content-type": "application/json"},
                timeout=seconds,
            )
        except httpx.TimeoutException as error:
            raise Transient(f"the agent does not answer within {seconds:.0f} s") from error
        except httpx.TransportError as error:
            raise Transient(self._why(version, error)) from error
        return Answer(response.status_code, response.headers.get("content-type", ""), response.content)

    def _why(self, version: str, error: httpx.TransportError) -> str:
        if not self._sockets[version].exists():
            return "no agent runs: `tailrace run` starts it"
        return f"the agent does not answer: {str(error) or type(error).__name__}"

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


def _told(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=Refusal).error
    except msgspec.MsgspecError:
        return f"the agent answers with {answer.status}"
