"""What was said last is not unsaid by whoever comes late, and what is degraded is handed to one at a time."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from running import Running

from streams.enrich.derive import Emitted
from streams.enrich.said import MOST_TRIES, Said


@pytest.fixture
async def said(stack: Running) -> AsyncIterator[Said]:
    opened = Said(stack.endpoints["future"]["postgres"], retry=600)
    yield opened
    await opened.close()


@pytest.fixture
def name() -> str:
    return f"future.jobs.{uuid.uuid4().hex}"


def emitted(position: int, input_: str = "a", generation: int = 1, degraded: bool = False) -> Emitted:
    return Emitted(generation, position, input_, "c", degraded)


async def test_only_the_same_or_something_later_takes_its_place(said: Said, name: str) -> None:
    assert not await said.knows(name)
    assert await said.put_many(name, {b'{"id":1}': emitted(5), b'{"id":2}': emitted(5)}) == set()
    later = {b'{"id":1}': emitted(4, "b"), b'{"id":2}': emitted(5, "b")}
    assert await said.put_many(name, later) == {b'{"id":1}'}
    assert await said.get_many(name, [b'{"id":2}', b'{"id":3}', b'{"id":1}']) == [emitted(5, "b"), None, emitted(5)]
    assert await said.put_many(name, {b'{"id":1}': emitted(1, "d", generation=2)}) == set(), "a later generation"
    assert await said.put_many(name, {b'{"id":1}': emitted(9)}) == {b'{"id":1}'}
    assert not await said.knows(name), "there may be more"
    await said.learnt(name)
    assert await said.knows(name)


async def test_a_degraded_row_is_tried_again_less_and_less_often(stack: Running, said: Said, name: str) -> None:
    async def passes(seconds: int) -> None:
        connection = await asyncpg.connect(stack.endpoints["future"]["postgres"])
        await connection.execute("UPDATE tailrace.enrich_said SET due = due - $1 * interval '1 second'", seconds)
        await connection.close()

    await said.put_many(name, {b"1": emitted(1, degraded=True), b"2": emitted(1)})
    assert await said.degraded(name) == [b"1"]
    assert await said.claim(name, 10) == [], "not at once"
    await passes(600)
    assert await said.claim(name, 10) == [b"1"]
    assert await said.claim(name, 10) == [], "somebody has it already"
    await said.put_many(name, {b"1": emitted(2, degraded=True)})
    await passes(900)
    assert await said.claim(name, 10) == [], "twice the time after the first"
    await passes(300)
    assert await said.claim(name, 10) == [b"1"]
    await said.put_many(name, {b"1": emitted(3)})
    assert await said.degraded(name) == []


async def test_tries_come_to_an_end_and_begin_again_with_other_values(stack: Running, name: str) -> None:
    quick = Said(stack.endpoints["future"]["postgres"], retry=1e-6)
    await quick.put_many(name, {b"1": emitted(1, degraded=True)})
    assert [await quick.claim(name, 10) for _ in range(MOST_TRIES + 1)] == [[b"1"]] * MOST_TRIES + [[]]
    await quick.put_many(name, {b"1": emitted(2, degraded=True)})
    assert await quick.claim(name, 10) == []
    await quick.put_many(name, {b"1": emitted(3, "other", degraded=True)})
    assert await quick.claim(name, 10) == [b"1"]
    await quick.close()
