"""What tests ask a running agent for, and a server that takes its alerts."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx


@dataclass
class Asked:
    """The agent that answers at a socket."""

    socket: Path

    def get(self, path: str, **params: str) -> Any:
        return self._ask("GET", path, params=params).json()

    def post(self, path: str, body: object, status: int = 202) -> Any:
        answer = self._ask("POST", path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def _ask(self, verb: str, path: str, **more: Any) -> httpx.Response:
        with socket.socket(socket.AF_UNIX) as tried:  # httpx leaves one open that cannot connect
            try:
                tried.connect(str(self.socket))
            except OSError as error:
                raise httpx.ConnectError(str(error)) from error
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://agent") as client:
            return client.request(verb, path, timeout=30, **more)

    def text(self, path: str) -> str:
        return self._ask("GET", path).text

    def store(self, sink: str) -> dict[str, Any]:
        return next(one for one in self.get("/state")["stores"] if one["sink"] == sink)

    def until(self, look: Callable[[], Any], seconds: float = 200.0) -> Any:
        """What ``look`` gives, once it gives something; an agent that does not answer gives nothing."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                found = look()
            except httpx.TransportError:
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, self.get("/state")
            time.sleep(0.2)

    def done(self, id_: str) -> dict[str, Any]:
        """The audit, once it is over."""
        return self.until(lambda: (found := self.get(f"/audits/{id_}"))["verdict"] and found)

    def incident(self, sink: str) -> dict[str, Any]:
        """The open incident of a store, once there is one."""
        return self.until(lambda: next((one for one in self.get("/state")["incidents"] if one["sink"] == sink), None))


@dataclass
class Hook:
    """A server that takes alerts: it refuses the first, and then takes what comes."""

    url: str = ""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0


@contextmanager
def hooked() -> Iterator[Hook]:
    taken = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # so the base class calls it
            body = self.rfile.read(int(self.headers["content-length"]))
            if not taken.refused:
                taken.refused += 1
                self.send_response(503)
            else:
                taken.alerts.append(json.loads(body))
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    taken.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield taken
    server.shutdown()
    server.server_close()
