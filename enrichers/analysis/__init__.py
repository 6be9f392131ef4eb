"""Analyses of jobs, companies, resumes, profiles and conversations: by language models, or by rules without them."""

from changes.errors import Misconfigured
from changes.topology.model import AnalysisDecl, EmbedDecl
from enrichers.contract import Enricher, EnricherSpec
from enrichers.settings import Settings


def _build(decl: EmbedDecl | AnalysisDecl, settings: Settings) -> Enricher:
    from enrichers.analysis.build import build  # noqa: PLC0415  httpx and the kinds are loaded only where they are used

    if not isinstance(decl, AnalysisDecl):
        raise Misconfigured(f"`{decl.kind}` is no declaration of an analysis")
    return build(decl, settings)


JOB = EnricherSpec("job_analysis", _build)
COMPANY = EnricherSpec("company_analysis", _build)
RESUME = EnricherSpec("resume_analysis", _build)
USER_PROFILE = EnricherSpec("user_profile_analysis", _build)
CONVERSATION = EnricherSpec("conversation_analysis", _build)
