"""Vectors by a model at an OpenAI-compatible endpoint: ``POST /embeddings``.

A vector of another model is no substitute, so there is one endpoint and nothing to fall back to: rows wait for it.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import msgspec

from changes.errors import Transient
from enrichers.embed.maker import Embedded
from enrichers.inputs import tokens_of
from enrichers.llm import money
from enrichers.llm.call import Failed, post
from enrichers.llm.client import Client
from enrichers.settings import Endpoint

MOST_TEXTS = 32
"""Of one call."""

MOST_TOKENS = 8000
"""Of one text, as `tokens_of` counts them: common models take 8,191. What is beyond is not read."""

PATIENCE = 120.0
"""Seconds for which rows wait for an endpoint that fails; then they have no vector, and are tried again later. Waiting
longer would hold up whatever else is made of their table."""

_BYTES_A_NUMBER = 32


class _Item(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = -1


class _Reply(msgspec.Struct, frozen=True):
    data: list[_Item]
    usage: _Usage | None = None


_reply = msgspec.json.Decoder(_Reply, strict=False)


@dataclass(frozen=True)
class _Vectors:
    vectors: list[list[float]]
    tokens: tuple[int, int] | None


@dataclass(frozen=True)
class _Texts:
    """The question: a vector of ``dims`` numbers for each text."""

    texts: Sequence[str]
    dims: int

    def most(self, endpoint: Endpoint) -> int:
        return money.cost(endpoint, sum(len(text.encode()) + 2 for text in self.texts), 0)

    async def ask(self, http: httpx.AsyncClient, endpoint: Endpoint, *, seconds: float, now: float) -> _Vectors:
        body = {"input": list(self.texts), "encoding_format": "float"}
        most = 10_000 + _BYTES_A_NUMBER * self.dims * len(self.texts)
        received = await post(http, endpoint, "embeddings", body, most, seconds=seconds, now=now)
        try:
            reply = _reply.decode(received)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Failed("no reply of the protocol", again=True, billed=True) from None
        tokens = None if reply.usage is None or reply.usage.prompt_tokens < 0 else (reply.usage.prompt_tokens, 0)
        by_index = {item.index: item.embedding for item in reply.data}
        if by_index.keys() != set(range(len(self.texts))):
            raise Failed("not a vector for each text", again=True, billed=True)
        return _Vectors([by_index[index] for index in range(len(self.texts))], tokens)


class EndpointMaker:
    """``model`` is asked for at ``endpoint``; its vectors have ``dims`` numbers, and are made to have length 1."""

    def __init__(
        self,
        endpoint: Endpoint,
        dims: int,
        client: Client,
        *,
        concurrency: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider, self.dims, self.fails = endpoint.name, dims, True
        self._client = client
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._failing_since: float | None = None
        self._endpoint = endpoint

    @property
    def means(self) -> Mapping[str, object]:
        return {"model": self._endpoint.model, "dims": self.dims, "limits": [MOST_TOKENS]}

    async def open(self) -> None:
        pass

    def ready(self) -> bool:
        return self._client.ready()

    def cost(self, tokens: int) -> float:
        return money.shown(money.cost(self._endpoint, tokens, 0))

    async def vectors(self, texts: Sequence[str]) -> list[Embedded]:
        """One for each text; without a vector and ``failed`` where the endpoint has none for it, or has been failing
        for `PATIENCE`. Raises `Transient` until then."""
        parts = [_cut(text) for text in texts]
        made = await asyncio.gather(*(self._batch(batch) for batch in _batches(parts)))
        return [one for batch in made for one in batch]

    async def _batch(self, texts: Sequence[str]) -> list[Embedded]:
        async with self._slots:
            found = await self._client.answer(_Texts(texts, self.dims), self._accepted)
        if found.value is not None:
            self._failing_since = None
            return [Embedded(vector, tokens_of(text)) for vector, text in zip(found.value, texts, strict=True)]
        if found.refused and len(texts) > 1:  # for one of them, which is not to fail its neighbours
            return [one for text in texts for one in await self._batch([text])]
        if not found.refused:
            self._failing_since = self._clock() if self._failing_since is None else self._failing_since
            if self._clock() - self._failing_since < PATIENCE:
                raise Transient(f"`{self.provider}` makes no vectors now")
        return [Embedded(None, 0, failed=True) for _ in texts]

    def _accepted(self, answer: _Vectors) -> list[list[float]]:
        """Raises `ValueError` for what cannot be such vectors."""
        return [_unit(vector, self.dims) for vector in answer.vectors]

    async def close(self) -> None:
        await self._client.close()


def _unit(vector: Sequence[float], dims: int) -> list[float]:
    """Of length 1, in the shortest doubles that become the same single precision numbers again."""
    length = math.sqrt(math.fsum(number * number for number in vector))
    if len(vector) != dims or not math.isfinite(length) or length == 0:
        raise ValueError(f"a vector of {dims} numbers was declared, and {len(vector)} came, of length {length}")
    return [float(f"{number / length:.9g}") + 0.0 for number in vector]


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if tokens_of(text) <= MOST_TOKENS else text.encode()[: 3 * MOST_TOKENS].decode("utf-8", "ignore")


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[at : at + MOST_TEXTS] for at in range(0, len(texts), MOST_TEXTS))
