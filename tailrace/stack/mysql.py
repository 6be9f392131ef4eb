"""MySQL 9.7 from Debian's unstable suite, unpacked aside: the source of every change."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pymysql

from tailrace.stack import apt
from tailrace.stack.errors import NotReady
from tailrace.stack.fetch import fetched
from tailrace.stack.files import write_private
from tailrace.stack.host import Host
from tailrace.stack.process import Command
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings

USER = "tailrace"

# What both MySQL and MariaDB are told; a source has to write whole rows with their names, in transactions with ids.
COMMON = (
    "--log-bin=bin",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--character-set-server=utf8mb4",
    "--bind-address=127.0.0.1",
    "--socket=",  # the path of a socket is limited to 107 bytes, and nobody needs one
    "--skip-name-resolve",
    "--max-connections=100",
    "--max-allowed-packet=128M",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-buffer-size=1M",
    "--table-open-cache=200",
    "--table-definition-cache=400",
    "--thread-cache-size=4",
    "--key-buffer-size=1M",
    "--innodb-io-capacity=200",
    "--innodb-read-io-threads=1",
    "--innodb-write-io-threads=1",
    "--innodb-purge-threads=1",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
)


def database(version: str) -> str:
    """The platform's name for a version's database."""
    return f"jobfirst_{version}"


def accounts(name: str, root_password: str, user_password: str) -> list[str]:
    """The statements that a new server starts with, one a line as its init file wants them.

    ``name`` is its database's.
    """
    pattern = name.replace("_", "\\_")  # an underscore in a grant's database name stands for any character
    return [
        f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{root_password}';",
        f"CREATE USER 'root'@'127.0.0.1' IDENTIFIED BY '{root_password}';",
        "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;",
        f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4;",
        f"CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{user_password}';",
        f"GRANT ALL ON `{pattern}`.* TO '{USER}'@'127.0.0.1';",
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{USER}'@'127.0.0.1';",
    ]


class MySQL(Server):
    """Its data hold the accounts from the start, so that no password ever passes through the binlog."""

    kind = "mysql"

    def __init__(
        self,
        host: Host,
        settings: Settings,
        folder: Path,
        version: str,
        *,
        name: str = "",
        options: Sequence[str] = (),
    ) -> None:
        """``name`` is that of a further server of the version, a replica say; ``options`` end its command line."""
        super().__init__(host, settings, folder, version)
        self.database = database(version)
        self.name = name or self.name
        self.folder = folder / self.name
        self.options = options

    def fetch(self) -> None:
        """See `Server.fetch`."""
        fetched(
            self.host,
            "mysql-sid",
            lambda folder: apt.aside(self.host, "sid", ["mysql-server-core"], folder),
            what="MySQL 9.7 (52 MB)",
            megabytes=700,
        )

    def _words(self, data: Path) -> list[str]:
        root = self.host.cache / "mysql-sid"
        return [
            *apt.program(root, "usr/sbin/mysqld", "usr/lib/mysql/private"),
            "--no-defaults",
            *self.as_user(),
            f"--basedir={root}/usr",
            f"--lc-messages-dir={root}/usr/share/mysql",
            f"--character-sets-dir={root}/usr/share/mysql/charsets",
            f"--plugin-dir={root}/usr/lib/mysql/plugin",
            "--secure-file-priv=NULL",
            "--innodb-redo-log-capacity=32M",
            f"--datadir={data}",
            f"--tmpdir={self.temporary()}",
        ]

    def as_user(self) -> list[str]:
        """The server refuses to run as root unless told so; it then owns its files like any other user."""
        return ["--user=root"] if os.geteuid() == 0 else []

    def fill(self, data: Path) -> None:
        """See `Server.fill`."""
        statements = self.folder / "init.sql"
        lines = accounts(self.database, self.password("root"), self.password(USER))
        write_private(statements, "\n".join(lines) + "\n")
        try:
            words = [*self._words(data), "--initialize-insecure", f"--init-file={statements}"]
            self.host.run([*words, f"--log-error={self.folder}/initialise.log"], what=f"initialising {self.name}")
        finally:
            statements.unlink()

    def command(self) -> Command:
        """See `Server.command`."""
        own = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--mysqlx=OFF", f"--pid-file={self.folder}/pid"]
        return Command([*self._words(self.data), *COMMON, *own, *self.identity(), *self.options], cwd=self.folder)

    def identity(self) -> list[str]:
        """Port and server id; the id must differ between servers, and stay."""
        return [f"--port={self.port}", f"--server-id={1 + zlib.crc32(self.name.encode()) % 2**31}"]

    def ping(self) -> None:
        """See `Server.ping`."""
        try:
            connection = pymysql.connect(
                host="127.0.0.1",
                port=self.port,
                user=USER,
                password=self.password(USER),
                database=self.database,
                connect_timeout=5,
            )
        except pymysql.err.OperationalError as error:
            raise NotReady(str(error)) from error
        connection.close()

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        return f"mysql://{USER}:{quote(self.password(USER))}@127.0.0.1:{self.port}/{self.database}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return f"mysql://root:{quote(self.password('root'))}@127.0.0.1:{self.port}/mysql"
