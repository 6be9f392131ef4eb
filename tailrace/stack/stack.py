"""A stack: the servers of some versions in one folder, started together and watched over by one process."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tailrace.stack import state as states
from tailrace.stack.compose import Compose
from tailrace.stack.endpoints import check_versions, given
from tailrace.stack.errors import NotReady, StackError, Unavailable
from tailrace.stack.files import private_folder, try_lock
from tailrace.stack.host import Host, one_at_a_time
from tailrace.stack.kafka import Kafka
from tailrace.stack.mariadb import MariaDB
from tailrace.stack.mysql import MySQL
from tailrace.stack.places import cache_folder
from tailrace.stack.plan import instead, plan, services
from tailrace.stack.process import alive, identify, kill_session, manner, tail
from tailrace.stack.server import Server
from tailrace.stack.settings import Settings
from tailrace.stack.state import Endpoints, Running, State
from tailrace.stack.stopping import LOCK, stop_all
from tailrace.stack.view import View

READY_S = 300.0
POLL_S = 0.05


class Stack:
    """Real servers on the loopback interface, for as long as somebody supervises them.

    ``profile`` is one of `plan.KINDS`. Every method blocks and raises `StackError` with one sentence that says what to
    do. One thread at a time may call them. ``report`` gets a short line for each step and may be called from several
    threads.
    """

    def __init__(
        self,
        folder: Path,
        *,
        versions: Sequence[str] = ("future",),
        profile: str = "core",
        environ: Mapping[str, str] = os.environ,
        report: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self.versions = check_versions(versions)
        self.profile = profile
        self._given = {version: given(environ, version) for version in self.versions}
        self._host = Host(cache_folder(environ), environ, one_at_a_time(report))
        self._servers: dict[str, Server] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watched: dict[str, Running] = {}
        self._state = State(versions=self.versions)
        self._guard = threading.Lock()  # of the three above, which `up` fills from several threads
        self._compose: Compose | None = None
        self._lock: int | None = None

    def up(self) -> Endpoints:
        """Fetch, initialise and start what the environment does not give; return once every server answers.

        Servers that an earlier supervisor left running are taken over. If anything fails, nothing is left running.
        """
        self._take_lock()
        self._host.cancelled.clear()
        complete = False
        try:
            self._restore()
            try:
                self._up_natively()
            except Unavailable as reason:
                self._up_in_docker(reason)
            self._write_endpoints()
            complete = True
        finally:
            if not complete:
                self._host.cancelled.set()
                self.down()
        return self.endpoints()

    def fetch(self) -> list[str]:
        """Have the programs of all servers at hand, built where they must be, and start nothing; what cannot be had."""
        private_folder(self.folder)
        lacking = []
        for server in self._plan():
            try:
                server.fetch()
            except Unavailable as reason:
                lacking.append(f"{server.kind}: {reason}")
        return lacking

    def endpoints(self) -> Endpoints:
        """URLs by version and kind; ``sqlite`` is a folder."""
        return {version: dict(urls) for version, urls in self._state.endpoints.items()}

    def admin(self) -> Endpoints:
        """URLs of the superusers of what was started here, by version and kind. Never hand them to a program."""
        return {version: dict(urls) for version, urls in self._state.admin.items()}

    def watch(self) -> list[str]:
        """The servers that died since the last call or the last start, each named once and its last words reported."""
        if self._compose:
            return self._compose.died()
        died = [name for name, running in self._watched.items() if self._ended(name, running)]
        for name in died:
            process = self._processes.get(name)
            how = manner(process.returncode if process else None)
            words = tail(self._servers[name].log)
            self._host.report(f"{name} {how}" + (f"; its last words: {words}" if words else ""))
            del self._watched[name]
        return died

    def restart(self, name: str) -> None:
        """Start a server that died, or end one that hangs and start it: same port, same data."""
        if self._compose:
            self._compose.restart(name)
            return
        if running := self._state.servers.get(name):
            kill_session(running.identity)
        self.start_server(name)

    def start_server(self, name: str) -> None:
        """Start a server that was stopped; does nothing to one that runs."""
        self._start(self._server(name), time.monotonic(), may_move=False)

    def stop_server(self, name: str) -> None:
        """Stop a server cleanly; `watch` will not name it."""
        running = self._state.servers.get(name)
        if running is None:
            raise StackError(f"there is no server `{name}` here: there are {', '.join(sorted(self._state.servers))}")
        self._watched.pop(name, None)
        stop_all({name: running})
        self._reap(name)

    def pids(self) -> dict[str, int]:
        """The processes of the servers that run now, by name."""
        return {name: one.identity.pid for name, one in self._state.servers.items() if alive(one.identity)}

    def down(self) -> None:
        """Stop everything cleanly, the last started first, and let go of the folder."""
        if self._lock is None:
            return
        begun = time.monotonic()
        self._watched.clear()
        if self._compose:
            self._compose.down()
        stop_all(self._state.servers)
        for name in list(self._processes):
            self._reap(name)
        self._save(replace(self._state, servers={}, supervisor=None, docker=()))
        os.close(self._lock)
        self._lock = None
        self._host.report(f"stopped in {time.monotonic() - begun:.1f} s")

    @classmethod
    def running(cls, folder: Path) -> View | None:
        """What runs in ``folder``, as seen from any process; ``None`` if nothing does."""
        return View.of(folder)

    # -- bringing up ------------------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        if self._lock is not None:
            raise StackError("this stack is up already")
        try:
            private_folder(self.folder)
            self._lock = try_lock(self.folder / LOCK)
        except OSError as error:
            raise StackError(f"cannot use `{self.folder}` ({error.strerror}): set TAILRACE_HOME") from error
        if self._lock is None:
            other = states.load(self.folder)
            who = f"process {other.supervisor.pid}" if other and other.supervisor else "another process"
            raise StackError(f"the stack in `{self.folder}` is up already, supervised by {who}: stop it first")

    def _restore(self) -> None:
        left = states.load(self.folder) or State()
        self._save(replace(left, versions=self.versions, supervisor=identify(os.getpid())))
        self._servers = {server.name: server for server in self._plan()}
        unwanted = {name: one for name, one in left.servers.items() if name not in self._servers}
        stop_all(unwanted)
        kept = {name: one for name, one in left.servers.items() if name in self._servers}
        self._save(replace(self._state, servers=kept))

    def _plan(self) -> list[Server]:
        return plan(self._host, Settings(self.folder), self.folder, self._given, self.profile)

    def _up_natively(self) -> None:
        if not self._servers:
            return
        pool = ThreadPoolExecutor(len(self._servers))
        try:
            begun = [pool.submit(self._bring_up, name) for name in self._servers]
            for future in as_completed(begun):
                future.result()
        except BaseException:  # also Ctrl-C: the others must not go on for minutes behind it
            self._host.cancelled.set()
            raise
        finally:
            pool.shutdown(wait=True)

    def _bring_up(self, name: str) -> None:
        server = self._servers[name]
        try:
            server.fetch()
        except Unavailable as reason:
            if not isinstance(server, MySQL) or isinstance(server, MariaDB):
                raise
            self._host.report(f"{reason}; trying MariaDB")
            server = instead(server)
            server.fetch()
            self._servers[name] = server
        self._host.check_cancelled()
        begun = time.monotonic()
        if not server.data.exists():
            self._host.report(f"initialising {name}…")
        server.create()
        self._start(server, begun, may_move=True)

    def _start(self, server: Server, begun: float, *, may_move: bool) -> None:
        """Start it, or take it over if it runs; ``may_move`` to another port, as long as nobody knows the first."""
        running = self._state.servers.get(server.name)
        if running and alive(running.identity):
            if running.fingerprint == server.fingerprint():
                self._wait_ready(server, running)
                server.provision()  # its supervisor may have been killed just before
                self._watched[server.name] = running
                self._host.report(f"{server.name} runs already on port {server.port}")
                return
            stop_all({server.name: running})
        elif running:
            kill_session(running.identity)  # children that outlived it would keep its data locked
        self._reap(server.name)
        if may_move:
            server.choose_ports()
        process = server.start()
        identity = identify(process.pid)
        with self._guard:
            self._processes[server.name] = process
            if identity is not None:
                running = Running(identity, server.port, server.fingerprint(), server.stop_signal.name)
                self._save(replace(self._state, servers={**self._state.servers, server.name: running}))
        if identity is None or running is None:
            raise StackError(f"{server.name} ended as it was started: {tail(server.log) or 'it said nothing'}")
        self._wait_ready(server, running)
        server.provision()
        self._watched[server.name] = running
        self._host.report(f"{server.name} answers on port {server.port}, after {time.monotonic() - begun:.1f} s")

    def _wait_ready(self, server: Server, running: Running) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            self._host.check_cancelled()
            if self._ended(server.name, running):
                raise StackError(f"{server.name} did not start: {tail(server.log) or 'it said nothing'}")
            try:
                server.ping()
            except NotReady as reason:
                if time.monotonic() > deadline:
                    raise StackError(f"{server.name} does not answer after {READY_S:.0f} s: {reason}") from reason
                self._host.cancelled.wait(POLL_S)
            else:
                return

    def _up_in_docker(self, reason: Unavailable) -> None:
        self._host.cancelled.clear()
        compose = Compose.usable(
            self._host, Settings(self.folder), self.folder, self.versions, self._given, services(self.profile)
        )
        if compose is None:
            raise reason
        self._host.report(f"{reason}; using Docker instead")
        stop_all(self._state.servers)
        self._save(replace(self._state, servers={}, docker=compose.projects()))
        self._compose = compose
        self._servers.clear()
        compose.up()

    def _write_endpoints(self) -> None:
        endpoints: Endpoints = {}
        admin: Endpoints = {}
        for version in self.versions:
            started = [s for s in self._servers.values() if s.version == version or isinstance(s, Kafka)]
            urls = self._compose.endpoints(version) if self._compose else {s.kind: s.endpoint(version) for s in started}
            sqlite = str(self.folder / f"{version}.sqlite")
            endpoints[version] = {**urls, "sqlite": sqlite, **self._given[version]}
            private_folder(Path(endpoints[version]["sqlite"]))
            mine = self._compose.admin(version) if self._compose else {s.kind: s.admin() for s in started}
            admin[version] = {kind: url for kind, url in mine.items() if kind not in self._given[version]}
        self._save(replace(self._state, endpoints=endpoints, admin=admin))

    # -- small things -----------------------------------------------------------------------------------------------

    def _server(self, name: str) -> Server:
        if name not in self._servers:
            raise StackError(f"there is no server `{name}` here: there are {', '.join(sorted(self._servers))}")
        return self._servers[name]

    def _ended(self, name: str, running: Running) -> bool:
        process = self._processes.get(name)
        if process is not None:
            process.poll()  # reaps it, and learns how it ended
        return not alive(running.identity)

    def _reap(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            process.wait()

    def _save(self, state: State) -> None:
        self._state = state
        states.save(self.folder, state)
