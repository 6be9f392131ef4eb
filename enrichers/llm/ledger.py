"""The ledger of a budget in PostgreSQL: what a month has cost survives the process, and is shared by all of them."""

from enrichers.postgres import Database

_TABLE = (
    "CREATE TABLE IF NOT EXISTS tailrace.enrich_spending"
    " (version text, month text, spent bigint NOT NULL, PRIMARY KEY (version, month))"
)
_RESERVE = (
    "INSERT INTO tailrace.enrich_spending AS s (version, month, spent) SELECT $1, $2, $3::bigint WHERE $3 <= $4::bigint"
    " ON CONFLICT (version, month) DO UPDATE SET spent = s.spent + excluded.spent"
    " WHERE s.spent + excluded.spent <= $4 RETURNING spent"
)
_SETTLE = (
    "INSERT INTO tailrace.enrich_spending AS s (version, month, spent) VALUES ($1, $2, $3)"
    " ON CONFLICT (version, month) DO UPDATE SET spent = s.spent + excluded.spent RETURNING spent"
)


class PostgresLedger:
    """``url``: ``postgresql://user:password@host:port/database``."""

    def __init__(self, url: str, version: str) -> None:
        self._database = Database(url, (_TABLE,))
        self._version = version

    async def reserve(self, month: str, amount: int, limit: int) -> int | None:
        found = await self._database.fetch(_RESERVE, self._version, month, amount, limit)
        return found[0]["spent"] if found else None

    async def settle(self, month: str, difference: int) -> int:
        (found,) = await self._database.fetch(_SETTLE, self._version, month, difference)
        total: int = found["spent"]
        return total

    async def close(self) -> None:
        await self._database.close()
