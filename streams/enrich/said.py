"""What was last said of each row, kept in PostgreSQL: no worker that lost its rows to another takes it back.

Beside the content cache, not in it: an entry yields only to one of the same or a later (generation, position).
"""

from collections.abc import Mapping, Sequence

from enrichers.postgres import Database
from streams.enrich.derive import Emitted

_TABLE = (
    "CREATE TABLE IF NOT EXISTS tailrace.enrich_said"
    " (name text, key text, generation integer NOT NULL, position bigint NOT NULL, input text NOT NULL,"
    " carried text NOT NULL, degraded boolean NOT NULL, chunks integer NOT NULL,"
    " tries integer NOT NULL DEFAULT 0, due timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (name, key))"
)
_INDEX = "CREATE INDEX IF NOT EXISTS enrich_said_degraded ON tailrace.enrich_said (name, due) WHERE degraded"
_GET = (
    "SELECT key, generation, position, input, carried, degraded, chunks FROM tailrace.enrich_said"
    " WHERE name = $1 AND key = ANY ($2::text[])"
)
_PUT = (
    "INSERT INTO tailrace.enrich_said AS s"
    " (name, key, generation, position, input, carried, degraded, chunks, due)"
    " SELECT $1, u.*, now() + $9::float8 * interval '1 second' FROM"
    " unnest($2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::boolean[], $8::integer[]) AS u"
    " ON CONFLICT (name, key) DO UPDATE SET generation = excluded.generation, position = excluded.position,"
    " input = excluded.input, carried = excluded.carried, degraded = excluded.degraded, chunks = excluded.chunks,"
    " tries = CASE WHEN s.degraded AND s.input = excluded.input THEN s.tries ELSE 0 END,"
    " due = CASE WHEN s.degraded AND s.input = excluded.input THEN s.due ELSE excluded.due END"
    " WHERE (s.generation, s.position) <= (excluded.generation, excluded.position) RETURNING s.key"
)
_CLAIM = (
    "UPDATE tailrace.enrich_said AS s SET tries = s.tries + 1,"
    " due = now() + least($3::float8 * power(2, s.tries + 1), $4::float8) * interval '1 second'"
    " FROM (SELECT key FROM tailrace.enrich_said WHERE name = $1 AND degraded AND due <= now() AND tries < $5"
    " ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED) AS c"
    " WHERE s.name = $1 AND s.key = c.key RETURNING s.key"
)
_ANY = "SELECT 1 FROM tailrace.enrich_said WHERE name = $1 AND key = ''"
_DEGRADED = "SELECT key FROM tailrace.enrich_said WHERE name = $1 AND degraded ORDER BY key"

LONGEST_RETRY = 6 * 3600.0
MOST_TRIES = 8
"""A degraded row is asked about again so often by itself: over some eight hours, with a first pause of a minute."""


class Said:
    """``url``: ``postgresql://user:password@host:port/database``. ``retry``: seconds before a degraded row is asked
    about again, doubled with each try. ``name`` is `Plan.said_as`, a key is the row's Kafka key.

    Every call raises `Transient` where PostgreSQL is away: nothing is known then, and the same call may come again.
    """

    def __init__(self, url: str, *, retry: float = 60.0) -> None:
        self._database = Database(url, (_TABLE, _INDEX), connections=4)
        self._retry = retry

    async def knows(self, name: str) -> bool:
        """Whether all that was said under ``name`` is remembered here, as `learnt` told."""
        return bool(await self._database.fetch(_ANY, name))

    async def learnt(self, name: str) -> None:
        """From now on it is."""
        await self.put_many(name, {b"": Emitted(0, 0, "", "")})

    async def get_many(self, name: str, keys: Sequence[bytes]) -> list[Emitted | None]:
        """What was last said of each row, in order; ``None`` of one of which nothing was."""
        if not keys:
            return []
        rows = await self._database.fetch(_GET, name, [key.decode() for key in keys])
        found = {row["key"].encode(): Emitted(*[*row.values()][1:]) for row in rows}
        return [found.get(key) for key in keys]

    async def put_many(self, name: str, said: Mapping[bytes, Emitted]) -> set[bytes]:
        """Remember; the keys of which something later had been said already, where that stays."""
        if not said:
            return set()
        keys = sorted(said)  # in one order for all, so that no two batches wait for each other's rows
        rows = [said[key] for key in keys]
        landed = await self._database.fetch(
            _PUT,
            name,
            [key.decode() for key in keys],
            [row.generation for row in rows],
            [row.position for row in rows],
            [row.input for row in rows],
            [row.carried for row in rows],
            [row.degraded for row in rows],
            [row.chunks for row in rows],
            self._retry,
        )
        return said.keys() - {row["key"].encode() for row in landed}

    async def claim(self, name: str, most: int) -> list[bytes]:
        """Degraded rows whose time for another try has come, each handed to one worker only, and its next time set."""
        rows = await self._database.fetch(_CLAIM, name, most, self._retry, LONGEST_RETRY, MOST_TRIES)
        return [row["key"].encode() for row in rows]

    async def degraded(self, name: str) -> list[bytes]:
        """Every row whose result is a degraded one."""
        return [row["key"].encode() for row in await self._database.fetch(_DEGRADED, name)]

    async def close(self) -> None:
        await self._database.close()
