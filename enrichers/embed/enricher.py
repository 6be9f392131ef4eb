"""Rows to named vectors."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.schema import Column, Kind
from changes.topology.model import EmbedDecl
from enrichers.contract import Input, Made, Output
from enrichers.embed.architecture import VERSION, WIDTH, WINDOW
from enrichers.embed.chunks import MOST_CHARACTERS, MOST_CHUNKS
from enrichers.embed.model import MiniLM
from enrichers.embed.weights import SHA256, WEIGHTS, locate
from enrichers.inputs import cache_key, read, texts_of
from enrichers.settings import Settings

PROVIDER = "local"

_BESIDE = (
    Column("provider", Kind.TEXT, "varchar(64)", nullable=False),
    Column("model", Kind.TEXT, "varchar(128)", nullable=False),
    Column("dims", Kind.INTEGER, "int", nullable=False),
    Column("input_hash", Kind.TEXT, "char(16)", nullable=False),
)


class EmbedEnricher:
    """One derived row for each row, one vector column for each named vector; NULL where its columns hold no text.

    A vector is made from its columns in the order declared, each on a line. ``model`` is the folder of the weights,
    ``clock`` gives seconds and never goes back.
    """

    def __init__(
        self,
        decl: EmbedDecl,
        settings: Settings,
        *,
        model: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if taken := next((column.name for column in _BESIDE if column.name in decl.vectors), None):
            raise Misconfigured(f"a vector cannot be called `{taken}`: results have a column of that name")
        self._decl = decl
        self._settings = settings
        self._folder = model
        self._clock = clock
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="embed")
        self._loading = asyncio.Lock()
        self._model: MiniLM | None = None

    def output_columns(self) -> tuple[Column, ...]:
        return (*(Column(name, Kind.VECTOR, f"vector({WIDTH})") for name in self._decl.vectors), *_BESIDE)

    def read(self, row: Mapping[str, Value]) -> Input:
        return read(self._decl.reads, row)

    def cache_key(self, input: Input) -> str:
        means = {
            "vectors": self._decl.vectors,
            "weights": SHA256[WEIGHTS],
            "graph": VERSION,
            "limits": [WINDOW, MOST_CHUNKS, MOST_CHARACTERS],
        }
        return cache_key("embed", self._settings.version, input, means)

    async def open(self) -> None:
        await self._loaded()

    async def run(self, inputs: Sequence[Input]) -> list[Output]:
        model, loop = await self._loaded(), asyncio.get_running_loop()
        named = [self._texts(input) for input in inputs]
        # The longest first, so that none of the threads is left with a long one at the end.
        wanted = sorted({text for texts in named for text in texts.values()}, key=lambda text: (-len(text), text))
        started = self._clock()
        made = await asyncio.gather(*(loop.run_in_executor(self._threads, model.embed, text) for text in wanted))
        vectors = dict(zip(wanted, made, strict=True))
        tokens = sum(tokens for _, tokens in made)
        seconds = (self._clock() - started) / max(tokens, 1)
        return [self._output(input, texts, vectors, seconds) for input, texts in zip(inputs, named, strict=True)]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._model = None

    async def _loaded(self) -> MiniLM:
        async with self._loading:
            if self._model is None:
                folder = self._settings.cache_folder / "models"
                source = self._folder or locate()
                self._model = await asyncio.get_running_loop().run_in_executor(self._threads, MiniLM, source, folder)
            return self._model

    def _texts(self, input: Input) -> dict[str, str]:
        """The text of each named vector that has one."""
        found = texts_of(input)
        parts = {name: [found[c] for c in columns if c in found] for name, columns in self._decl.vectors.items()}
        return {name: "\n".join(texts) for name, texts in parts.items() if texts}

    def _output(
        self,
        input: Input,
        texts: Mapping[str, str],
        vectors: Mapping[str, tuple[list[float] | None, int]],
        seconds_a_token: float,
    ) -> Output:
        tokens = sum(vectors[text][1] for text in texts.values())
        columns: dict[str, Made] = dict.fromkeys(self._decl.vectors)
        columns |= {name: vectors[text][0] for name, text in texts.items()}
        columns |= {"provider": PROVIDER, "model": self._decl.model, "dims": WIDTH, "input_hash": input.hash}
        return Output(
            columns,
            PROVIDER,
            self._decl.model,
            dims=WIDTH,
            tokens=tokens,
            seconds=tokens * seconds_a_token,
        )
