"""Rows to analyses."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence

from changes.canonical import Value
from changes.schema import Column, Kind
from changes.topology.model import AnalysisDecl
from enrichers.analysis.kind import Analysis, AnalysisKind
from enrichers.analysis.parse import parse
from enrichers.analysis.prompt import FRAME_VERSION, MOST_INPUT, MOST_TOKENS, render
from enrichers.contract import Estimate, Input, Made, Output
from enrichers.inputs import cache_key, read, texts_of, tokens_of
from enrichers.llm import Client, Completion, money
from enrichers.llm.money import shown
from enrichers.settings import Settings

RULES = "rules"
"""The provider of what no model made."""

USUAL_TOKENS = 400
"""Of an answer, where it has to be guessed beforehand."""

MOST_RULED = 20_000
"""Characters of a column that rules look at: they run on the event loop, and a text may have sixteen million."""

_COLUMNS = (
    Column("analysis", Kind.JSON, "json"),
    Column("confidence", Kind.DOUBLE, "double"),
    Column("provider", Kind.TEXT, "varchar(64)", nullable=False),
    Column("model", Kind.TEXT, "varchar(128)", nullable=False),
    Column("prompt_version", Kind.INTEGER, "int", nullable=False),
    Column("degraded", Kind.INTEGER, "tinyint", nullable=False),
    Column("input_hash", Kind.TEXT, "char(16)", nullable=False),
)


class AnalysisEnricher:
    """One derived row for each row: the kind's fields as JSON, and what made it.

    The first model that gives a usable answer; where none does, the kind's rules, marked degraded. A row without any
    text has no analysis: the columns are NULL and no model is asked. At most ``concurrency`` calls at once; ``clock``
    gives seconds and never goes back.
    """

    def __init__(
        self,
        kind: AnalysisKind,
        decl: AnalysisDecl,
        settings: Settings,
        client: Client,
        *,
        concurrency: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kind = kind
        self._decl = decl
        self._settings = settings
        self._client = client
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock

    def output_columns(self) -> tuple[Column, ...]:
        return _COLUMNS

    def read(self, row: Mapping[str, Value]) -> Input:
        return read(self._decl.reads, row)

    def cache_key(self, input: Input) -> str:
        endpoints = self._settings.endpoints
        means = {
            "model": endpoints[0].model if endpoints else RULES,
            "prompt": [FRAME_VERSION, self._kind.prompt_version],
            "rules": self._kind.rules_version,
            "limits": [MOST_INPUT, MOST_TOKENS, MOST_RULED],
        }
        return cache_key(self._kind.name, self._settings.version, input, means)

    def ready(self) -> bool:
        return self._client.ready()

    def estimate(self, input: Input) -> Estimate:
        if not self._settings.endpoints or not texts_of(input):
            return Estimate()
        prompt = render(self._kind, input)
        tokens_in = sum(tokens_of(message["content"]) for message in prompt.messages())
        first = self._settings.endpoints[0]
        return Estimate(tokens_in + USUAL_TOKENS, shown(money.cost(first, tokens_in, USUAL_TOKENS)))

    async def open(self) -> None:
        pass

    async def run(self, inputs: Sequence[Input]) -> list[Output]:
        running = [asyncio.ensure_future(self._one(input)) for input in inputs]
        try:
            return list(await asyncio.gather(*running))
        finally:  # where one could not be told, the others will come again with it
            for task in running:
                task.cancel()

    async def close(self) -> None:
        await self._client.close()

    async def _one(self, input: Input) -> Output:
        texts = texts_of(input)
        if not texts:
            return self._output(input, None, Completion(None, None, 0, 0, 0), 0.0)
        async with self._slots:
            started = self._clock()
            made = await self._client.complete(render(self._kind, input), lambda text: parse(text, self._kind.result))
            analysis = made.value or self._kind.rules({name: text[:MOST_RULED] for name, text in texts.items()})
            return self._output(input, analysis, made, self._clock() - started)

    def _output(self, input: Input, analysis: Analysis | None, made: Completion[Analysis], seconds: float) -> Output:
        by_model = made.value is not None and made.endpoint is not None
        provider = made.endpoint.name if by_model and made.endpoint else RULES
        model = made.endpoint.model if by_model and made.endpoint else f"{self._kind.name}-{self._kind.rules_version}"
        degraded = analysis is not None and not by_model
        columns: dict[str, Made] = {
            "analysis": None if analysis is None else _json(analysis),
            "confidence": None if analysis is None else analysis.confidence_score,
            "provider": provider,
            "model": model,
            "prompt_version": self._kind.prompt_version,
            "degraded": int(degraded),
            "input_hash": input.hash,
        }
        return Output(
            columns,
            provider,
            model,
            prompt_version=self._kind.prompt_version,
            degraded=degraded,
            tokens=made.tokens,
            cost=shown(made.cost),
            seconds=seconds,
        )


def _json(analysis: Analysis) -> str:
    """The kind's fields; the confidence has a column of its own."""
    fields = analysis.model_dump(mode="json", exclude={"confidence_score"})
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
