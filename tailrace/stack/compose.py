"""The same servers from Docker images: only where the native ones cannot be had.

One compose project per version, and one for the Kafka that they share; all from the repository's compose file.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tailrace.stack import names
from tailrace.stack.endpoints import VARIABLES
from tailrace.stack.errors import StackError
from tailrace.stack.files import write_private
from tailrace.stack.host import Host
from tailrace.stack.settings import Settings

FILE = Path(__file__).parents[2] / "docker-compose.yml"
KAFKA = "kafka"
ADDRESSED = tuple(kind for kind in VARIABLES if kind != "sqlite")
"""The services of the compose file that have a port, by the kind of endpoint that they are."""


class Compose:
    """Names of servers are those of the native ones; services that the environment gives are not started."""

    def __init__(self, host: Host, settings: Settings, folder: Path, wanted: Mapping[str, Sequence[str]]) -> None:
        self._host = host
        self._settings = settings
        self._folder = folder
        self._wanted = wanted  # services by project: a version's name, or `KAFKA`
        self._down: set[str] = set()

    @classmethod
    def usable(
        cls,
        host: Host,
        settings: Settings,
        folder: Path,
        versions: Sequence[str],
        given: Mapping[str, Mapping[str, str]],
        kinds: Sequence[str],
    ) -> Self | None:
        """Where a Docker engine answers and the compose file is at hand, else ``None``."""
        if not shutil.which("docker") or not FILE.exists():
            return None
        try:
            host.run(["docker", "info"], what="docker info")
            host.run(["docker", "compose", "version"], what="docker compose version")
        except StackError:
            return None
        wanted = {version: [kind for kind in kinds if kind not in given[version]] for version in versions}
        if any(KAFKA not in given[version] for version in versions):
            wanted[KAFKA] = [KAFKA]
        return cls(host, settings, folder, {project: services for project, services in wanted.items() if services})

    def projects(self) -> tuple[str, ...]:
        """The names under which Docker knows them."""
        return tuple(self._name(project) for project in self._wanted)

    def up(self) -> None:
        """Start all and wait until they are healthy; raises `StackError`."""
        for project, services in self._wanted.items():
            self._host.report(f"starting {', '.join(services)} of {project} in Docker…")
            write_private(self._env_file(project), "".join(f"{k}='{v}'\n" for k, v in self._env(project).items()))
            self._run(project, "up", "--detach", "--wait", *services)
        if KAFKA in self._wanted:
            self._run(KAFKA, "run", "--rm", "kafka-rules")

    def died(self) -> list[str]:
        """Services that stopped since the last call."""
        down = set()
        for project, services in self._wanted.items():
            listed = self._run(project, "ps", "--status", "running", "--format", "json")
            lines = [json.loads(line) for line in listed.splitlines() if line.startswith("{")]
            running = {line["Service"] for line in lines}
            down |= {self._server(project, service) for service in services if service not in running}
        new, self._down = down - self._down, down
        return sorted(new)

    def restart(self, name: str) -> None:
        """Start one service anew and wait until it is healthy."""
        project, _, service = name.rpartition(".")
        self._run(project or KAFKA, "up", "--detach", "--wait", service)
        self._down.discard(name)

    def down(self) -> None:
        """Stop all; their volumes stay."""
        stop_projects(self.projects())

    def endpoints(self, version: str) -> dict[str, str]:
        """See `Stack.endpoints`."""
        env = self._env(version)
        at = {kind: f"127.0.0.1:{env[f'{kind.upper()}_PORT']}" for kind in ADDRESSED}
        urls = {
            "mysql": f"mysql://tailrace:{env['MYSQL_PASSWORD']}@{at['mysql']}/jobfirst_{version}",
            "postgres": f"postgresql://tailrace:{env['POSTGRES_PASSWORD']}@{at['postgres']}/jobfirst_{version}_vector",
            "redis": f"redis://:{env['REDIS_PASSWORD']}@{at['redis']}/{names.redis_number(version)}",
            "kafka": f"kafka://{version}:{self._word('kafka', version)}@{at['kafka']}",
            "mongodb": f"mongodb://tailrace:{env['MONGODB_PASSWORD']}@{at['mongodb']}/jobfirst_{version}",
            "elasticsearch": f"http://elastic:{env['ELASTICSEARCH_PASSWORD']}@{at['elasticsearch']}",
            "neo4j": f"bolt://neo4j:{env['NEO4J_PASSWORD']}@{at['neo4j']}",
            "weaviate": f"http://tailrace:{env['WEAVIATE_PASSWORD']}@{at['weaviate']}?grpc={env['WEAVIATE_GRPC_PORT']}",
            "ai_identity": f"postgresql://tailrace:{env['AI_IDENTITY_PASSWORD']}@{at['ai_identity']}"
            f"/{env['AI_IDENTITY_DATABASE']}",
            "dao": f"mysql://tailrace:{env['DAO_PASSWORD']}@{at['dao']}/{env['DAO_DATABASE']}",
            "credit": f"mysql://tailrace:{env['CREDIT_PASSWORD']}@{at['credit']}/{env['CREDIT_DATABASE']}",
        }
        return {kind: url for kind, url in urls.items() if kind in self._kinds(version)}

    def admin(self, version: str) -> dict[str, str]:
        """See `Stack.admin`."""
        env = self._env(version)
        at = {kind: f"127.0.0.1:{env[f'{kind.upper()}_PORT']}" for kind in ADDRESSED}
        urls = {
            **self.endpoints(version),
            "mysql": f"mysql://root:{env['MYSQL_ROOT_PASSWORD']}@{at['mysql']}/mysql",
            "postgres": f"postgresql://postgres:{env['POSTGRES_ADMIN_PASSWORD']}@{at['postgres']}"
            f"/jobfirst_{version}_vector",
            "kafka": f"kafka://admin:{env['KAFKA_ADMIN_PASSWORD']}@{at['kafka']}",
            "mongodb": f"mongodb://admin:{env['MONGODB_ADMIN_PASSWORD']}@{at['mongodb']}/admin",
            "ai_identity": f"postgresql://postgres:{env['AI_IDENTITY_ADMIN_PASSWORD']}@{at['ai_identity']}"
            f"/{env['AI_IDENTITY_DATABASE']}",
            "dao": f"mysql://root:{env['DAO_ROOT_PASSWORD']}@{at['dao']}/mysql",
            "credit": f"mysql://root:{env['CREDIT_ROOT_PASSWORD']}@{at['credit']}/mysql",
        }
        return {kind: url for kind, url in urls.items() if kind in self._kinds(version)}

    def _kinds(self, version: str) -> set[str]:
        return {*self._wanted.get(version, ()), *self._wanted.get(KAFKA, ())} & VARIABLES.keys()

    def _env(self, project: str) -> dict[str, str]:
        """What the compose file asks for; a project is given all of it, whichever services it starts."""
        versions = [version for version in self._wanted if version != KAFKA]
        users = " ".join(f'user_{version}="{self._word("kafka", version)}"' for version in versions)
        return {
            "TAILRACE_VERSION": project,
            "TAILRACE_VERSIONS": " ".join(versions),
            "MYSQL_ROOT_PASSWORD": self._word(project, "mysql.root"),
            "MYSQL_PASSWORD": self._word(project, "mysql.tailrace"),
            "POSTGRES_ADMIN_PASSWORD": self._word(project, "postgres.postgres"),
            "POSTGRES_PASSWORD": self._word(project, "postgres.tailrace"),
            "REDIS_PASSWORD": self._word(project, "redis.default"),
            "MONGODB_ADMIN_PASSWORD": self._word(project, "mongodb.admin"),
            "MONGODB_PASSWORD": self._word(project, "mongodb.tailrace"),
            "ELASTICSEARCH_PASSWORD": self._word(project, "elasticsearch.elastic"),
            "NEO4J_PASSWORD": self._word(project, "neo4j.neo4j"),
            "NEO4J_HTTP_PORT": str(self._settings.port(f"docker.{project}.neo4j-http")),
            "WEAVIATE_PASSWORD": self._word(project, "weaviate.tailrace"),
            "WEAVIATE_GRPC_PORT": str(self._settings.port(f"docker.{project}.weaviate-grpc")),
            "AI_IDENTITY_ADMIN_PASSWORD": self._word(project, "ai_identity.postgres"),
            "AI_IDENTITY_PASSWORD": self._word(project, "ai_identity.tailrace"),
            "AI_IDENTITY_DATABASE": names.ai_identity(project),
            "DAO_ROOT_PASSWORD": self._word(project, "dao.root"),
            "DAO_PASSWORD": self._word(project, "dao.tailrace"),
            "DAO_DATABASE": names.dao(project),
            "CREDIT_ROOT_PASSWORD": self._word(project, "credit.root"),
            "CREDIT_PASSWORD": self._word(project, "credit.tailrace"),
            "CREDIT_DATABASE": names.credit(project),
            "KAFKA_ADMIN_PASSWORD": self._word("kafka", "admin"),
            "KAFKA_USERS": users,
            **{
                f"{kind.upper()}_PORT": str(
                    self._settings.port("docker.kafka" if kind == KAFKA else f"docker.{project}.{kind}")
                )
                for kind in ADDRESSED
            },
        }

    def _word(self, project: str, account: str) -> str:
        return self._settings.password(f"{project}.{account}")

    def _server(self, project: str, service: str) -> str:
        return service if project == KAFKA else f"{project}.{service}"

    def _name(self, project: str) -> str:
        return f"tailrace-{self._folder.name}-{project}".lower().replace("_", "-")

    def _env_file(self, project: str) -> Path:
        return self._folder / f"docker.{project}.env"

    def _run(self, project: str, *words: str) -> str:
        start: list[str | Path] = ["docker", "compose", "--project-name", self._name(project), "--file", FILE]
        start += ["--env-file", self._env_file(project)]
        return self._host.run([*start, *words], what=f"docker compose {words[0]}")


def stop_projects(projects: Sequence[str]) -> None:
    """Stop the containers of these projects, known to Docker by name alone."""
    host = Host(Path(), os.environ, lambda _: None)
    for project in projects:
        host.run(["docker", "compose", "--project-name", project, "stop"], what=f"stopping `{project}` in Docker")
