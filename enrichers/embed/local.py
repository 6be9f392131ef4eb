"""Vectors by all-MiniLM-L6-v2 on this machine."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from enrichers.embed.architecture import VERSION, WIDTH, WINDOW
from enrichers.embed.chunks import MOST_CHARACTERS, MOST_CHUNKS
from enrichers.embed.maker import Embedded
from enrichers.embed.model import MiniLM
from enrichers.embed.weights import SHA256, WEIGHTS, locate
from enrichers.settings import Settings


class LocalMaker:
    """``model`` is the folder of the weights."""

    provider, dims, fails = "local", WIDTH, False

    def __init__(self, settings: Settings, model: Path | None = None) -> None:
        self._settings = settings
        self._folder = model
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="embed")
        self._loading = asyncio.Lock()
        self._model: MiniLM | None = None

    @property
    def means(self) -> Mapping[str, object]:
        limits = [WINDOW, MOST_CHUNKS, MOST_CHARACTERS]
        return {"weights": SHA256[WEIGHTS], "graph": VERSION, "limits": limits}

    def ready(self) -> bool:
        return False  # nothing fails here

    def cost(self, tokens: int) -> float:
        return 0.0

    async def open(self) -> None:
        await self._loaded()

    async def vectors(self, texts: Sequence[str]) -> list[Embedded]:
        model, loop = await self._loaded(), asyncio.get_running_loop()
        made = await asyncio.gather(*(loop.run_in_executor(self._threads, model.embed, text) for text in texts))
        return [Embedded(vector, tokens) for vector, tokens in made]

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
