"""Places that are exchanged under one name while both are written to: on real servers, of every sink that can."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

import asyncpg
import httpx
import pytest
from conformance import Harness, Others, Servers, Stage, schema_of, staged
from harness_mysql import MysqlHarness
from harnesses import HARNESSES

from changes.errors import Misconfigured, Transient
from changes.record import Record
from changes.target import Target
from sinks.contract import Exchanging, Swap
from sinks.elasticsearch import alias_of, catalog, index_of
from sinks.elasticsearch.mappings import Index
from sinks.elasticsearch.wire import Wire
from sinks.registry import SPECS
from streams.replay.names import swaps_of

ABLE = ("postgres", "dao", "elasticsearch")
IDS = 40


@dataclass
class Sides:
    """A live place and its shadow, each with a writer of its own, a history of changes that both are given, and
    whoever exchanges them."""

    live: Stage
    shadow: Stage
    store: Exchanging
    swap: Swap
    history: list[tuple[int, str | None]] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    written: int = 0
    followed: int = 0

    @property
    def swaps(self) -> list[Swap]:
        return [self.swap]

    def grow(self, changes: int) -> None:
        for _ in range(changes):
            text = None if self.rng.random() < 0.3 else f"t{len(self.history)}"
            self.history.append((self.rng.randrange(IDS), text))

    async def write(self) -> None:
        """Into the live place, all that has come; as a lane does, until it is stored."""
        batch = self._records(self.live, self.written)
        while True:
            with suppress(Transient):
                await self.live.sink.open([(self.live.target, self.live.schema)])
                await self.live.sink.write(batch)
                break
            await asyncio.sleep(0.02)
        self.written += len(batch)

    async def follow(self) -> None:
        """The same into the shadow."""
        batch = self._records(self.shadow, self.followed)
        await self.shadow.sink.write(batch)
        self.followed += len(batch)

    def _records(self, stage: Stage, first: int) -> list[Record]:
        found: list[Record] = []
        for position, (id_, text) in enumerate(self.history[first:], first + 1):
            row = {"id": id_, "user_id": 1}
            found += stage.gone(position, **row) if text is None else stage.put(position, **row, title=text)
        return found

    async def exchange(self) -> None:
        async with self.store.held(self.swaps) as exchange:
            await self.follow()
            await exchange()

    async def held(self) -> dict[int, tuple[int, str]]:
        """What the live place holds: by id, the position and the title."""
        return {int(str(row.row["id"])): (row.position, str(row.row["title"])) for row in await self.live.all()}

    @property
    def truth(self) -> dict[int, tuple[int, str]]:
        last = {id_: (position, text) for position, (id_, text) in enumerate(self.history, 1)}
        return {id_: (position, text) for id_, (position, text) in last.items() if text is not None}


@pytest.fixture(params=ABLE)
def harness(request: pytest.FixtureRequest, stack: Servers, beside: Others) -> Harness:
    return HARNESSES[request.param](stack, beside)


@pytest.fixture
async def sides(request: pytest.FixtureRequest, harness: Harness) -> AsyncIterator[Sides]:
    name = request.node.callspec.params["harness"]
    async with staged(harness, name) as live, staged(harness, name) as other, staged(harness, name) as third:
        assert isinstance(third.sink, Exchanging)
        (swap,) = swaps_of([live.target], "0a")
        shadow = replace(other, target=swap.shadow)
        await shadow.sink.open([(shadow.target, shadow.schema)])
        yield Sides(live, shadow, third.sink, swap)
        await third.sink.drop([other.target, third.target, swap.live, swap.shadow, swap.kept])


async def until(true: Callable[[], bool], beside: Sequence[asyncio.Task[None]]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        for task in beside:
            if task.done():
                task.result()
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def test_the_sinks_that_can_are_these() -> None:
    urls = {
        "elasticsearch": "http://h",
        "mongodb": "mongodb://h/d",
        "neo4j": "bolt://u:p@h",
        "redis": "redis://h",
        "weaviate": "http://h?grpc=1",
    }
    able = {
        name for name, spec in SPECS.items() if isinstance(spec.build(urls.get(spec.endpoint, "/nowhere")), Exchanging)
    }
    assert able == {*ABLE, "ai_identity", "credit"}


async def test_nothing_is_lost_and_no_reader_goes_back(sides: Sides) -> None:
    over, seen, back = False, dict[int, int](), 0

    async def writing() -> None:
        while not over:
            sides.grow(sides.rng.randrange(1, 20))
            await sides.write()

    async def reading() -> None:
        nonlocal back
        while not over:
            for id_, (position, _) in (await sides.held()).items():
                back += position < seen.get(id_, 0)
                seen[id_] = max(position, seen.get(id_, 0))

    tasks = [asyncio.create_task(writing()), asyncio.create_task(reading())]
    await until(lambda: sides.written >= 200, tasks)
    await sides.follow()
    with suppress(KeyError):
        async with sides.store.held(sides.swaps):
            raise KeyError  # whoever gives up lets go
    before = sides.written
    await until(lambda: sides.written > before, tasks)
    assert not await sides.store.exchanged(sides.swaps)
    await sides.exchange()
    assert await sides.store.exchanged(sides.swaps)
    exchanged = sides.written
    await until(lambda: sides.written >= exchanged + 100, tasks)
    over = True
    await asyncio.gather(*tasks)
    assert back == 0
    assert await sides.held() == sides.truth
    assert {row.mapping for row in await sides.live.all()} == {sides.live.target.mapping}


@pytest.mark.parametrize("harness", ["elasticsearch"], indirect=True)
async def test_an_alias_that_moves_while_a_lane_opens_is_asked_for_again(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides.grow(30)
    await sides.write()
    real = catalog._find

    async def meanwhile(wire: Wire, index: Index, name: str) -> catalog.Found | None:
        monkeypatch.setattr(catalog, "_find", real)
        await sides.exchange()
        return await real(wire, index, name)

    monkeypatch.setattr(catalog, "_find", meanwhile)
    with pytest.raises(Transient, match="was given to another index meanwhile"):
        await sides.live.sink.open([(sides.live.target, sides.live.schema)])
    sides.grow(30)
    await sides.write()
    assert await sides.held() == sides.truth


async def test_a_hold_holds_every_writer_and_no_reader(sides: Sides) -> None:
    sides.grow(50)
    await sides.write()
    async with sides.store.held(sides.swaps):
        before = await sides.held()
        sides.grow(50)
        writing = asyncio.create_task(sides.write())
        await asyncio.sleep(0.5)
        assert not writing.done()
        assert await sides.held() == before
    await writing
    assert await sides.held() == sides.truth


async def test_tombstones_guard_behind_it_as_before(sides: Sides) -> None:
    row = {"id": 3, "user_id": 1}
    for stage in (sides.live, sides.shadow):
        await stage.write(stage.put(5, **row, title="a"), stage.gone(9, **row))
    await sides.exchange()
    assert await sides.live.write(sides.live.put(7, **row, title="older")) == ["stale"]
    assert await sides.live.held(**row) is None
    assert (await sides.live.sink.sums(sides.live.target, sides.live.schema, 8)).beyond.keys() == {
        ("", next(iter(sides.live.gone(9, **row))).key.canonical)
    }


async def test_what_was_done_is_not_done_again(sides: Sides) -> None:
    sides.grow(30)
    await sides.write()
    await sides.exchange()
    sides.grow(30)
    await sides.write()
    async with sides.store.held(sides.swaps) as exchange:
        await exchange()
    assert await sides.held() == sides.truth
    kept = replace(sides.live, target=sides.swap.kept)
    assert len(await kept.all()) > 0
    await sides.store.drop([sides.swap.kept])
    assert not await sides.store.exchanged(sides.swaps)
    await sides.store.drop([sides.swap.kept])
    assert await sides.held() == sides.truth
    async with sides.store.held(sides.swaps):
        pass
    sides.grow(30)
    await sides.write()
    assert await sides.held() == sides.truth


@pytest.mark.parametrize("harness", ["postgres"], indirect=True)
async def test_what_others_made_of_a_view_of_postgresql_reads_the_new_table(stack: Servers, sides: Sides) -> None:
    place = sides.live.target.place
    database = await asyncpg.connect(stack.admin["future"]["postgres"])
    try:
        await database.execute(
            f"CREATE ROLE {place}_r; CREATE VIEW public.{place}_v AS SELECT title FROM public.{place};"
            f" GRANT SELECT ON public.{place}, tailrace.{place} TO {place}_r;"
            f" GRANT UPDATE ON tailrace.{place} TO PUBLIC"
        )
        sides.grow(40)
        await sides.write()
        await sides.exchange()
        told = [title for (title,) in await database.fetch(f"SELECT title FROM public.{place}_v ORDER BY 1")]
        assert told == sorted(title for _, title in sides.truth.values())
        for relation, privilege in (("public", "SELECT"), ("tailrace", "SELECT"), ("tailrace", "UPDATE")):
            asked = (f"{place}_r", f"{relation}.{place}", privilege)
            assert await database.fetchval("SELECT has_table_privilege($1, $2, $3)", *asked)
        assert await database.fetchval("SELECT to_regclass($1)", f"public.{sides.swap.shadow.place}") is None
        await database.execute(f"DROP VIEW public.{place}_v; DROP OWNED BY {place}_r; DROP ROLE {place}_r")
    finally:
        await database.close()


@pytest.mark.parametrize("harness", ["postgres"], indirect=True)
async def test_indexes_of_vectors_are_not_made_again_behind_it(harness: Harness) -> None:
    schema = schema_of(("id", "bigint"), ("user_id", "bigint"), ("made", "vector(3)"))
    database = await asyncpg.connect(harness.url)  # type: ignore[attr-defined]

    async def indexes(target: Target) -> set[str]:
        asked = "SELECT indexname FROM pg_indexes WHERE schemaname = 'tailrace' AND tablename = $1"
        found = {name for (name,) in await database.fetch(asked, target.place)}
        return {name for name in found if name.endswith(("_hnsw", "_user"))}

    async with staged(harness, "postgres", schema) as live:
        assert isinstance(live.sink, Exchanging)
        (swap,) = swaps_of([live.target], "0b")
        await live.sink.open([(swap.shadow, schema)])
        before = await indexes(swap.live)
        async with live.sink.held([swap]) as exchange:
            await exchange()
        await live.sink.open([(swap.live, schema)])
        assert await indexes(swap.live) == before != await indexes(swap.kept)
        assert len(before) == len(await indexes(swap.kept)) == 2
        await live.sink.drop([swap.live, swap.kept])
    await database.close()


@pytest.mark.parametrize("harness", ["postgres"], indirect=True)
async def test_what_readers_may_not_see_stays_hidden(harness: Harness, sides: Sides) -> None:
    place, shadow = sides.live.target.place, sides.swap.shadow.place
    database = await asyncpg.connect(harness.url)  # type: ignore[attr-defined]
    await database.execute(f"CREATE POLICY theirs ON tailrace.{place} AS RESTRICTIVE USING (id > 5)")
    with pytest.raises(Misconfigured, match=r"has policies that .* has not: theirs\. Make them"):
        await sides.exchange()
    await database.execute(f"DROP POLICY theirs ON tailrace.{place}")
    await database.execute(f"ALTER TABLE tailrace.{shadow} DISABLE ROW LEVEL SECURITY")
    with pytest.raises(Misconfigured, match=r"has row-level security and .* has not: ALTER TABLE"):
        await sides.exchange()
    await database.close()
    assert not await sides.store.exchanged(sides.swaps)
    sides.grow(10)
    await sides.write()
    assert await sides.held() == sides.truth


@pytest.mark.parametrize("harness", ["dao"], indirect=True)
async def test_a_view_of_mysql_shows_what_the_new_table_has(harness: MysqlHarness, sides: Sides) -> None:
    place = sides.live.target.place
    wide = sides.live.widened("gone_since", "int")
    await wide.sink.open([(wide.target, wide.schema)])
    sides.grow(40)
    await sides.write()
    await sides.exchange()

    def shown(name: str) -> Sequence[str]:
        with closing(harness.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM `{name}`")
            return [column[0] for column in cursor.description or ()]

    assert shown(place) == ["id", "user_id", "title", "amount"]
    assert "gone_since" in shown(f"_tr_{sides.swap.kept.place}")


@pytest.mark.parametrize("harness", ["elasticsearch"], indirect=True)
async def test_a_hold_of_elasticsearch_that_was_left_is_freed(harness: Harness, sides: Sides) -> None:
    index = index_of(sides.live.target)
    async with httpx.AsyncClient(base_url=harness.url, timeout=60) as client:  # type: ignore[attr-defined]
        theirs, mine = f"{index}_mine", {"term": {"user_id": 1}}
        (await client.put(f"/{index}/_alias/{theirs}", json={"filter": mine})).raise_for_status()
        (await client.put(f"/{index}/_block/write")).raise_for_status()
        sides.grow(20)
        with pytest.raises(Transient, match="index write"):
            await sides.live.sink.write(sides.live.put(1, id=1, user_id=1))
        await sides.exchange()
        await sides.write()
        assert await sides.held() == sides.truth
        names = (await client.get(f"/_alias/{alias_of(sides.live.target)}")).json()
        assert list(names) == [index_of(sides.swap.shadow)]
        moved = (await client.get(f"/_alias/{theirs}")).json()
        assert moved == {index_of(sides.swap.shadow): {"aliases": {theirs: {"filter": mine}}}}
        await sides.store.drop([sides.swap.live])
        with pytest.raises(Misconfigured, match=f"`{index}` is kept as {alias_of(sides.swap.kept)}: drop that"):
            await sides.live.sink.open([(sides.live.target, sides.live.schema)])
