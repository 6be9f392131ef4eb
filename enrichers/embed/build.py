"""From a declaration and the settings to an enricher of vectors."""

from changes.errors import Misconfigured
from changes.topology.model import BUILT_IN, EmbedDecl
from enrichers.embed.endpoint import EndpointMaker
from enrichers.embed.enricher import EmbedEnricher
from enrichers.llm.build import client_of
from enrichers.settings import Settings


def build(decl: EmbedDecl, settings: Settings) -> EmbedEnricher:
    if decl.model == BUILT_IN:
        return EmbedEnricher(decl, settings)
    endpoint = settings.embed
    if endpoint is None or endpoint.model != decl.model:
        told = "no endpoint is" if endpoint is None else f"the endpoint of `{endpoint.model}` is"
        raise Misconfigured(
            f"the embedding model `{decl.model}` is declared, and {told} in the environment: set"
            f" `EMBED_URL` and `EMBED_MODEL` with the prefix of `{settings.version}`, or declare `{BUILT_IN}`"
        )
    if decl.dims is None:
        raise Misconfigured(f"say in `dims` how many numbers a vector of `{decl.model}` has")
    return EmbedEnricher(decl, settings, maker=EndpointMaker(endpoint, decl.dims, client_of([endpoint], settings)))
