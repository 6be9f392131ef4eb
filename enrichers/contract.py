"""What an enricher promises: to say what it reads, what it makes, and to make it or something lesser of any input.

An enricher keeps no state about rows and consults no cache; whoever runs it (``streams/enrich``) asks the cache by
`Enricher.cache_key` first, runs what is missing, and puts it there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from changes.canonical import Value
from changes.schema import Column
from changes.topology.model import AnalysisDecl, EmbedDecl
from enrichers.settings import Settings

Made = bool | int | float | str | list[float] | None
"""What a column of a derived row may hold: a `changes.canonical.Value` as a message holds it."""


class Input(msgspec.Struct, frozen=True):
    """What is read from one row, and nothing else of it.

    ``canonical`` is JSON of the declared columns; all that `Enricher.run` knows of the row. ``hash`` is its xxh64
    (seed 0) in 16 hex digits: the ``tr-input`` header of what is made from it.
    """

    canonical: bytes
    hash: str


class Output(msgspec.Struct, frozen=True):
    """What was made of one input.

    ``columns`` holds a value for each of `Enricher.output_columns`, and nothing that another run with the same cache
    would make otherwise: no times, no durations. ``degraded``: made by lesser means than declared, which a later run
    may better. ``tokens`` counts what went in and came out, ``cost`` is in the currency of the endpoints' prices,
    ``seconds`` is how long it took. An enricher that cuts a row into chunks makes a derived row of each: their columns
    are in ``chunks``, in order, and ``columns`` is empty.
    """

    columns: dict[str, Made]
    provider: str
    model: str
    dims: int = 0
    prompt_version: int = 0
    degraded: bool = False
    tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    chunks: list[dict[str, Made]] | None = None

    @property
    def rows(self) -> Sequence[Mapping[str, Made]]:
        """The columns of each derived row."""
        return [self.columns] if self.chunks is None else self.chunks


@dataclass(frozen=True)
class Estimate:
    """Roughly: tokens in and out, and what they cost in the currency of the endpoints' prices."""

    tokens: int = 0
    cost: float = 0.0


class Enricher(Protocol):
    """One declared enrichment of one table. Safe for concurrent `run`s."""

    def output_columns(self) -> tuple[Column, ...]:
        """The columns of the derived row beside its key and what is carried along."""

    def read(self, row: Mapping[str, Value]) -> Input:
        """What is read of ``row``: the declared columns that it has. Pure.

        Personal columns that must not reach a model are left out of ``row`` by the caller; an absent column is as NULL.
        """

    def cache_key(self, input: Input) -> str:
        """Equal exactly where the same version would make the same of the same input by the same means.

        It does not tell which endpoint answered: falling back to another is no change of means.
        """

    def ready(self) -> bool:
        """Whether what came back degraded may come out better now: there are means, and none known to fail."""

    def estimate(self, input: Input) -> Estimate:
        """What making it would take of the means that are declared first. Pure."""

    async def open(self) -> None:
        """Load or connect what is needed; idempotent. Raises `Misconfigured` where that cannot be used."""

    async def run(self, inputs: Sequence[Input]) -> list[Output]:
        """One output for each input, in order. An input that cannot be served as declared comes back degraded.

        Raises `Transient` where what it rests on (the ledger of a budget) is away: nothing is known then, and the
        same call may come again.
        """

    async def close(self) -> None:
        """Release everything; idempotent, never raises."""


@dataclass(frozen=True)
class EnricherSpec:
    """A kind of enricher, by the word that ``kind`` in ``topics.yaml`` holds.

    Importing it imports no heavy library; ``build`` does. ``build`` raises `Misconfigured` where a declaration or a
    setting is not one that this kind can serve.
    """

    name: str
    build: Callable[[EmbedDecl | AnalysisDecl, Settings], Enricher]


encode_output = msgspec.json.Encoder().encode
"""An `Output` as the bytes that a cache holds."""

decode_output = msgspec.json.Decoder(Output).decode
"""The `Output` of `encode_output`'s bytes; raises `msgspec.MsgspecError` where they are something else."""
