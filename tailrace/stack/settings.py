"""What a stack keeps from one start to the next: ports and passwords."""

import json
import random
import secrets
import socket
import threading
from pathlib import Path

from tailrace.stack.errors import StackError
from tailrace.stack.files import write_private

# Below the range that the kernel hands out to outgoing connections, which could take a stopped server's port.
PORTS = range(20_000, 32_000)
ATTEMPTS = 200


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Settings:
    """Ports and generated passwords by name, in ``settings.json``; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "settings.json"
        self._lock = threading.Lock()
        stored = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._ports: dict[str, int] = stored.get("ports", {})
        self._passwords: dict[str, str] = stored.get("passwords", {})

    def password(self, name: str) -> str:
        """The password of that name, made up on first use; safe inside a URL, SQL and Java properties."""
        with self._lock:
            if name not in self._passwords:
                self._passwords[name] = secrets.token_hex(16)
                self._save()
            return self._passwords[name]

    def passwords(self, prefix: str) -> dict[str, str]:
        """All passwords under ``prefix``, by what follows it."""
        with self._lock:
            return {n.removeprefix(prefix): word for n, word in self._passwords.items() if n.startswith(prefix)}

    def port(self, name: str) -> int:
        """The port of that name, chosen on first use and kept from then on."""
        with self._lock:
            if name not in self._ports:
                self._choose(name)
            return self._ports[name]

    def free_port(self, name: str) -> int:
        """Like `port`, but another one if somebody else listens there now; for a server about to be started."""
        port = self.port(name)
        with self._lock:
            if not port_is_free(port):
                self._choose(name)
            return self._ports[name]

    def _choose(self, name: str) -> None:
        taken = set(self._ports.values())
        for _ in range(ATTEMPTS):
            port = random.choice(PORTS)  # noqa: S311 -- which port is no secret
            if port not in taken and port_is_free(port):
                self._ports[name] = port
                self._save()
                return
        raise StackError(f"no free port between {PORTS.start} and {PORTS.stop} for `{name}`")

    def _save(self) -> None:
        write_private(self._path, json.dumps({"ports": self._ports, "passwords": self._passwords}, indent=1))
