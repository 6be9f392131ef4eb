"""Twelve sabotages: each check of each version broken once, and mended behind it."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from redis import Redis

from audit.isolation.canaries import Canaries
from audit.isolation.places import place, with_login
from audit.isolation.report import Check
from audit.isolation.run import Grounds
from bench.isolated import COMPOSE, VERSIONS, Between, Scene, composed, nothing
from sinks.sql.sqlite.files import path_of
from streams.kafka import KafkaUrl


@dataclass(frozen=True)
class Sabotage:
    """``fails`` are the versions whose check must fail of it, ``told`` words of what must be said of ``version``."""

    check: Check
    version: str
    what: str
    fails: frozenset[str]
    told: str
    spoilt: Callable[[Scene], AbstractContextManager[Grounds]]
    between: Callable[[Scene], Between] = lambda _: nothing


def sabotages() -> list[Sabotage]:
    alone = {version: frozenset({version}) for version in VERSIONS}
    return [
        Sabotage("database", "future", "future's Redis takes dao's password", alone["future"],
                 "with the credentials of `redis` of `dao` one can come in", _leaked),
        Sabotage("database", "dao", "dao's PostgreSQL is given blockchain's password", frozenset({"dao", "blockchain"}),
                 "with the credentials of `postgres` of `blockchain` one can come in", _same_password),
        Sabotage("database", "blockchain", "future may read blockchain's topics", alone["blockchain"],
                 "with the credentials of `kafka` of `future` one can read topics", _rule),
        Sabotage("network", "future", "future's Redis listens everywhere", alone["future"],
                 "listens on 0.0.0.0", _exposed),
        Sabotage("network", "dao", "dao and blockchain are given one Redis", frozenset({"dao", "blockchain"}),
                 "are two numbers of one Redis", _one_endpoint),
        Sabotage("network", "blockchain", "one network for all in the compose file", frozenset(VERSIONS),
                 "is on the network `everybody`", lambda scene: _compose(scene, "{stores: {}}",
                                                                        "{stores: {name: everybody}}")),
        Sabotage("data", "future", "future's row is copied into dao's PostgreSQL", alone["future"],
                 "was found in `postgres` of `dao`, table `public.copied`", _with_a_table, _into_the_table),
        Sabotage("data", "dao", "dao's row is copied into a user's file of blockchain", alone["dao"],
                 "was found in `sqlite` of `blockchain`", _with_a_file, _into_the_file),
        Sabotage("data", "blockchain", "blockchain's row is copied to a topic of future", alone["blockchain"],
                 "was found in `kafka` of `future`, topic `future.copied`", _with_a_topic, _into_the_topic),
        Sabotage("container", "future", "everybody may read future's MySQL", alone["future"],
                 "the data folder of `future.mysql` is open to other accounts (mode 0755)", _readable),
        Sabotage("container", "dao", "dao and blockchain have one folder of SQLite files",
                 frozenset({"dao", "blockchain"}), "are one place on the disk", _one_folder),
        Sabotage("container", "blockchain", "one volume for all in the compose file", frozenset(VERSIONS),
                 "have the volume `disk`", lambda scene: _compose(scene, "{mysql: {}}", "{mysql: {name: disk}}")),
    ]  # fmt: skip


@contextmanager
def _leaked(scene: Scene) -> Iterator[Grounds]:
    words = scene.secret("dao", "redis")
    with closing(Redis.from_url(scene.admin["future"]["redis"])) as client:
        client.execute_command("ACL", "SETUSER", "default", f">{words}")
        try:
            yield scene.grounds()
        finally:
            client.execute_command("ACL", "SETUSER", "default", f"<{words}")


@contextmanager
def _same_password(scene: Scene) -> Iterator[Grounds]:
    url, theirs = scene.url("dao", "postgres"), scene.secret("blockchain", "postgres")
    seen = scene.grounds()
    spoilt = place("dao", "postgres", with_login(url, "tailrace", theirs))
    _ask(scene.admin["dao"]["postgres"], f"ALTER ROLE tailrace PASSWORD '{theirs}'")
    try:
        yield replace(seen, places=[spoilt if one.url == url else one for one in seen.places])
    finally:
        own = scene.secret("dao", "postgres")
        _ask(scene.admin["dao"]["postgres"], f"ALTER ROLE tailrace PASSWORD '{own}'")


@contextmanager
def _rule(scene: Scene) -> Iterator[Grounds]:
    admin = AdminClient(KafkaUrl.parse(scene.admin["future"]["kafka"]).config())
    rule = AclBinding(
        ResourceType.TOPIC, "blockchain.", ResourcePatternType.PREFIXED, "User:future", "*", AclOperation.READ,
        AclPermissionType.ALLOW,
    )  # fmt: skip
    with _topic(scene, "blockchain", "blockchain.public"):
        admin.create_acls([rule])[rule].result(30)
        try:
            yield scene.grounds()
        finally:
            for mended in admin.delete_acls([_filter(rule)]).values():
                mended.result(30)


def _filter(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype, rule.name, rule.resource_pattern_type, rule.principal, rule.host, rule.operation,
        rule.permission_type,
    )  # fmt: skip


@contextmanager
def _exposed(scene: Scene) -> Iterator[Grounds]:
    with closing(Redis.from_url(scene.admin["future"]["redis"])) as client:
        client.config_set("bind", "0.0.0.0")  # noqa: S104
        try:
            yield scene.grounds()
        finally:
            client.config_set("bind", "127.0.0.1")


@contextmanager
def _one_endpoint(scene: Scene) -> Iterator[Grounds]:
    seen, url = scene.grounds(), scene.url("dao", "redis")
    number = url.rpartition("/")[2]
    other = place("dao", "redis", f"{scene.url('blockchain', 'redis').rpartition('/')[0]}/{number}")
    yield replace(seen, places=[other if one.url == url else one for one in seen.places])


@contextmanager
def _compose(scene: Scene, written: str, instead: str) -> Iterator[Grounds]:
    yield replace(scene.grounds(), composed=composed(COMPOSE.replace(written, instead)))


@contextmanager
def _with_a_table(scene: Scene) -> Iterator[Grounds]:
    try:
        yield scene.grounds()
    finally:
        _ask(scene.admin["dao"]["postgres"], "DROP TABLE IF EXISTS public.copied")


def _into_the_table(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        text = f"CREATE TABLE public.copied AS SELECT '{canaries.tokens['future']}' AS title"
        _ask(scene.admin["dao"]["postgres"], f"{text}; GRANT SELECT ON public.copied TO tailrace")

    return copy


@contextmanager
def _with_a_file(scene: Scene) -> Iterator[Grounds]:
    try:
        yield scene.grounds()
    finally:
        _file(scene).unlink(missing_ok=True)


def _into_the_file(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        _file(scene).parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(_file(scene))) as connection, connection:
            connection.execute("CREATE TABLE jobs (title TEXT)")
            connection.execute("INSERT INTO jobs VALUES (?)", (f"wanted: {canaries.tokens['dao']}!",))

    return copy


def _file(scene: Scene) -> Path:
    """A user's file of blockchain."""
    return path_of(Path(scene.url("blockchain", "sqlite")), "1000007")


@contextmanager
def _with_a_topic(scene: Scene) -> Iterator[Grounds]:
    with _topic(scene, "future", "future.copied"):
        yield scene.grounds()


def _into_the_topic(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        producer = Producer(KafkaUrl.parse(scene.url("future", "kafka")).config())
        producer.produce("future.copied", json.dumps({"title": canaries.tokens["blockchain"]}))
        producer.flush(30)

    return copy


@contextmanager
def _topic(scene: Scene, version: str, name: str) -> Iterator[None]:
    admin = AdminClient(KafkaUrl.parse(scene.url(version, "kafka")).config())
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    try:
        yield
    finally:
        admin.delete_topics([name])[name].result(30)


def _ask(url: str, text: str) -> None:
    """Statements for PostgreSQL."""

    async def asked() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(text)
        finally:
            await connection.close()

    asyncio.run(asked())


@contextmanager
def _readable(scene: Scene) -> Iterator[Grounds]:
    data = scene.servers.folder / "future.mysql" / "data"
    before = data.stat().st_mode
    data.chmod(0o755)
    try:
        yield scene.grounds()
    finally:
        data.chmod(before)


@contextmanager
def _one_folder(scene: Scene) -> Iterator[Grounds]:
    theirs = Path(scene.url("blockchain", "sqlite"))
    aside = theirs.with_suffix(".aside")
    theirs.rename(aside)
    theirs.symlink_to(scene.url("dao", "sqlite"))
    try:
        yield scene.grounds()
    finally:
        theirs.unlink()
        aside.rename(theirs)
