"""Named vectors of a row's texts, by all-MiniLM-L6-v2 on this machine."""

from changes.errors import Misconfigured
from changes.topology.model import AnalysisDecl, EmbedDecl
from enrichers.contract import Enricher, EnricherSpec
from enrichers.settings import Settings

MODEL = "all-MiniLM-L6-v2"


def build(decl: EmbedDecl | AnalysisDecl, settings: Settings) -> Enricher:
    from enrichers.embed.enricher import EmbedEnricher  # noqa: PLC0415  numpy and onnxruntime only where they are used

    if not isinstance(decl, EmbedDecl):
        raise Misconfigured(f"`{decl.kind}` is no declaration of vectors")
    if decl.model != MODEL:
        raise Misconfigured(f"the embedding model `{decl.model}` is not known: there is `{MODEL}`")
    return EmbedEnricher(decl, settings)


EMBED = EnricherSpec("embed", build)
