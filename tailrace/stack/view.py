"""A stack as another process sees it: read from its state file, and stopped through its supervisor."""

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tailrace.stack import state as states
from tailrace.stack.compose import stop_projects
from tailrace.stack.errors import StackError
from tailrace.stack.files import try_lock
from tailrace.stack.process import alive, send, wait_gone
from tailrace.stack.state import Endpoints, State
from tailrace.stack.stopping import GRACE_S, LOCK, stop_all


@dataclass(frozen=True)
class View:
    """What the state file said when it was read; nothing here keeps a stack alive."""

    folder: Path
    state: State

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The stack in ``folder``, or ``None`` if neither a server nor a supervisor of it runs."""
        state = states.load(folder)
        if state is None:
            return None
        view = cls(folder, state)
        return view if view.supervisor() or view.pids() or state.docker else None

    def endpoints(self) -> Endpoints:
        """See `Stack.endpoints`; empty while the stack is still starting."""
        return self.state.endpoints

    def admin(self) -> Endpoints:
        """See `Stack.admin`."""
        return self.state.admin

    def pids(self) -> dict[str, int]:
        """The processes of the servers that run now, by name."""
        return {name: one.identity.pid for name, one in self.state.servers.items() if alive(one.identity)}

    def supervisor(self) -> int | None:
        """The process that watches over them; ``None`` if it was killed."""
        return self.state.supervisor.pid if self.state.supervisor and alive(self.state.supervisor) else None

    def status(self) -> dict[str, dict[str, object]]:
        """For each server: ``state`` (``up`` or ``down``), ``pid`` (``None`` if down) and ``port``."""
        pids = self.pids()
        return {
            name: {"state": "up" if name in pids else "down", "pid": pids.get(name), "port": one.port}
            for name, one in self.state.servers.items()
        }

    def down(self) -> None:
        """End the supervisor, which stops its servers; stop them here if it was killed or does not."""
        if self.state.supervisor and send(self.state.supervisor, signal.SIGTERM):
            wait_gone(self.state.supervisor, GRACE_S * 2)
        lock = try_lock(self.folder / LOCK)
        if lock is None:
            raise StackError(f"process {self.supervisor()} holds `{self.folder}` and does not end: kill it")
        try:
            state = states.load(self.folder) or State()
            stop_all(state.servers)
            stop_projects(state.docker)
            states.save(self.folder, replace(state, servers={}, supervisor=None, docker=()))
        finally:
            os.close(lock)
