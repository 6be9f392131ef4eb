"""Which embedding model each place and enricher has its vectors from, kept in PostgreSQL: never two models in one."""

from collections.abc import Iterator, Mapping

from changes.errors import Misconfigured
from changes.topology import Topology
from changes.topology.model import BUILT_IN_DIMS, EmbedDecl
from enrichers.postgres import Database

_TABLE = "CREATE TABLE IF NOT EXISTS tailrace.enrich_models (what text PRIMARY KEY, model text NOT NULL)"
_GET = "SELECT what, model FROM tailrace.enrich_models"
_PUT = "INSERT INTO tailrace.enrich_models SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (what) DO NOTHING"


def declared(topology: Topology, version: str) -> Iterator[tuple[str, str]]:
    """Each enricher's topic and each place that its vectors go to, with the model and the numbers of a vector."""
    for table in topology.tables:
        for name, decl in topology.enrichers(table).items():
            if isinstance(decl, EmbedDecl):
                model = f"{decl.model}, {decl.dims or BUILT_IN_DIMS} numbers"
                yield topology.derived_topic(version, table, name), model
                for target in topology.derived_targets(version):
                    if (target.source, target.of) == (table, name):
                        yield f"{target.sink} {target.place}", model


def refusals(wanted: Mapping[str, str], known: Mapping[str, str]) -> Iterator[str]:
    """What would put vectors of one model among those of another."""
    for what, model in wanted.items():
        before = known.get(what, model)
        if before != model:
            yield (
                f"`{what}` holds vectors of `{before}`, and `{model}` is declared: no distance between the two means"
                " anything; declare an enricher and a place of their own for it, and drop these once it is filled"
            )


class Models:
    """``url``: ``postgresql://user:password@host:port/database``."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, (_TABLE,))

    async def check(self, topology: Topology, version: str, *, remember: bool = False) -> None:
        """Raises `Misconfigured` naming every place with vectors of another model than declared, `Transient` where
        PostgreSQL is away."""
        wanted = dict(declared(topology, version))
        known = {row["what"]: row["model"] for row in await self._database.fetch(_GET)}
        if found := [*refusals(wanted, known)]:
            raise Misconfigured("\n".join(found))
        if remember:
            await self._database.fetch(_PUT, [*wanted], [*wanted.values()])

    async def close(self) -> None:
        await self._database.close()
