"""One enricher over a batch of its table's changes."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import msgspec

from changes.envelope import Delivered, Headers
from changes.progress import EVERY_ENRICHER, PublishedSchema
from changes.schema import TableSchema
from enrichers.cache.contract import Cache
from enrichers.contract import Enricher, Input, Output, decode_output, encode_output
from streams.enrich.derive import Derived, Emitted, Plan, deletions, results
from streams.enrich.known import Known
from streams.enrich.outlet import Outlet
from streams.enrich.said import Said

log = logging.getLogger(__name__)


class Job(msgspec.Struct, frozen=True):
    """One change to look at. ``key`` is its Kafka key."""

    key: bytes
    change: Delivered
    headers: Headers

    def behind(self, before: "Job") -> "Job":
        """This change in the place of one ``before`` it that nobody has looked at: what stores were to write over then
        they are to write over now."""
        if before.headers.over < 0 or self.headers.over >= 0:
            return self
        return Job(self.key, self.change, msgspec.structs.replace(self.headers, over=before.headers.over))


class Latest(msgspec.Struct, frozen=True):
    """The last of a key's changes in a batch. ``asks``: whose results any of them asked for; ``hid``: those before
    it."""

    job: Job
    asks: Collection[str] = frozenset()
    hid: tuple[Job, ...] = ()

    def then(self, job: Job) -> "Latest":
        return Latest(job.behind(self.job), {*self.asks, job.headers.ask}, (*self.hid, self.job))

    def asks_for(self, name: str) -> bool:
        """Whether the results of the enricher ``name`` were asked for."""
        return not {name, EVERY_ENRICHER}.isdisjoint(ask.partition("/")[0] for ask in self.asks)

    @property
    def chunks(self) -> int:
        """How many chunks stores hold of the row, as far as whoever asked has seen."""
        return max((int(chunk) + 1 for ask in self.asks if (chunk := ask.partition("/")[2]).isdigit()), default=0)


class Seen(msgspec.Struct, frozen=True):
    """A change, what is read of its row, and what would be said of it ``now``; ``input`` is ``None`` where the row is
    gone."""

    latest: Latest
    input: Input | None
    now: Emitted

    @property
    def job(self) -> Job:
        return self.latest.job


class News(Seen, frozen=True):
    """A change of which something may be to be said, and what ``was`` said of its row before."""

    was: Emitted | None

    @property
    def same(self) -> bool:
        return self.was is not None and self.was.says(self.now)

    @property
    def chunks(self) -> int:
        """How many records of the row there are by now, or may be."""
        return max(0 if self.was is None else self.was.chunks, self.latest.chunks)


Ask = Callable[[str, str, Sequence[bytes]], Awaitable[None]]
"""Asks capture for rows of a table by Kafka key, for the sake of what an enricher makes of them."""


class Work:
    """What one enricher makes of its table. `handle` may run several times at once for different keys."""

    def __init__(
        self,
        plan: Plan,
        enricher: Enricher,
        cache: Cache,
        said: Said,
        outlet: Outlet,
        schema_of: Callable[[str, str], TableSchema],
        ask: Ask,
    ) -> None:
        """``schema_of(table, fingerprint)`` raises `UnknownSchema` for one that is not to be seen yet."""
        self._plan, self._enricher = plan, enricher
        self._cache = cache
        self._said = said
        self._outlet = outlet
        self._schema_of = schema_of
        self._ask = ask
        self._known = Known()

    async def handle(self, jobs: Sequence[Job], era: int = 0) -> None:
        """Emit what is to be said of these changes, and return once Kafka has it. ``era`` changes whenever the group's
        partitions are handed out anew.

        Of several changes of a key only the last counts. Raises `Transient` where the cache or Kafka is away, and
        `UnknownSchema` where a schema is not to be seen yet: the same jobs may come again.
        """
        last: dict[bytes, Latest] = {}
        for job in jobs:
            before = last.get(job.key)
            last[job.key] = Latest(job, {job.headers.ask}) if before is None else before.then(job)
        seen = map(self._see, last.values())
        if changes := [one for one in seen if not self._is_known(one, era)]:
            await self._handle(changes, era)

    def _see(self, latest: Latest) -> Seen:
        plan, row, position = self._plan, latest.job.change.after, latest.job.headers.position
        if row is None:
            return Seen(latest, None, Emitted(plan.generation, position, "", ""))
        input_ = self._enricher.read(plan.readable(row))
        return Seen(latest, input_, Emitted(plan.generation, position, input_.hash, plan.carried_hash(row)))

    def _is_known(self, one: Seen, era: int) -> bool:
        """Whether nothing is to be said of a change, for it is of the same values as what was said last."""
        headers = one.job.headers
        if one.input is None or one.latest.hid or headers.ask or headers.over >= 0:
            return False
        return self._known.says(era, one.job.key, one.now)

    async def _handle(self, changes: Sequence[Seen], era: int) -> None:
        plan = self._plan
        prints = {one.job.headers.schema for one in changes}
        schemas = {found: plan.schema(self._schema_of(plan.table, found)) for found in prints}
        for schema in schemas.values():
            name = f"{plan.published_as}:{schema.fingerprint}"
            await self._outlet.publish(name, PublishedSchema(schema, schema.fingerprint))
        looked = await self._looked_at(changes, era)
        news = [one for one in looked if self._is_news(one)]
        for one in looked:
            if one.same and one.was is not None:
                self._known.learn(era, one.job.key, one.was)
        made = iter(await self._outputs([one.input for one in news if one.input is not None]))
        records: dict[bytes, list[Derived]] = {}
        said: dict[bytes, Emitted] = {}
        for one in news:
            schema, job = schemas[one.job.headers.schema], one.job
            if one.input is None:
                records[job.key] = [*deletions(plan, schema, job.change, job.headers, one.chunks)]
                said[job.key] = msgspec.structs.replace(one.now, chunks=one.chunks)  # to be deleted again if asked for
                continue
            output = next(made)
            if not one.same or self._must_tell(one) or not output.degraded:
                told = results(plan, schema, job.change, job.headers, output.rows, one.input.hash, one.chunks)
                records[job.key] = [*told]
                chunks = len(output.rows) if plan.chunked else 0
                said[job.key] = msgspec.structs.replace(one.now, degraded=output.degraded, chunks=chunks)
        await self._tell(records, said, era)

    async def _looked_at(self, changes: Sequence[Seen], era: int) -> list[News]:
        """The changes behind which nothing has been said yet, with what was said before."""
        found = []
        before = await self._said.get_many(self._plan.said_as, [one.job.key for one in changes])
        for one, was in zip(changes, before, strict=True):
            if was is None or not was.stands_over(one.now):
                found.append(News(one.latest, one.input, one.now, was))
            else:
                self._known.learn(era, one.job.key, None)
        return found

    def _is_news(self, one: News) -> bool:
        """Whether something new may be to be said: other values, the same because they must be, or better ones."""
        if not one.same or self._must_tell(one):
            return True
        return one.was is not None and one.was.degraded and self._enricher.ready()

    def _must_tell(self, one: News) -> bool:
        """Whether the same is to be said once more: somebody asks, or the row had other values for a moment since.

        A replay may meet these alone, and would take them for news; a record behind them keeps it from that.
        """
        if one.latest.asks_for(self._plan.name):
            return True
        hid = [self._see(Latest(job)).now for job in one.latest.hid]
        return any(now.stands_over(was) and not now.says(was) for now in hid if (was := one.was) is not None)

    async def _outputs(self, inputs: Sequence[Input]) -> list[Output]:
        """What the cache has, and for the rest what the enricher makes. What is degraded is not kept there: it may get
        better."""
        keys = [self._enricher.cache_key(input_) for input_ in inputs]
        known = await self._cache.get_many(keys)
        outputs = {key: decode_output(found) for key, found in zip(keys, known, strict=True) if found is not None}
        missing = {key: input_ for key, input_ in zip(keys, inputs, strict=True) if key not in outputs}
        if missing:
            made = dict(zip(missing, await self._enricher.run(list(missing.values())), strict=True))
            lasting = {key: encode_output(output) for key, output in made.items() if not output.degraded}
            if lasting:
                await self._cache.put_many(lasting)
            outputs |= made
        return [outputs[key] for key in keys]

    async def _tell(self, records: Mapping[bytes, Sequence[Derived]], said: Mapping[bytes, Emitted], era: int) -> None:
        """Emit, and only then remember what was emitted: a crash between says it twice, never not at all.

        A worker that was thought dead may come this far with a row that another one has taken on since. A replay reads
        the last record of a key, so nothing is told where something later was; where that happened in this very moment,
        the row is asked for, and told once more behind both.
        """
        plan, keys = self._plan, [*records]
        later = await self._said.get_many(plan.said_as, keys)
        late = {key for key, was in zip(keys, later, strict=True) if was is not None and was.stands_over(said[key])}
        await self._outlet.emit([record for key in keys if key not in late for record in records[key]])
        kept = {key: one for key, one in said.items() if key not in late}
        refused = await self._said.put_many(plan.said_as, kept)
        for key in said:
            self._known.learn(era, key, None if key in late or key in refused else kept[key])
        if overtaken := sorted(refused & records.keys()):
            log.warning("%d results of `%s` were told behind later ones and are asked for", len(overtaken), plan.topic)
            await self._ask(plan.table, plan.name, overtaken)
