"""A TCP proxy that can fall silent without closing, as a firewall or a dead host does to a connection, or be slow."""

import contextlib
import socket
import threading
import time
from types import TracebackType

CHUNK = 1 << 16
MOST_KEPT = 8 << 20


class Proxy:
    """Forwards from a port of its own to one on this machine, each connection by two threads."""

    def __init__(self, port: int) -> None:
        self.heard = bytearray()
        """The first bytes that the server sent, of all connections."""
        self._to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._silent: set[socket.socket] = set()
        self._pace = 0.0
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        number: int = self._listening.getsockname()[1]
        return number

    def fall_silent(self) -> int:
        """Forward nothing any more on the connections that are open now, and close none; how many these are."""
        with self._guard:
            self._silent |= set(self._open)
            return len(self._open) // 2

    def slow_down(self, bytes_a_second: float) -> None:
        """Forward so much either way of each connection from now on; 0 for as much as comes."""
        self._pace = 1 / bytes_a_second if bytes_a_second else 0.0

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except ConnectionRefusedError:  # which the client is to find too
                    client.close()
                    continue
                with self._guard:
                    self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, keep: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(CHUNK):
                if one in self._silent:
                    continue  # read, so that nobody's kernel says the other side is slow
                if keep and len(self.heard) < MOST_KEPT:
                    self.heard += data
                time.sleep(len(data) * self._pace)
                other.sendall(data)
        with self._guard:
            if one in self._open and one not in self._silent:
                self._open.remove(one)
                one.close()
                _shut(other)  # its own thread closes it

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        _shut(self._listening)
        self._listening.close()
        with self._guard:
            ended, self._silent = self._silent, set()
            for one in ended:
                self._open.remove(one)
                one.close()
            for one in self._open:
                _shut(one)


def _shut(one: socket.socket) -> None:
    """Wake whoever waits for it."""
    with contextlib.suppress(OSError):  # it is closed already
        one.shutdown(socket.SHUT_RDWR)
