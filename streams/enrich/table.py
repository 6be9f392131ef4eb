"""One table's enrichers over a batch of its changes."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from changes.envelope import Delivered, Headers
from changes.progress import EVERY_ENRICHER, PublishedSchema
from changes.schema import TableSchema
from enrichers.cache.contract import Cache
from enrichers.contract import Enricher, Input, Output, decode_output, encode_output
from streams.enrich.derive import Derived, Emitted, Plan, deletion, result
from streams.enrich.outlet import Outlet

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


class TableWork:
    """What is made of one table. `handle` may run several times at once for different keys."""

    def __init__(
        self,
        plans: Sequence[tuple[Plan, Enricher]],
        cache: Cache,
        outlet: Outlet,
        schema_of: Callable[[str, str], TableSchema],
    ) -> None:
        """``schema_of(table, fingerprint)`` raises `UnknownSchema` for one that is not to be seen yet."""
        self._plans = plans
        self._cache = cache
        self._outlet = outlet
        self._schema_of = schema_of

    async def handle(self, jobs: Sequence[Job]) -> None:
        """Emit what is to be said of these changes, and return once Kafka has it.

        Of several changes of a key only the last counts. Raises `Transient` where the cache or Kafka is away, and
        `UnknownSchema` where a schema is not to be seen yet: the same jobs may come again.
        """
        last: dict[bytes, Job] = {}
        asked: dict[bytes, set[str]] = {}
        for job in jobs:
            before = last.get(job.key)
            last[job.key] = job if before is None else job.behind(before)
            asked.setdefault(job.key, set()).add(job.headers.ask)
        await asyncio.gather(*(self._one(plan, enricher, list(last.values()), asked) for plan, enricher in self._plans))

    async def _one(
        self, plan: Plan, enricher: Enricher, jobs: Sequence[Job], asked: Mapping[bytes, Collection[str]]
    ) -> None:
        schemas = {job.headers.schema: plan.schema(self._schema_of(plan.table, job.headers.schema)) for job in jobs}
        for schema in schemas.values():
            name = f"{plan.published_as}:{schema.fingerprint}"
            await self._outlet.publish(name, PublishedSchema(schema, schema.fingerprint))
        gone = [job for job in jobs if job.change.after is None]
        records = [
            record for job in gone for record in deletion(plan, schemas[job.headers.schema], job.change, job.headers)
        ]
        again = {key for key, names in asked.items() if not {plan.name, EVERY_ENRICHER}.isdisjoint(names)}
        new = await self._news(plan, enricher, [job for job in jobs if job.change.after is not None], again)
        outputs = await self._outputs(enricher, [input_ for _, input_, _ in new])
        for (job, input_, _), output in zip(new, outputs, strict=True):
            schema = schemas[job.headers.schema]
            records.append(result(plan, schema, job.change, job.headers, output.columns, input_.hash))
        await self._tell(plan, records, gone, new)

    async def _news(
        self, plan: Plan, enricher: Enricher, jobs: Sequence[Job], again: Collection[bytes]
    ) -> list[tuple[Job, Input, Emitted]]:
        """The jobs of which something new is to be said, or what was said ``again``, with what is read of them."""
        states = await self._cache.get_many([plan.state_key(job.key) for job in jobs])
        new = []
        for job, state in zip(jobs, states, strict=True):
            row = job.change.after or {}
            input_ = enricher.read(plan.readable(row))
            said = Emitted(plan.generation, input_.hash, plan.carried_hash(row))
            if job.key in again or state is None or msgspec.json.decode(state, type=Emitted) != said:
                new.append((job, input_, said))
        return new

    async def _outputs(self, enricher: Enricher, inputs: Sequence[Input]) -> list[Output]:
        """What the cache has, and for the rest what the enricher makes. What is degraded is not remembered: the next
        change may get better."""
        keys = [enricher.cache_key(input_) for input_ in inputs]
        known = await self._cache.get_many(keys)
        outputs = {key: decode_output(found) for key, found in zip(keys, known, strict=True) if found is not None}
        missing = {key: input_ for key, input_ in zip(keys, inputs, strict=True) if key not in outputs}
        if missing:
            made = dict(zip(missing, await enricher.run(list(missing.values())), strict=True))
            lasting = {key: encode_output(output) for key, output in made.items() if not output.degraded}
            if lasting:
                await self._cache.put_many(lasting)
            outputs |= made
        return [outputs[key] for key in keys]

    async def _tell(
        self,
        plan: Plan,
        records: Sequence[Derived],
        gone: Sequence[Job],
        new: Sequence[tuple[Job, Input, Emitted]],
    ) -> None:
        """Emit, and only then remember what was emitted: a crash between says it twice, never not at all."""
        await self._outlet.emit(records)
        said = {plan.state_key(job.key): one for job, _, one in new}
        # written, not dropped: a quick cache may still hand out what was dropped, and hide a row that comes back
        said |= {plan.state_key(job.key): Emitted(plan.generation, "", "") for job in gone}
        if said:
            await self._cache.put_many({key: msgspec.json.encode(one) for key, one in said.items()})
