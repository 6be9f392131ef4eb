"""Neo4j Community from Maven's jars, embedded in a program of ours that opens Bolt."""

from pathlib import Path

from tailrace.stack import maven
from tailrace.stack.errors import NotReady
from tailrace.stack.fetch import fetched
from tailrace.stack.process import Command
from tailrace.stack.server import Server

FOLDER = "neo4j-2026.08.1"
USER = "neo4j"
OPENED = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")


class Neo4j(Server):
    """One account, one database: the Community edition has no more."""

    kind = "neo4j"

    def fetch(self) -> None:
        """See `Server.fetch`."""
        maven.java()
        fetched(self.host, FOLDER, self._build, what="Neo4j 2026.08 (152 MB)", megabytes=500)

    def _build(self, folder: Path) -> None:
        maven.jars(self.host, "neo4j", folder)
        maven.classes(self.host, [maven.FILES / "neo4j" / "Neo4jServer.java"], folder, folder)

    def fill(self, data: Path) -> None:
        """An empty folder is a new server's data."""

    def command(self) -> Command:
        """See `Server.command`."""
        folder = self.host.cache / FOLDER
        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        words = [str(maven.java()), *maven.flags(heap="512m"), *opens, "-cp", f"{folder}:{folder}/*", "Neo4jServer"]
        secret = {"NEO4J_PASSWORD": self.password(USER)}
        return Command([*words, str(self.data), str(self.port)], cwd=self.folder, env=secret)

    def ping(self) -> None:
        """See `Server.ping`."""
        from neo4j import GraphDatabase  # noqa: PLC0415  the driver is loaded only where it is used
        from neo4j.exceptions import DriverError, Neo4jError  # noqa: PLC0415

        if not self.answers():
            raise NotReady("nobody listens yet")
        try:
            with GraphDatabase.driver(f"bolt://127.0.0.1:{self.port}", auth=(USER, self.password(USER))) as driver:
                driver.verify_connectivity()
        except (DriverError, Neo4jError) as error:
            raise NotReady(str(error)) from error

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        return f"bolt://{USER}:{self.password(USER)}@127.0.0.1:{self.port}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return self.endpoint(self.version)
