"""Three versions on servers of their own, and isolation's checks of them: what sabotages are made on."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from audit.isolation import run
from audit.isolation.canaries import Canaries
from audit.isolation.composefile import Composed, read
from audit.isolation.places import place
from audit.isolation.report import Check, Result
from audit.isolation.run import Grounds
from changes.topology import Topology, load
from sinks.registry import SPECS
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
