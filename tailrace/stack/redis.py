"""Redis 7 from the host's Debian release, unpacked aside; or the host's own."""

import shutil
from pathlib import Path

from redis import Redis as Client
from redis import RedisError

from tailrace.stack import apt
from tailrace.stack.errors import NotReady, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.names import redis_number
from tailrace.stack.process import Command
from tailrace.stack.server import Server

FOLDER = "redis-server"


class Redis(Server):
    """Keeps everything (append-only file) and evicts nothing, as a mirror has to."""

    kind = "redis"

    def fetch(self) -> None:
        """See `Server.fetch`."""
        try:
            fetched(
                self.host,
                FOLDER,
                lambda folder: apt.aside(self.host, apt.suite_of_host(), ["redis-server", "redis-tools"], folder),
                what="Redis 7 (10 MB)",
                megabytes=300,
            )
        except Unavailable as reason:
            if not shutil.which("redis-server"):
                self.host.report(f"Redis cannot be unpacked aside: {reason}")
                apt.install(self.host, "redis-server")

    def fill(self, data: Path) -> None:
        """An empty folder is a new server's data."""

    def command(self) -> Command:
        """See `Server.command`."""
        config = self.folder / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password('default')}",
            f'dir "{self.data}"',
            "appendonly yes",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        aside = self.host.cache / FOLDER
        words = apt.program(aside, "usr/bin/redis-server") if aside.exists() else ["redis-server"]
        return Command([*words, str(config)], cwd=self.folder, files={config: "\n".join(lines) + "\n"})

    def ping(self) -> None:
        """See `Server.ping`."""
        client = Client(host="127.0.0.1", port=self.port, password=self.password("default"), socket_timeout=5)
        try:
            client.ping()  # answers LOADING, an error, until the append-only file is read
        except RedisError as error:
            raise NotReady(str(error)) from error
        finally:
            client.close()

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`; one server a version, so all use the default account."""
        return f"redis://:{self.password('default')}@127.0.0.1:{self.port}/{redis_number(version)}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return self.endpoint(self.version)
