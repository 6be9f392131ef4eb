"""The declarations of ``topics.yaml`` as pydantic models: field by field, with their defaults."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from changes.errors import Misconfigured
from changes.position import LAST_GENERATION
from changes.tier import seconds


def _duration(text: str) -> str:
    try:
        seconds(text)
    except Misconfigured as error:
        raise ValueError(str(error)) from error
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Names = list[Annotated[str, Field(min_length=1)]]


class Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VersionDecl(Declared):
    """``env`` is the prefix of the version's variables: ``FUTURE_`` gives ``FUTURE_MYSQL_URL``."""

    database: str
    env: str | None = None


class TierDecl(Declared):
    flush: Duration
    rows: int = Field(gt=0)
    fresh: Duration


class ColumnsDecl(Declared):
    """``drop``: never leaves MySQL. ``personal``: goes only to the stores and models that say so."""

    drop: Names = []
    personal: Names = []


class EmbedDecl(Declared):
    """Named vectors, each made from the columns listed, in order."""

    kind: Literal["embed"]
    model: str = "all-MiniLM-L6-v2"
    vectors: dict[Name, Names] = Field(min_length=1)
    carry: Names = []
    generation: int = Field(default=1, ge=1, le=LAST_GENERATION)

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


class SinkDecl(Declared):
    """``of`` names the enricher whose results go there instead of the row; ``columns`` restricts what goes there;
    ``personal: allow`` lets personal columns through."""

    sink: str
    tier: str
    place: str | None = None
    of: str | None = None
    keep: Literal["mirror", "cache"] = "mirror"
    keep_for: Duration | None = None
    owns: Literal["table", "rows", "columns"] = "table"
    columns: Names | None = None
    personal: Literal["omit", "allow"] = "omit"


class TableDecl(Declared):
    """``user`` names the column with the id of the row's owner: per-user files and row-level security follow it."""

    table: str
    key: Names = Field(min_length=1)
    sinks: list[SinkDecl] = Field(min_length=1)
    partitions: int = Field(default=4, gt=0, le=1024)
    user: str | None = None
    columns: ColumnsDecl = ColumnsDecl()
    enrich: dict[Name, Annotated[EmbedDecl | AnalysisDecl, Field(discriminator="kind")]] = {}
    ddl: Literal["lenient", "fail"] = "lenient"
    cascades: Literal["refuse", "emulate"] = "refuse"


class File(Declared):
    versions: dict[Name, VersionDecl] = Field(min_length=1)
    tiers: dict[Name, TierDecl] = {}
    tables: list[TableDecl] = Field(min_length=1)
