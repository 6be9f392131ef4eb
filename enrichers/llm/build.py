"""From the settings to a client of endpoints, with the version's budget."""

from collections.abc import Sequence

from enrichers.llm.budget import Budget, Ledger, MemoryLedger
from enrichers.llm.client import Client, Limits
from enrichers.llm.money import amount
from enrichers.llm.world import World
from enrichers.settings import Endpoint, Settings


def client_of(endpoints: Sequence[Endpoint], settings: Settings) -> Client:
    world = World()
    limit = None if settings.budget is None else amount(settings.budget)
    budget = Budget(settings.version, limit, _ledger(endpoints, settings), world.now)
    # An endpoint is tried again no later than the rows that it failed.
    limits = Limits(cooldown=min(Limits.cooldown, settings.retry))
    return Client(endpoints, budget, world=world, limits=limits)


def _ledger(endpoints: Sequence[Endpoint], settings: Settings) -> Ledger:
    if settings.postgres_url is None or not any(endpoint.paid for endpoint in endpoints):
        return MemoryLedger()
    from enrichers.llm.ledger import PostgresLedger  # noqa: PLC0415  the driver is loaded only where it is used

    return PostgresLedger(settings.postgres_url.get_secret_value(), settings.version)
