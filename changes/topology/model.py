"""The declarations of ``topics.yaml`` as pydantic models: field by field, with their defaults."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from changes.position import LAST_GENERATION
from changes.target import Edge
from changes.topology.erase import EraseDecl
from changes.topology.fields import STRICT, Duration, Name, Names
from changes.topology.quality import QualityDecl, TargetsDecl

CHUNK = "chunk"
"""The column that tells a row's chunks apart, counted from 0; part of their key."""

CHUNKS = "chunks"
"""The column with the number of the row's chunks; each of them has it."""


BUILT_IN, BUILT_IN_DIMS = "all-MiniLM-L6-v2", 384
"""The embedding model that needs no endpoint, and how many numbers its vectors have."""


class Declared(BaseModel):
    model_config = STRICT


class AuditDecl(Declared):
    """How the version's agent audits. ``quick`` and ``deep`` are the shortest times between two audits; deep ones are
    put further apart, up to a day, so that they take no more than ``share`` of the time. ``repair`` is the most rows
    that an audit on schedule has told anew by itself: none unless declared."""

    quick: Duration = "60s"
    deep: Duration = "10m"
    share: float = Field(default=0.05, gt=0, le=1)
    repair: int = Field(default=0, ge=0, le=100_000)


class VersionDecl(Declared):
    """``env`` is the prefix of the version's variables: ``FUTURE_`` gives ``FUTURE_MYSQL_URL``."""

    database: str
    env: str | None = None
    audit: AuditDecl = AuditDecl()


class TierDecl(Declared):
    flush: Duration
    rows: int = Field(gt=0)
    fresh: Duration


class ColumnsDecl(Declared):
    """``drop``: never leaves MySQL. ``personal``: goes only to the stores and models that say so."""

    drop: Names = []
    personal: Names = []


class ChunkDecl(Declared):
    """A vector for each so many tokens of a text; each chunk begins ``overlap`` before the end of the one before."""

    tokens: int = Field(ge=16, le=8000)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _advances(self) -> "ChunkDecl":
        if 2 * self.overlap > self.tokens:
            raise ValueError("`overlap` is at most half of `tokens`")
        return self


class EmbedDecl(Declared):
    """Named vectors, each made from the columns listed, in order.

    A ``model`` other than the built-in one is asked for at the version's endpoint for embeddings; ``dims`` says how
    many numbers its vectors have. With ``chunk`` there is one named vector, and each chunk of a text has its own.
    """

    kind: Literal["embed"]
    model: Annotated[str, Field(min_length=1, max_length=128)] = BUILT_IN
    dims: int | None = Field(default=None, ge=1, le=16_000)
    vectors: dict[Name, Names] = Field(min_length=1)
    chunk: ChunkDecl | None = None
    carry: Names = []
    generation: int = Field(default=1, ge=1, le=LAST_GENERATION)

    @model_validator(mode="after")
    def _fits(self) -> "EmbedDecl":
        if self.chunk is not None and len(self.vectors) != 1:
            raise ValueError("chunks have one vector: declare an enricher for each")
        if self.model == BUILT_IN and self.dims not in (None, BUILT_IN_DIMS):
            raise ValueError(f"vectors of `{BUILT_IN}` have {BUILT_IN_DIMS} numbers")
        if self.model != BUILT_IN and self.dims is None:
            raise ValueError(f"say in `dims` how many numbers a vector of `{self.model}` has")
        return self

    @property
    def reads(self) -> list[str]:
        return [column for columns in self.vectors.values() for column in columns]


class AnalysisDecl(Declared):
    """An analysis by a language model, or by rules where none is to be had."""

    kind: Literal[
        "job_analysis", "company_analysis", "resume_analysis", "user_profile_analysis", "conversation_analysis"
    ]
    read: Names = Field(min_length=1)
    carry: Names = []
    valid: Duration | None = None
    generation: int = Field(default=1, ge=1, le=LAST_GENERATION)

    @property
    def reads(self) -> list[str]:
        return self.read


class EdgeDecl(Declared):
    """A relationship that each row makes: from the node of the label ``from`` whose key is in the column ``from_key``,
    to that of ``to`` and ``key``. An end that is not named is the row's own node."""

    type: Annotated[str, Field(min_length=1)]
    from_: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")
    from_key: Annotated[str, Field(min_length=1)] | None = None
    to: Annotated[str, Field(min_length=1)] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_ends(self) -> "EdgeDecl":
        if (self.from_ is None) != (self.from_key is None):
            raise ValueError("`from` is a label and `from_key` the column with its node's key: declare both or neither")
        if (self.to is None) != (self.key is None):
            raise ValueError("`to` is a label and `key` the column with its node's key: declare both or neither")
        if self.from_ is None and self.to is None:
            raise ValueError("it would lead from a row's node to itself: declare `to` and `key`")
        return self

    @property
    def edge(self) -> Edge:
        return Edge(self.type, self.from_ or "", self.from_key or "", self.to or "", self.key or "")

    @property
    def columns(self) -> list[tuple[str, str]]:
        """The columns that name its ends, each behind the field that does."""
        return [(field, name) for field, name in (("from_key", self.from_key), ("key", self.key)) if name is not None]


class SinkDecl(Declared):
    """``of`` names the enricher whose results go there instead of the row; ``columns`` restricts what goes there;
    ``personal: allow`` lets personal columns through; ``edges`` are relationships that a row makes in a graph."""

    sink: str
    tier: str
    place: str | None = None
    of: str | None = None
    keep: Literal["mirror", "cache"] = "mirror"
    keep_for: Duration | None = None
    owns: Literal["table", "rows", "columns"] = "table"
    columns: Names | None = None
    personal: Literal["omit", "allow"] = "omit"
    edges: list[EdgeDecl] = []


class TableDecl(Declared):
    """``user`` names the column with the id of the row's owner: per-user files and row-level security follow it, and
    where nothing else is said in ``erase`` the row goes with its owner."""

    table: str
    key: Names = Field(min_length=1)
    sinks: list[SinkDecl] = Field(min_length=1)
    partitions: int = Field(default=4, gt=0, le=1024)
    user: str | None = None
    columns: ColumnsDecl = ColumnsDecl()
    enrich: dict[Name, Annotated[EmbedDecl | AnalysisDecl, Field(discriminator="kind")]] = {}
    ddl: Literal["lenient", "fail"] = "lenient"
    cascades: Literal["refuse", "emulate"] = "refuse"
    quality: QualityDecl = QualityDecl()
    erase: EraseDecl | None = None


class File(Declared):
    versions: dict[Name, VersionDecl] = Field(min_length=1)
    tiers: dict[Name, TierDecl] = {}
    tables: list[TableDecl] = Field(min_length=1)
    quality: TargetsDecl = TargetsDecl()


def place_of(table: TableDecl, sink: SinkDecl) -> str:
    """The declared place, else the name of the table, or of the table and the enricher."""
    return sink.place or (table.table if sink.of is None else f"{table.table}_{sink.of}")


def is_chunked(table: TableDecl, sink: SinkDecl) -> bool:
    """Whether what goes to ``sink`` is a row for each chunk of the table's rows."""
    enricher = None if sink.of is None else table.enrich.get(sink.of)
    return isinstance(enricher, EmbedDecl) and enricher.chunk is not None


def has_user(table: TableDecl, sink: SinkDecl) -> bool:
    """Whether what goes to ``sink`` holds the id of the row's owner, where the table has one."""
    if sink.of is None or table.user is None or table.user in table.key:
        return True
    enricher = table.enrich.get(sink.of)
    return enricher is not None and table.user in enricher.carry
