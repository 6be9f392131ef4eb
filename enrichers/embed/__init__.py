"""Named vectors of a row's texts, by all-MiniLM-L6-v2 on this machine or by a model at an endpoint."""

from changes.errors import Misconfigured
from changes.topology.model import BUILT_IN, AnalysisDecl, EmbedDecl
from enrichers.contract import Enricher, EnricherSpec
from enrichers.settings import Settings

MODEL = BUILT_IN


def build(decl: EmbedDecl | AnalysisDecl, settings: Settings) -> Enricher:
    from enrichers.embed.build import build as built  # noqa: PLC0415  onnxruntime and httpx only where they are used

    if not isinstance(decl, EmbedDecl):
        raise Misconfigured(f"`{decl.kind}` is no declaration of vectors")
    return built(decl, settings)


EMBED = EnricherSpec("embed", build)
