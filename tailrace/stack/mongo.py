"""A stand-in for MongoDB: mongo-java-server, which speaks the wire protocol and keeps its data.

No registry carries the real server. What the stand-in lacks (accounts, transactions, lifetimes, change streams) is
tested where `FUTURE_MONGODB_URL` names a real one.
"""

from pathlib import Path

from tailrace.stack import maven
from tailrace.stack.errors import NotReady
from tailrace.stack.fetch import fetched
from tailrace.stack.process import Command
from tailrace.stack.server import Server

FOLDER = "mongo-java-server-1.47.0"


class Mongo(Server):
    """One file of documents. It asks nobody for a password."""

    kind = "mongodb"

    def fetch(self) -> None:
        """See `Server.fetch`."""
        maven.java()
        fetched(self.host, FOLDER, self._build, what="a stand-in for MongoDB (6 MB)", megabytes=40)

    def _build(self, folder: Path) -> None:
        maven.jars(self.host, "mongo", folder)
        maven.classes(self.host, [maven.FILES / "mongo" / "MongoStandIn.java"], folder, folder)

    def fill(self, data: Path) -> None:
        """An empty folder is a new server's data."""

    def command(self) -> Command:
        """See `Server.command`."""
        folder = self.host.cache / FOLDER
        words = [str(maven.java()), *maven.flags(heap="256m"), "-cp", f"{folder}:{folder}/*", "MongoStandIn"]
        return Command([*words, str(self.port), str(self.data / "documents")], cwd=self.folder)

    def ping(self) -> None:
        """See `Server.ping`."""
        from pymongo import MongoClient  # noqa: PLC0415  the driver is loaded only where it is used
        from pymongo.errors import PyMongoError  # noqa: PLC0415

        client: MongoClient[dict[str, object]] = MongoClient(self.admin(), serverSelectionTimeoutMS=2000)
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise NotReady(str(error)) from error
        finally:
            client.close()

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        return f"mongodb://127.0.0.1:{self.port}/jobfirst_{version}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return self.endpoint(self.version)
