"""What isolation asks of every kind of store: doors, and canaries that are found, and gone when they are taken away."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from redis import Redis
from running import Running

from audit.isolation.places import place, with_login
from audit.isolation.stores import Store, mysql, postgres, redis, sqlite, store_of
from audit.isolation.stores.answers import Hit
from changes.errors import Transient
from streams.mysql import MysqlUrl, session
from tailrace.stack.beside import Beside

pytestmark = pytest.mark.slow

CORE = ("mysql", "postgres", "redis", "sqlite")
BESIDE = ("mongodb", "elasticsearch", "neo4j", "weaviate")
OPEN = ("mongodb", "elasticsearch")
"""The servers here that ask nobody for a password."""
TOKENS = ["tailrace-canary-77-future-z", "tailrace-canary-77-dao-z"]


@pytest.fixture(params=[*CORE, *BESIDE])
def url(request: pytest.FixtureRequest, stack: Running) -> str:
    if request.param in CORE:
        return stack.endpoints["future"][request.param]
    beside: Beside = request.getfixturevalue("beside")
    return beside.url(request.param)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["url"])


@pytest.fixture
def store(kind: str) -> Store:
    return store_of(place("future", kind, "redis://h").family)


@pytest.fixture
def removed(store: Store, url: str) -> Iterator[None]:
    yield
    store.remove(url)


@pytest.mark.usefixtures("removed")
def test_a_canary_is_found_until_it_is_taken_away(store: Store, url: str) -> None:
    before = store.search(url, TOKENS)
    assert before.hits == ()
    store.plant(url, TOKENS[0])
    store.plant(url, TOKENS[1])
    found = store.search(url, TOKENS)
    assert found.unread == ()
    assert found.looked_at > before.looked_at
    expected = {TOKENS[1]} if store is redis else set(TOKENS)  # one key holds one
    assert {hit.token for hit in found.hits} == expected
    store.remove(url)
    store.remove(url)
    assert store.search(url, TOKENS).hits == ()


def test_doors(store: Store, url: str, kind: str) -> None:
    if kind == "sqlite":
        assert store.enter(url).met == "unknown"
        return
    assert store.enter(url).met == "inside"
    stranger = store.enter(with_login(url, "", ""))
    assert stranger.met == ("inside" if kind in OPEN else "refused")
    own = place("future", kind, url)
    if kind not in OPEN:
        wrong = store.enter(with_login(url, own.user, "wrong"))
        assert wrong.met == "refused"
        assert own.secret not in wrong.said
        assert store.enter(url).met == "inside"


def test_nobody_there_is_no_refusal(store: Store, url: str, kind: str) -> None:
    if kind == "sqlite":
        with pytest.raises(Transient):
            store.search("/nowhere", TOKENS)
        return
    own = place("future", kind, url)
    away = url.replace(f":{own.addresses[0][1]}", ":1")
    assert store.enter(away).met == "unknown"
    with pytest.raises(Transient):
        store.search(away, TOKENS)


# -- where a canary may hide ----------------------------------------------------------------------------------------


def test_mysql_in_any_text_whatever_its_characters_and_in_bytes(stack: Running) -> None:
    url = stack.endpoints["future"]["mysql"]
    with session(MysqlUrl.parse(url)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(
            "CREATE TABLE hidden (id INT PRIMARY KEY, wide TEXT CHARACTER SET utf16, raw BLOB, doc JSON,"
            " one ENUM('a', 'tailrace-canary-77-dao-z'), `na``me` VARCHAR(99) COLLATE utf8mb4_bin)"
        )
        try:
            cursor.execute("INSERT INTO hidden VALUES (1, %s, NULL, NULL, 'a', '')", (f"x{TOKENS[0]}x",))
            cursor.execute("INSERT INTO hidden VALUES (2, '', %s, NULL, 'a', '')", (b"\xff\0" + TOKENS[0].encode(),))
            cursor.execute("INSERT INTO hidden VALUES (3, '', NULL, %s, 'a', '')", (f'{{"k": ["{TOKENS[0]}"]}}',))
            cursor.execute("INSERT INTO hidden VALUES (4, '', NULL, NULL, %s, %s)", (TOKENS[1], TOKENS[0].upper()))
            found = mysql.search(url, TOKENS)
        finally:
            cursor.execute("DROP TABLE hidden")
    where = "table `jobfirst_future.hidden`"
    assert set(found.hits) == {Hit(TOKENS[0], where, 3), Hit(TOKENS[1], where)}


def test_postgres_in_bytes_and_documents_and_what_is_not_readable_is_named(stack: Running) -> None:
    url, admin = stack.endpoints["future"]["postgres"], stack.admin["future"]["postgres"]
    _postgres(admin, "CREATE TABLE public.shut (id int)")
    text = f"SELECT '{TOKENS[0]}'::bytea AS raw, jsonb_build_object('k', '{TOKENS[1]}') AS doc"
    _postgres(admin, f"CREATE TABLE public.hidden AS {text}; GRANT SELECT ON public.hidden TO tailrace")
    try:
        found = postgres.search(url, TOKENS)
    finally:
        _postgres(admin, "DROP TABLE public.shut, public.hidden")
    assert set(found.hits) == {Hit(token, "table `public.hidden`") for token in TOKENS}
    assert [part.split(":")[0] for part in found.unread] == ["table `public.shut`"]


def test_redis_in_every_type_and_number(stack: Running) -> None:
    url = stack.endpoints["future"]["redis"]
    keys = ["hash", "list", "set", "zset", "stream", f"k:{TOKENS[1]}"]
    with closing(Redis.from_url(url.rpartition("/")[0] + "/9")) as client:
        client.hset("hash", "field", TOKENS[0])
        client.rpush("list", "a", TOKENS[0])
        client.sadd("set", TOKENS[0])
        client.zadd("zset", {TOKENS[0]: 1.0})
        client.xadd("stream", {"field": TOKENS[0]})
        client.set(keys[-1], "nothing")
        try:
            found = redis.search(url, TOKENS)
        finally:
            client.delete(*keys)
    assert {hit.where for hit in found.hits} == {f"key `{key}` of database 9" for key in keys}


def test_sqlite_in_any_file_of_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "7f"
    inner.mkdir()
    with closing(sqlite3.connect(inner / "u.db")) as connection, connection:
        connection.execute('CREATE TABLE "a ""b" (x BLOB)')
        connection.execute('INSERT INTO "a ""b" VALUES (?)', (b"\0" + TOKENS[0].encode(),))
    (tmp_path / "notes.txt").write_bytes(b"." * ((1 << 20) - 5) + TOKENS[1].encode())
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0 and nothing else")
    found = sqlite.search(str(tmp_path), TOKENS)
    assert {(hit.token, hit.where) for hit in found.hits} == {
        (TOKENS[0], 'file `7f/u.db`, table `a "b`'),
        (TOKENS[1], "file `notes.txt`"),
    }
    assert [part.split(":")[0] for part in found.unread] == ["file `broken.db`"]


def _postgres(url: str, text: str) -> None:
    async def asked() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(asked())
