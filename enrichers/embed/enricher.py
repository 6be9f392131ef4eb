"""Rows to named vectors."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from changes.canonical import Value
from changes.errors import Misconfigured
from changes.schema import Column, Kind
from changes.topology.model import CHUNK, CHUNKS, EmbedDecl
from enrichers.contract import Estimate, Input, Made, Output
from enrichers.embed.local import LocalMaker
from enrichers.embed.maker import Embedded, Maker
from enrichers.embed.pieces import MOST_PIECES, pieces
from enrichers.inputs import cache_key, read, texts_of, tokens_of
from enrichers.settings import Settings

BEGINS, ENDS = "begins", "ends"
"""Which characters of the text a chunk holds, the last one not included."""

_CHUNK = (
    Column(CHUNK, Kind.INTEGER, "int", nullable=False),
    Column(CHUNKS, Kind.INTEGER, "int", nullable=False),
    Column(BEGINS, Kind.INTEGER, "int", nullable=False),
    Column(ENDS, Kind.INTEGER, "int", nullable=False),
)
_BESIDE = (
    Column("provider", Kind.TEXT, "varchar(64)", nullable=False),
    Column("model", Kind.TEXT, "varchar(128)", nullable=False),
    Column("dims", Kind.INTEGER, "int", nullable=False),
    Column("input_hash", Kind.TEXT, "char(16)", nullable=False),
)
_DEGRADED = Column("degraded", Kind.INTEGER, "tinyint", nullable=False)


class EmbedEnricher:
    """One derived row for each row, one vector column for each named vector; NULL where its columns hold no text.

    A vector is made from its columns in the order declared, each on a line. Where chunks are declared, one derived row
    for each chunk of that text; a row without any has one chunk of nothing, which says that it was read.

    ``maker`` is the built-in model where not given, ``model`` the folder of its weights; ``clock`` gives seconds and
    never goes back.
    """

    def __init__(
        self,
        decl: EmbedDecl,
        settings: Settings,
        *,
        maker: Maker | None = None,
        model: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decl = decl
        self._settings = settings
        self._clock = clock
        self._maker = maker or LocalMaker(settings, model)
        if taken := next((column.name for column in self._beside() if column.name in decl.vectors), None):
            raise Misconfigured(f"a vector cannot be called `{taken}`: results have a column of that name")

    def output_columns(self) -> tuple[Column, ...]:
        width = self._maker.dims
        vectors = (Column(name, Kind.VECTOR, f"vector({width})") for name in self._decl.vectors)
        return (*(_CHUNK if self._decl.chunk else ()), *vectors, *self._beside()[len(_CHUNK) :])

    def _beside(self) -> tuple[Column, ...]:
        return (*_CHUNK, *_BESIDE, *((_DEGRADED,) if self._maker.fails else ()))

    def read(self, row: Mapping[str, Value]) -> Input:
        return read(self._decl.reads, row)

    def cache_key(self, input: Input) -> str:
        means = {"vectors": self._decl.vectors, **self._maker.means}
        if self._decl.chunk is not None:
            means["chunks"] = [self._decl.chunk.tokens, self._decl.chunk.overlap, MOST_PIECES]
        return cache_key("embed", self._settings.version, input, means)

    def ready(self) -> bool:
        return self._maker.ready()

    def estimate(self, input: Input) -> Estimate:
        tokens = sum(tokens_of(text) for text in self._texts(input).values())
        return Estimate(tokens, self._maker.cost(tokens))

    async def open(self) -> None:
        await self._maker.open()

    async def run(self, inputs: Sequence[Input]) -> list[Output]:
        named = [self._parts(input) for input in inputs]
        # The longest first, so that none of the threads is left with a long one at the end.
        wanted = {text for parts in named for _, texts in parts for text in texts.values()}
        ordered = sorted(wanted, key=lambda text: (-len(text), text))
        started = self._clock()
        made = await self._maker.vectors(ordered) if ordered else []
        vectors = dict(zip(ordered, made, strict=True))
        seconds = (self._clock() - started) / max(sum(one.tokens for one in made), 1)
        return [self._output(input, parts, vectors, seconds) for input, parts in zip(inputs, named, strict=True)]

    async def close(self) -> None:
        await self._maker.close()

    def _texts(self, input: Input) -> dict[str, str]:
        """The text of each named vector that has one."""
        found = texts_of(input)
        parts = {name: [found[c] for c in columns if c in found] for name, columns in self._decl.vectors.items()}
        return {name: "\n".join(texts) for name, texts in parts.items() if texts}

    def _parts(self, input: Input) -> list[tuple[dict[str, Made], dict[str, str]]]:
        """What tells each derived row from the others, and the text of each of its vectors."""
        texts = self._texts(input)
        if self._decl.chunk is None:
            return [({}, texts)]
        cut = [
            (name, text, begins, ends)
            for name, text in texts.items()
            for begins, ends in pieces(text, self._decl.chunk.tokens, self._decl.chunk.overlap)
        ]
        if not cut:
            return [({CHUNK: 0, CHUNKS: 1, BEGINS: 0, ENDS: 0}, {})]
        return [
            ({CHUNK: number, CHUNKS: len(cut), BEGINS: begins, ENDS: ends}, {name: text[begins:ends]})
            for number, (name, text, begins, ends) in enumerate(cut)
        ]

    def _output(
        self,
        input: Input,
        parts: Sequence[tuple[Mapping[str, Made], Mapping[str, str]]],
        vectors: Mapping[str, Embedded],
        seconds_a_token: float,
    ) -> Output:
        used = [vectors[text] for _, texts in parts for text in texts.values()]
        tokens = sum(one.tokens for one in used)
        maker, model = self._maker, self._decl.model
        beside: dict[str, Made] = {"provider": maker.provider, "model": model, "dims": maker.dims}
        rows: list[dict[str, Made]] = []
        for apart, texts in parts:
            row: dict[str, Made] = {**apart, **dict.fromkeys(self._decl.vectors)}
            row |= {name: vectors[text].vector for name, text in texts.items()}
            row |= beside | {"input_hash": input.hash}
            if maker.fails:
                row[_DEGRADED.name] = int(any(vectors[text].failed for text in texts.values()))
            rows.append(row)
        return Output(
            {} if self._decl.chunk else rows[0],
            maker.provider,
            model,
            dims=maker.dims,
            degraded=any(one.failed for one in used),
            tokens=tokens,
            cost=maker.cost(tokens),
            seconds=tokens * seconds_a_token,
            chunks=rows if self._decl.chunk else None,
        )
