"""From a declaration and the settings to an enricher with its client and its budget."""

from changes.topology.model import AnalysisDecl
from enrichers.analysis.company import COMPANY
from enrichers.analysis.conversation import CONVERSATION
from enrichers.analysis.enricher import AnalysisEnricher
from enrichers.analysis.job import JOB
from enrichers.analysis.kind import AnalysisKind
from enrichers.analysis.resume import RESUME
from enrichers.analysis.user_profile import USER_PROFILE
from enrichers.llm.build import client_of
from enrichers.settings import Settings

KINDS: dict[str, AnalysisKind] = {kind.name: kind for kind in (JOB, COMPANY, RESUME, USER_PROFILE, CONVERSATION)}


def build(decl: AnalysisDecl, settings: Settings) -> AnalysisEnricher:
    return AnalysisEnricher(KINDS[decl.kind], decl, settings, client_of(settings.endpoints, settings))
