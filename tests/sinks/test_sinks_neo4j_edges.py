"""The relationships that rows imply, on a real server: made, replaced, removed, and found where they were changed."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from conformance import Others, Servers, Stage, new_place, schema_of, staged, target_of
from harness_neo4j import Neo4jHarness, cypher, driver_of, settled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo4j import AsyncDriver

from audit.compare import Expected, Found, judge
from changes.canonical import Value, row_hash
from changes.errors import Transient
from changes.record import Record, StoredRow
from changes.target import Edge
from sinks.registry import SPECS

USERS = schema_of(("id", "bigint"), ("name", "varchar(20)"), ("boss", "bigint"))
TALKS = schema_of(("id", "bigint"), ("user_id", "bigint"), ("session", "varchar(20)"), ("model", "varchar(20)"))
SKILLS = schema_of(("resume_id", "bigint"), ("skill_id", "int"), key=("resume_id", "skill_id"))


@pytest.fixture(scope="module")
def harness(stack: Servers, beside: Others) -> Neo4jHarness:
    return Neo4jHarness(stack, beside)


@dataclass(frozen=True)
class Graph:
    """Users, some of whom have a boss, and talks of users within sessions, with models; labels by a word for each."""

    driver: AsyncDriver
    users: Stage
    talks: Stage

    @property
    def labels(self) -> dict[str, str]:
        own = {self.users.target.place: "User", self.talks.target.place: "Talk"}
        return own | {
            edge.end: word for edge, word in zip(self.talks.target.edges[::2], ("Session", "Model"), strict=True)
        }

    async def ask(self, text: str, **values: Any) -> list[list[Any]]:
        """What a statement returns; ``:ANY`` in it stands for each of the labels."""
        labels = "|".join(f"`{label}`" for label in self.labels)
        async with self.driver.session() as session:
            return await (await session.run(text.replace(":ANY", f":{labels}"), values)).values()

    async def nodes(self) -> set[tuple[str, str, bool]]:
        """Label, key and whether it is a stub, of every node."""
        found = await self.ask("MATCH (n:ANY) RETURN labels(n)[0], n._tr_key, n._tr_stub IS NOT NULL")
        return {(self.labels[label], key, stub) for label, key, stub in found}

    async def edges(self) -> list[tuple[str, ...]]:
        """Type, ends, and the row that made it, of every relationship."""
        found = await self.ask(
            "MATCH (a:ANY)-[e]->(b)"
            " RETURN type(e), labels(a)[0], a._tr_key, labels(b)[0], b._tr_key, e._tr_target, e._tr_key"
        )
        return sorted(tuple(self.labels.get(str(one), str(one)) for one in fields) for fields in found)


@pytest.fixture(scope="module")
async def graph(harness: Neo4jHarness) -> AsyncIterator[Graph]:
    """One graph for all tests of this module, each with keys of its own."""
    user, talk, session, model = (new_place(word) for word in ("User", "Talk", "Session", "Model"))
    boss = (Edge("REPORTS_TO", end=user, end_key="boss"),)
    talk_edges = (
        Edge("HAS_SESSION", user, "user_id", session, "session"),
        Edge("CONTAINS", session, "session"),
        Edge("USES_MODEL", end=model, end_key="model"),
    )
    sink = harness.build()
    users = Stage(sink, SPECS["neo4j"], target_of("neo4j", user, edges=boss), USERS)
    talks = Stage(sink, SPECS["neo4j"], target_of("neo4j", talk, edges=talk_edges), TALKS)
    await sink.open([(users.target, USERS), (talks.target, TALKS)])
    async with driver_of(harness.url) as driver:
        yield Graph(driver, users, talks)
    await sink.close()


@pytest.fixture
async def empty(graph: Graph) -> Graph:
    await graph.ask("MATCH (n:ANY) DETACH DELETE n")
    await graph.ask("MATCH (d:_tailrace_tombstone) WHERE d.target IN $labels DELETE d", labels=list(graph.labels))
    return graph


def talk(id_: int, user: int | None, session: str | None, model: str | None) -> dict[str, Value]:
    return {"id": id_, "user_id": user, "session": session, "model": model}


async def test_a_row_makes_its_edges_and_replaces_only_its_own(empty: Graph) -> None:
    talks = empty.talks
    await talks.write(talks.put(10, **talk(1, 7, "s", "m")), talks.put(10, **talk(2, 7, "t", "m")))
    second = [
        ("CONTAINS", "Session", "t", "Talk", "2", "Talk", "2"),
        ("HAS_SESSION", "User", "7", "Session", "t", "Talk", "2"),
        ("USES_MODEL", "Talk", "2", "Model", "m", "Talk", "2"),
    ]
    first = [
        ("CONTAINS", "Session", "s", "Talk", "1", "Talk", "1"),
        ("HAS_SESSION", "User", "7", "Session", "s", "Talk", "1"),
        ("USES_MODEL", "Talk", "1", "Model", "m", "Talk", "1"),
    ]
    assert await empty.edges() == sorted(first + second)
    await talks.write(talks.put(11, **talk(1, 8, "s", None)))
    changed = [first[0], ("HAS_SESSION", "User", "8", "Session", "s", "Talk", "1")]
    assert await empty.edges() == sorted(changed + second)
    assert [row.broken for row in await talks.all()] == [(), ()]
    await talks.write(talks.gone(12, **talk(1, 8, "s", None)))
    assert await empty.edges() == second
    rest = {("User", "7", True), ("Session", "t", True), ("Model", "m", True)}
    assert await empty.nodes() == {("Talk", "2", False), *rest}
    await talks.write(talks.gone(12, **talk(2, 7, "t", "m")))
    assert (await empty.edges(), await empty.nodes()) == ([], set())


async def test_an_unchanged_edge_stays_the_same_relationship(empty: Graph) -> None:
    talks = empty.talks
    await talks.write(talks.put(10, **talk(1, 7, "s", "m")))
    text = f"MATCH (:`{talks.target.place}`)-[e:USES_MODEL]->() RETURN elementId(e), e._tr_pos"
    before = await empty.ask(text)
    assert await talks.write(talks.put(20, **talk(1, 8, "s", "m"))) == ["applied"]
    assert await empty.ask(text) == before
    assert before[0][1] == 10


async def test_an_end_may_come_before_or_after_the_row_that_points_to_it(empty: Graph) -> None:
    users, talks = empty.users, empty.talks
    ends = []
    for id_, end_first in ((1, True), (2, False)):
        row, other = users.put(10, id=id_, name="a"), talks.put(11, **talk(id_, id_, f"s{id_}", None))
        for one, records in ((users, row), (talks, other)) if end_first else ((talks, other), (users, row)):
            assert await one.write(records) == ["applied"]
        ends.append(await users.held(id=id_))
    assert [end.row["name"] for end in ends if end is not None] == ["a", "a"]
    assert {node for node in await empty.nodes() if node[0] == "User"} == {("User", "1", False), ("User", "2", False)}
    assert [edge[2] for edge in await empty.edges() if edge[0] == "HAS_SESSION"] == ["1", "2"]


async def test_a_deleted_end_is_a_stub_until_it_comes_back_or_nobody_points_to_it(empty: Graph) -> None:
    users, talks = empty.users, empty.talks
    await users.write(users.put(10, id=1, name="a"), users.put(10, id=2, name="b", boss=1))
    await talks.write(talks.put(10, **talk(1, 1, "s", None)))
    edges = await empty.edges()
    assert await users.write(users.gone(20, id=1, name="a")) == ["applied"]
    assert ("User", "1", True) in await empty.nodes()
    assert await empty.edges() == edges
    assert (await users.held(id=1), [row.key.values for row in await users.all()]) == (None, [(2,)])
    stored = await users.sink.sums(users.target, users.schema, 100)
    assert sum(one.count for one in stored.sums.values()) == 1
    assert await users.write(users.put(15, id=1, name="late")) == ["stale"]
    assert ("User", "1", True) in await empty.nodes()
    assert await users.write(users.put(21, id=1, name="back")) == ["applied"]
    assert ("User", "1", False) in await empty.nodes()
    assert await empty.edges() == edges
    await users.write(users.gone(22, id=1))
    await talks.write(talks.gone(22, **talk(1, 1, "s", None)))
    assert ("User", "1", True) in await empty.nodes()  # the other user's boss
    await users.write(users.put(22, id=2, name="b", boss=None))
    assert await empty.nodes() == {("User", "2", False)}


async def test_a_stale_row_leaves_no_trace(empty: Graph) -> None:
    talks = empty.talks
    await talks.write(talks.gone(20, **talk(1, 7, "s", "m")))
    assert await talks.write(talks.put(19, **talk(1, 7, "s", "m"))) == ["stale"]
    assert (await empty.edges(), await empty.nodes()) == ([], set())


async def test_a_row_may_point_to_itself_and_to_rows_of_its_batch(empty: Graph) -> None:
    users = empty.users
    await users.write(users.put(10, id=1, boss=2), users.put(10, id=2, boss=2), users.put(10, id=3, boss=1))
    pairs = [("1", "2"), ("2", "2"), ("3", "1")]
    assert [(edge[2], edge[4]) for edge in await empty.edges()] == pairs
    await users.write(users.gone(11, id=2, boss=2), users.gone(11, id=3, boss=1))
    assert await empty.nodes() == {("User", "1", False), ("User", "2", True)}
    await users.write(users.gone(12, id=1, boss=2))
    assert await empty.nodes() == set()


async def test_rows_of_two_tables_share_an_implied_end(harness: Neo4jHarness, empty: Graph) -> None:
    model = empty.talks.target.edges[2].end
    edges = (Edge("HAS_SKILL", new_place("Resume"), "resume_id", model, "skill_id"),)
    target = target_of("neo4j", new_place("Skill"), key=("resume_id", "skill_id"), edges=edges)
    skills = replace(empty.talks, target=target, schema=SKILLS)
    await skills.sink.open([(target, SKILLS)])
    talks = empty.talks
    await talks.write(talks.put(10, **talk(1, None, None, "5")))
    await skills.write(skills.put(10, resume_id=3, skill_id=5), skills.put(10, resume_id=4, skill_id=5))
    text = f"MATCH (m:`{model}` {{_tr_key: '5'}})--(n) RETURN count(n)"
    assert await cypher(harness.url, text) == [[3]]
    assert [(row.key.values, row.broken) for row in await skills.all()] == [((3, 5), ()), ((4, 5), ())]
    await talks.write(talks.gone(11, **talk(1, None, None, "5")))
    await skills.write(skills.gone(11, resume_id=3, skill_id=5))
    assert await cypher(harness.url, text) == [[1]]
    await skills.write(skills.gone(11, resume_id=4, skill_id=5))
    assert {node for node in await empty.nodes() if node[0] == "Model"} == set()
    assert await skills.write(skills.put(10, resume_id=4, skill_id=5)) == ["stale"]


def found_in(stage: Stage, wanted: Mapping[str, Value], stored: StoredRow | None) -> list[Found]:
    assert stored is not None
    hash_ = row_hash(stage.schema.columns, wanted)
    expected = Expected("", wanted, hash_, hash_)
    return [found for _, found in judge(stage.target, stage.schema, expected, {"": stored}, newest=100)]


TAMPERED = {
    "removed": ("MATCH (n:`{0}` {{id: 1}})-[e:USES_MODEL]->() DELETE e", ("model",)),
    "led elsewhere": (
        "MATCH (n:`{0}` {{id: 1}})-[e:USES_MODEL]->(), (m:`{0}` {{id: 2}}) CREATE (n)-[o:USES_MODEL]->(m)"
        " SET o = properties(e) DELETE e",
        ("model",),
    ),
    "doubled": (
        "MATCH (n:`{0}` {{id: 1}})-[e:USES_MODEL]->(m) CREATE (n)-[o:USES_MODEL]->(m) SET o = properties(e)",
        ("model",),
    ),
    "between others": (
        "MATCH ()-[e:HAS_SESSION {{_tr_target: '{0}', _tr_key: '1'}}]->() DELETE e",
        ("user_id", "session"),
    ),
    "end removed": ("MATCH (n:`{0}` {{id: 1}})-[:USES_MODEL]->(m) DETACH DELETE m", ("model",)),
}


@pytest.mark.parametrize(("text", "columns"), TAMPERED.values(), ids=TAMPERED.keys())
async def test_an_edge_that_somebody_changed_is_found_and_mended(
    empty: Graph, text: str, columns: tuple[str, ...]
) -> None:
    talks = empty.talks
    rows = [talk(1, 7, "s", "m"), talk(2, 8, "t", "n")]
    await talks.write(*(talks.put(10, **row) for row in rows))
    whole = await empty.edges()
    assert [found_in(talks, row, await talks.held(**row)) for row in rows] == [[], []]
    await empty.ask(text.format(talks.target.place))
    held, other = await talks.all()
    assert held == await talks.held(**rows[0])
    assert (held.broken, other.broken) == (columns, ())
    assert found_in(talks, rows[0], held) == [Found("altered", columns, 10)]
    assert await talks.write(talks.put(10, **rows[0])) == ["applied"]
    assert await empty.edges() == whole
    assert [row.broken for row in await talks.all()] == [(), ()]


async def test_a_type_that_is_no_longer_declared_goes_with_the_rows_next_write(
    harness: Neo4jHarness, empty: Graph
) -> None:
    old = empty.talks
    await old.write(old.put(10, **talk(1, 7, "s", "m")))
    edges = old.target.edges[1:]
    async with staged(harness, "neo4j") as other:
        new = replace(old, sink=other.sink, target=target_of("neo4j", old.target.place, edges=edges))
        await new.sink.open([(new.target, new.schema)])
        assert await new.write(new.put(10, **talk(1, 7, "s", "m"))) == ["applied"]
    assert [edge[0] for edge in await empty.edges()] == ["CONTAINS", "USES_MODEL"]
    assert ("User", "7", True) not in await empty.nodes()


_step = st.one_of(
    st.tuples(st.just("users"), st.integers(0, 2), st.none() | st.tuples(st.none() | st.integers(0, 2))),
    st.tuples(
        st.just("talks"),
        st.integers(0, 2),
        st.none()
        | st.tuples(
            st.none() | st.integers(0, 2), st.none() | st.sampled_from("st"), st.none() | st.sampled_from("m0")
        ),
    ),
)
_examples = itertools.count(1)


def modelled(graph: Graph, last: Mapping[tuple[str, int], Any], first: int) -> tuple[set[Any], list[Any]]:
    """The nodes and edges that rows imply."""
    nodes: dict[tuple[str, str], bool] = {}
    edges = []
    for (table, which), row in last.items():
        if row is None:
            continue
        word, own = ("User", "Talk")[table == "talks"], str(first + which)
        made = (
            [("REPORTS_TO", (word, own), ("User", row["boss"]))]
            if table == "users"
            else [
                ("HAS_SESSION", ("User", row["user_id"]), ("Session", row["session"])),
                ("CONTAINS", ("Session", row["session"]), (word, own)),
                ("USES_MODEL", (word, own), ("Model", row["model"])),
            ]
        )
        nodes[word, own] = False
        for type_, start, end in made:
            if start[1] is not None and end[1] is not None:
                ends = [(label, str(key)) for label, key in (start, end)]
                edges.append((type_, *ends[0], *ends[1], word, own))
                for node in ends:
                    nodes.setdefault(node, True)
    return {(*node, stub) for node, stub in nodes.items()}, sorted(edges)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(_step, min_size=1, max_size=9))
async def test_any_order_repetition_and_portion_of_a_history_ends_in_the_graph_that_its_last_rows_imply(
    empty: Graph, data: st.DataObject, history: list[tuple[str, int, Any]]
) -> None:
    first = next(_examples) * 10
    changes: list[list[Record]] = []
    last: dict[tuple[str, int], Any] = {}
    for position, (table, which, values) in enumerate(history, 1):
        stage = empty.users if table == "users" else empty.talks
        row: dict[str, Value] | None = None
        if values is not None and table == "users":
            row = {"id": first + which, "boss": None if values[0] is None else first + values[0]}
        elif values is not None:
            user, session, model = values
            row = talk(
                first + which,
                None if user is None else first + user,
                session and f"{session}{first}",
                model and f"{model}{first}",
            )
        changes.append(stage.gone(position, id=first + which) if row is None else stage.put(position, **row))
        last[table, which] = row
    arrived = data.draw(st.permutations(changes + data.draw(st.lists(st.sampled_from(changes), max_size=3))))
    while arrived:
        size = data.draw(st.integers(1, len(arrived)))
        await empty.users.write(*arrived[:size])
        arrived = arrived[size:]
    nodes, edges = modelled(empty, last, first)

    def mine(key: str) -> bool:
        return first <= int(key.lstrip("stm")) < first + 10

    assert {node for node in await empty.nodes() if mine(node[1])} == nodes
    assert [edge for edge in await empty.edges() if mine(edge[-1])] == edges
    for one in (empty.users, empty.talks):
        assert [row.broken for row in await one.all() if mine(str(row.key.values[0])) and row.broken] == []


async def test_a_deadlock_costs_one_of_two_its_turn_and_nothing_else(harness: Neo4jHarness, empty: Graph) -> None:
    users = empty.users
    await users.write(users.put(10, id=1, name="a"), users.put(10, id=2, name="b"))
    lock = f"MATCH (n:`{users.target.place}` {{_tr_key: $key}}) SET n._tr_key = $key"
    waiting = "SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked' RETURN count(*)"
    batch = [*users.put(20, id=1, name="x"), *users.put(20, id=2, name="y")]
    async with driver_of(harness.url) as driver, driver.session() as session:
        other = await session.begin_transaction()
        await (await other.run(lock, {"key": "2"})).consume()
        writing = asyncio.ensure_future(users.outcomes(batch))
        while await cypher(harness.url, waiting) == [[0]]:
            pass
        theirs = await asyncio.gather(other.run(lock, {"key": "1"}), return_exceptions=True)
        ours = await asyncio.gather(_ended(other, theirs[0]), writing, return_exceptions=True)
    codes = [getattr(theirs[0], "code", None)]
    if codes == [None]:
        assert isinstance(ours[1], Transient)
        assert "DeadlockDetected" in str(ours[1])
    else:
        assert codes == ["Neo.TransientError.Transaction.DeadlockDetected"]
        assert [outcome.kind for outcome in ours[1]] == ["applied"] * 2  # type: ignore[union-attr]
    assert await users.write(batch) == ["applied"] * 2
    assert [row.row["name"] for row in await users.all()] == ["x", "y"]


async def _ended(transaction: Any, result: Any) -> None:
    if not isinstance(result, BaseException):
        await result.consume()
    await transaction.close()


async def test_two_writers_that_cross_lose_nothing(harness: Neo4jHarness, empty: Graph) -> None:
    """Each points its rows to the other's, back and forth; what ends as `Transient` is written again."""
    async with staged(harness, "neo4j") as second:
        users = (empty.users, replace(empty.users, sink=second.sink))
        await second.sink.open([(users[0].target, users[0].schema)])

        async def writer(number: int) -> None:
            for position in range(1, 9):
                rows = [{"id": id_ * 2 + number, "boss": (id_ + position) % 4 * 2 + 1 - number} for id_ in range(4)]
                batch = [record for row in rows for record in users[number].put(position, **row)]
                assert set(await settled(users[number], batch)) == {"applied"}

        await asyncio.gather(writer(0), writer(1))
    assert [(row.position, row.broken) for row in await empty.users.all()] == [(8, ())] * 8
    assert len(await empty.edges()) == 8


async def test_an_end_that_is_too_long_for_an_index_is_refused(empty: Graph) -> None:
    talks = empty.talks
    rows = [talk(1, 7, "x" * 7001, "m"), talk(2, 7, "y" * 7000, "m")]
    outcomes = await talks.outcomes(*(talks.put(10, **row) for row in rows))
    assert [outcome.kind for outcome in outcomes] == ["rejected", "applied"]
    assert outcomes[0].reason == "Neo4j: `session` has 7001 bytes, more than the 7000 of a node's key"
    (held,) = await talks.all()
    assert (held.key.values, held.broken) == ((2,), ())
