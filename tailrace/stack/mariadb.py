"""MariaDB, from the host's own packages: stands in where MySQL cannot be had."""

import shutil
from pathlib import Path

from tailrace.stack import apt
from tailrace.stack.mysql import COMMON, USER, MySQL, accounts
from tailrace.stack.process import Command


class MariaDB(MySQL):
    """Speaks MySQL's protocol, so only how it is had, made and told apart differs."""

    @property
    def data(self) -> Path:
        """Beside MySQL's, whose data it cannot read."""
        return self.folder / "mariadb"

    def fetch(self) -> None:
        """See `Server.fetch`."""
        if not shutil.which("mariadbd", path=self.path()):
            apt.install(self.host, "mariadb-server")

    def path(self) -> str:
        """Where servers are: the folders for administrators are not in every user's path."""
        return f"{self.host.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

    def fill(self, data: Path) -> None:
        """See `Server.fill`."""
        what = f"initialising {self.name}"
        install = ["mariadb-install-db", "--no-defaults", *self.as_user(), f"--datadir={data}", "--skip-test-db"]
        self.host.run([*install, "--auth-root-authentication-method=normal"], what=what)
        # A bootstrapping server knows no accounts until it is told to read them.
        first = ["FLUSH PRIVILEGES;", "DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1';"]
        lines = [*first, *accounts(self.database, self.password("root"), self.password(USER))]
        bootstrap = [self._program(), "--no-defaults", *self.as_user(), f"--datadir={data}", "--bootstrap"]
        self.host.run(bootstrap, what=what, stdin="\n".join(lines) + "\n")

    def _program(self) -> str:
        return shutil.which("mariadbd", path=self.path()) or "mariadbd"

    def command(self) -> Command:
        """See `Server.command`."""
        words = [self._program(), "--no-defaults", *self.as_user(), f"--datadir={self.data}", *COMMON]
        # Positions count transactions: one domain, growing strictly. Annotations would only lengthen the log.
        own = ["--gtid-strict-mode=ON", "--binlog-annotate-row-events=OFF", f"--pid-file={self.folder}/pid"]
        own += [f"--tmpdir={self.temporary()}", *self.identity(), *self.options]
        return Command([*words, *own], cwd=self.folder)
