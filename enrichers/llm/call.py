"""One call of an OpenAI-compatible endpoint: an answer, or why there is none."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import msgspec

from enrichers.llm.prompt import Prompt
from enrichers.llm.retry import retry_after
from enrichers.settings import Endpoint

MOST_BYTES = 1_000_000
"""An answer that is longer is not read to its end: it is none that was asked for."""


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = -1
    completion_tokens: int = -1


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message = _Message()


class _Reply(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    usage: _Usage | None = None


_reply = msgspec.json.Decoder(_Reply, strict=False)


@dataclass(frozen=True)
class Answer:
    """``tokens`` is (in, out) as the endpoint counts them, ``None`` where it does not say."""

    text: str
    tokens: tuple[int, int] | None


class Failed(Exception):
    """No answer. ``outcome`` is a word for logs, with nothing of the prompt, the answer or the secret in it.

    ``again``: the same call may succeed later, after ``after`` seconds where the endpoint says so. ``billed``: the
    endpoint may have done the work. ``blame``: whom it speaks against, the endpoint's health, its set-up, or only
    this one prompt.
    """

    def __init__(
        self,
        outcome: str,
        *,
        again: bool = False,
        after: float | None = None,
        billed: bool = False,
        blame: str = "health",
    ) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.again = again
        self.after = after
        self.billed = billed
        self.blame = blame


_SET_UP = {HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


async def call(http: httpx.AsyncClient, endpoint: Endpoint, prompt: Prompt, *, seconds: float, now: float) -> Answer:
    """Ask for a completion once, for at most ``seconds`` in all. Raises `Failed`. ``now`` is in seconds since 1970."""
    body = {
        "messages": prompt.messages(),
        "max_tokens": prompt.most_tokens,
        "temperature": 0,
        "stream": False,
    }
    return _understood(await post(http, endpoint, "chat/completions", body, MOST_BYTES, seconds=seconds, now=now))


async def post(
    http: httpx.AsyncClient,
    endpoint: Endpoint,
    path: str,
    body: Mapping[str, object],
    most: int,
    *,
    seconds: float,
    now: float,
) -> bytes:
    """What the endpoint's model answers to ``body``: at most ``most`` bytes, within ``seconds``. Raises `Failed`."""
    try:
        # httpx limits the wait for each piece, which an endpoint that sends a byte now and then never reaches.
        async with asyncio.timeout(seconds):
            return await _received(http, endpoint, path, {"model": endpoint.model, **body}, most, now)
    except TimeoutError:
        raise Failed("slow", again=True, billed=True) from None
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise Failed(f"unreachable: {type(error).__name__}", again=True) from None
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise Failed(f"broken: {type(error).__name__}", again=True, billed=True) from None


async def _received(
    http: httpx.AsyncClient, endpoint: Endpoint, path: str, body: Mapping[str, object], most: int, now: float
) -> bytes:
    headers = {} if endpoint.api_key is None else {"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
    url = f"{endpoint.base_url.rstrip('/')}/{path}"
    async with http.stream("POST", url, json=body, headers=headers) as response:
        if response.status_code != HTTPStatus.OK:
            raise _refusal(response, now)
        received = bytearray()
        async for piece in response.aiter_bytes():
            received += piece
            if len(received) > most:
                raise Failed("too long", billed=True, blame="prompt")
        return bytes(received)


def _refusal(response: httpx.Response, now: float) -> Failed:
    status = response.status_code
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Failed(f"status {status}", again=True, after=retry_after(response.headers.get("retry-after"), now))
    return Failed(f"status {status}", blame="set-up" if status in _SET_UP else "prompt")


def _understood(body: bytes) -> Answer:
    try:
        reply = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Failed("no reply of the protocol", again=True, billed=True) from None
    if not reply.choices or not reply.choices[0].message.content:
        raise Failed("empty", billed=True, blame="prompt")
    usage = reply.usage
    if usage is None or usage.prompt_tokens < 0 or usage.completion_tokens < 0:
        return Answer(reply.choices[0].message.content, None)
    return Answer(reply.choices[0].message.content, (usage.prompt_tokens, usage.completion_tokens))
