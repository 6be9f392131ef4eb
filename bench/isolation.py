"""Twelve sabotages: each check of each version is broken once, and must say so. The versions' servers are real.

    python -m bench.isolation [--json]

Each sabotage is mended behind itself; before the first and behind the last all twelve checks must pass.
"""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from audit.isolation import run
from audit.isolation.canaries import Canaries
from audit.isolation.composefile import Composed, read
from audit.isolation.places import place, with_login
from audit.isolation.report import CHECKS, Check, Result
from audit.isolation.run import Grounds
from changes.topology import Topology, load
from sinks.registry import SPECS
from sinks.sql.sqlite.files import path_of
from streams.kafka import KafkaUrl
from tailrace.grounds import grounds
from tailrace.stack import Stack
from tailrace.stack.view import View

VERSIONS = ("future", "dao", "blockchain")

TOPICS = """
versions:
  future: {database: jobfirst_future}
  dao: {database: jobfirst_dao}
  blockchain: {database: jobfirst_blockchain}
tiers:
  realtime: {flush: 5ms,  rows: 500,  fresh: 100ms}
  local:    {flush: 20ms, rows: 1000, fresh: 500ms}
tables:
  - table: permissions
    key: [id]
    partitions: 1
    sinks:
      - {sink: redis,    tier: realtime, place: "permission:{id}", keep: mirror}
      - {sink: postgres, tier: realtime}
  - table: financial_records
    key: [id]
    user: user_id
    partitions: 1
    sinks:
      - {sink: postgres, tier: realtime}
      - {sink: sqlite,   tier: local}
"""

COMPOSE = """
name: tailrace-${TAILRACE_VERSION:-future}
services:
  mysql:
    image: mysql
    labels: {tailrace.version: "${TAILRACE_VERSION:-future}"}
    networks: [stores]
    ports: ["127.0.0.1:${MYSQL_PORT:-3306}:3306"]
    volumes: ["mysql:/var/lib/mysql"]
    deploy: {resources: {limits: {memory: 1g, cpus: "2"}}}
networks: {stores: {}}
volumes: {mysql: {}}
"""

Between = Callable[[Canaries], None]
"""What somebody does while canaries are planted."""


def nothing(_: Canaries) -> None:
    """Nobody does anything."""


@dataclass(frozen=True)
class Scene:
    """Three versions that run; ``admin`` are the superusers' URLs."""

    topology: Topology
    servers: Stack
    home: Path
    admin: Mapping[str, Mapping[str, str]]

    def grounds(self) -> Grounds:
        seen = grounds(self.topology, self._environ(), running=View.of(self.servers.folder), home=self.home)
        return replace(seen, composed=composed(COMPOSE))

    def look(self, check: Check, seen: Grounds, between: Between = nothing) -> dict[str, Result]:
        """One check of all versions."""
        if check == "data":
            canaries = Canaries(seen.topology, seen.places, timeout=60, tell=_silent)
            try:
                canaries.plant()
                between(canaries)
                found = canaries.search()
            finally:
                canaries.remove()
            results = run.of_search(seen, VERSIONS, canaries, found)
        elif check == "database":
            results = [run.of_database(seen, version, _silent) for version in VERSIONS]
        else:
            one = run.of_network if check == "network" else run.of_container
            results = [one(seen, version) for version in VERSIONS]
        return {result.version: result for result in results}

    def url(self, version: str, kind: str) -> str:
        return self.servers.endpoints()[version][kind]

    def secret(self, version: str, kind: str) -> str:
        return place(version, kind, self.url(version, kind)).secret

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "TAILRACE_STACK": str(self.servers.folder)}


def composed(text: str) -> Composed:
    return read(text, VERSIONS, {})


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
                 "was found in `postgres` of `dao`, table `public.copied`", _as_it_is, _into_postgres),
        Sabotage("data", "dao", "dao's row is copied into a user's file of blockchain", alone["dao"],
                 "was found in `sqlite` of `blockchain`", _as_it_is, _into_a_file),
        Sabotage("data", "blockchain", "blockchain's row is copied to a topic of future", alone["blockchain"],
                 "was found in `kafka` of `future`, topic `future.copied`", _as_it_is, _into_a_topic),
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
    topic = "blockchain.public"
    kafka = KafkaUrl.parse(scene.url("blockchain", "kafka"))
    mine = AdminClient(kafka.config())
    mine.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    admin.create_acls([rule])[rule].result(30)
    try:
        yield scene.grounds()
    finally:
        admin.delete_acls([_filter(rule)])
        mine.delete_topics([topic])[topic].result(30)


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
def _as_it_is(scene: Scene) -> Iterator[Grounds]:
    yield scene.grounds()


def _into_postgres(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        text = f"CREATE TABLE public.copied AS SELECT '{canaries.tokens['future']}' AS title"
        _ask(scene.admin["dao"]["postgres"], f"{text}; GRANT SELECT ON public.copied TO tailrace")

    return copy


def _into_a_file(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        path = path_of(Path(scene.url("blockchain", "sqlite")), "7")
        path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE jobs (title TEXT)")
            connection.execute("INSERT INTO jobs VALUES (?)", (f"wanted: {canaries.tokens['dao']}!",))

    return copy


def _into_a_topic(scene: Scene) -> Between:
    def copy(canaries: Canaries) -> None:
        kafka = KafkaUrl.parse(scene.url("future", "kafka"))
        admin = AdminClient(kafka.config())
        admin.create_topics([NewTopic("future.copied", 1, 1)])["future.copied"].result(30)
        producer = Producer(kafka.config())
        producer.produce("future.copied", json.dumps({"title": canaries.tokens["blockchain"]}))
        producer.flush(30)

    return copy


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


@contextmanager
def scene(folder: Path, report: Callable[[str], None]) -> Iterator[Scene]:
    """Three versions of the profile ``core``, on one Kafka."""
    prefixes = tuple(f"{version.upper()}_" for version in VERSIONS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    servers = Stack(folder / "stack", versions=VERSIONS, environ=environ, report=report)
    servers.up()
    try:
        yield Scene(
            load(TOPICS, "topics.yaml", {name: spec.check for name, spec in SPECS.items()}),
            servers,
            folder / "home",
            servers.admin(),
        )
    finally:
        servers.down()


def _silent(_: str) -> None:
    """Progress that nobody wants."""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _all_pass(stage: Scene) -> dict[str, dict[str, str]]:
    seen = stage.grounds()
    return {check: {version: result.verdict for version, result in stage.look(check, seen).items()} for check in CHECKS}


def main(words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder, scene(Path(folder), _say) as stage:
        whole = [_all_pass(stage)]
        rows = []
        for one in sabotages():
            begun = time.monotonic()
            with one.spoilt(stage) as seen:
                results = stage.look(one.check, seen, one.between(stage))
            failed = {version for version, result in results.items() if result.verdict == "fail"}
            told = [finding.what for finding in results[one.version].findings if one.told in finding.what]
            rows.append(
                {
                    "check": one.check,
                    "version": one.version,
                    "sabotage": one.what,
                    "found": failed == one.fails and bool(told),
                    "said": told[0] if told else "",
                    "seconds": round(time.monotonic() - begun, 1),
                }
            )
        whole.append(_all_pass(stage))
    found = sum(bool(row["found"]) for row in rows)
    passed = [sum(verdict == "pass" for versions in one.values() for verdict in versions.values()) for one in whole]
    if "--json" in words:
        print(json.dumps({"sabotages": rows, "found": found, "passed": passed}))
    else:
        for row in rows:
            print(f"{row['check']:10} {row['version']:11} {'found' if row['found'] else 'MISSED':7} {row['sabotage']}")
        print(f"{found} of {len(rows)} sabotages found; {passed[0]} of 12 checks pass before, {passed[1]} behind")
    return 0 if found == len(rows) and passed == [12, 12] else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
