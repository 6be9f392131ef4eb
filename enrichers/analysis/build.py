"""From a declaration and the settings to an enricher with its client and its budget."""

from changes.topology.model import AnalysisDecl
from enrichers.analysis.company import COMPANY
from enrichers.analysis.conversation import CONVERSATION
from enrichers.analysis.enricher import AnalysisEnricher
from enrichers.analysis.job import JOB
from enrichers.analysis.kind import AnalysisKind
from enrichers.analysis.resume import RESUME
from enrichers.analysis.user_profile import USER_PROFILE
from enrichers.llm import Client
from enrichers.llm.budget import Budget, Ledger, MemoryLedger
from enrichers.llm.money import amount
from enrichers.llm.world import World
from enrichers.settings import Settings

KINDS: dict[str, AnalysisKind] = {kind.name: kind for kind in (JOB, COMPANY, RESUME, USER_PROFILE, CONVERSATION)}


def build(decl: AnalysisDecl, settings: Settings) -> AnalysisEnricher:
    world = World()
    limit = None if settings.budget is None else amount(settings.budget)
    budget = Budget(settings.version, limit, _ledger(settings), world.now)
    return AnalysisEnricher(
        KINDS[decl.kind], decl, settings, Client(settings.endpoints, budget, world=world), clock=world.monotonic
    )


def _ledger(settings: Settings) -> Ledger:
    if settings.postgres_url is None or not any(endpoint.paid for endpoint in settings.endpoints):
        return MemoryLedger()
    from enrichers.llm.ledger import PostgresLedger  # noqa: PLC0415  the driver is loaded only where it is used

    return PostgresLedger(settings.postgres_url.get_secret_value(), settings.version)
