"""What is planted in a store of any kind is found, by hashes alone, and not once it is taken away."""

import asyncio
from collections.abc import Iterator

import pytest
from running import Running

from audit.isolation.places import place
from audit.isolation.stores import Store, store_of
from audit.search import finder
from audit.search.found import Found
from audit.search.needle import needle
from audit.search.needles import Needles
from changes.errors import Transient
from tailrace.stack.beside import Beside

pytestmark = pytest.mark.slow

CORE = ("dao", "postgres", "redis", "sqlite")
BESIDE = ("mongodb", "elasticsearch", "neo4j", "weaviate")
TOKENS = ["tailrace-canary-78-future-wei.zhang4823", "tailrace-canary-79-future-mei.wang5934"]
NEEDLES = Needles(b"secret", [needle(b"secret", token.encode()) for token in TOKENS])


@pytest.fixture(params=[*CORE, *BESIDE])
def sink(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(request: pytest.FixtureRequest, sink: str, stack: Running) -> str:
    if sink in CORE:
        return stack.endpoints["future"]["mysql" if sink == "dao" else sink]
    beside: Beside = request.getfixturevalue("beside")
    return beside.url(sink)


@pytest.fixture
def store(sink: str, url: str) -> Iterator[Store]:
    found = store_of(place("future", sink, "redis://h").family)
    yield found
    found.remove(url)


def looked(sink: str, url: str) -> Found:
    find = finder(sink)
    assert find is not None

    async def look() -> Found:
        return await find(url, NEEDLES)

    return asyncio.run(look())


def test_a_planted_copy_is_found_until_it_is_removed(sink: str, url: str, store: Store) -> None:
    before = looked(sink, url)
    assert (before.hits, before.unread) == (set(), [])
    store.plant(url, TOKENS[1])
    found = looked(sink, url)
    assert {index for _, index in found.hits} == {1}
    assert found.items > before.items
    store.remove(url)
    if sink != "sqlite":  # its free pages may keep it
        assert looked(sink, url).hits == set()


@pytest.mark.parametrize(
    ("kind", "nowhere"),
    [
        ("redis", "redis://:x@127.0.0.1:1/0"),
        ("postgres", "postgresql://a:b@127.0.0.1:1/c"),
        ("dao", "mysql://a:b@127.0.0.1:1/c"),
        ("mongodb", "mongodb://127.0.0.1:1/c"),
        ("elasticsearch", "http://127.0.0.1:1"),
        ("neo4j", "bolt://a:b@127.0.0.1:1"),
        ("weaviate", "http://127.0.0.1:1"),
    ],
)
def test_a_store_that_is_away_is_transient(kind: str, nowhere: str) -> None:
    with pytest.raises(Transient):
        looked(kind, nowhere)
